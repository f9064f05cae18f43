"""How far a precomputation is: for the person who waits, and as a file that others read."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import SECONDS_BEFORE_FIRST, ProgressDisplay, Standing, line_of

_SECONDS_BETWEEN_FILES = 1.0


@dataclass(frozen=True)
class Progress:
    """The fields of a run; work is counted in pixels, for videos of other sizes come at other speeds."""

    total: int
    found: int  # were there before
    estimated: int  # by this run
    video: str  # what is at work
    area_left: int  # px, of the fields that are left
    area_estimated: int = 0  # px

    @property
    def standing(self) -> Standing:
        """The same as displays take it."""
        return Standing(
            self.video,
            "fields",
            self.found + self.estimated,
            self.total,
            self.found,
            (self.area_estimated, self.area_left),
        )

    def plus(self, video: str, area: int) -> Progress:
        """The same after one more field, of a video whose frames have that area."""
        return replace(
            self,
            estimated=self.estimated + 1,
            video=video,
            area_left=self.area_left - area,
            area_estimated=self.area_estimated + area,
        )


Report = Callable[[Progress], None]


class ProgressFile:
    """Keeps each `Progress` that it is called with in a JSON file, at most once a second of `clock`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._started = self._due = clock()
        self._last: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        if self._last is None:
            self._started = self._clock()  # looking through the videos is over
        self._last = progress
        if self._clock() >= self._due:
            self.write("running")
            self._due = self._clock() + _SECONDS_BETWEEN_FILES

    def write(self, state: str) -> None:
        """Keep what came last, whenever that was, and a word on what is being done now."""
        progress = asdict(self._last) if self._last else None
        record = {"state": state, "seconds": self._clock() - self._started, "progress": progress}
        write_text(self._path, json.dumps(record))


@dataclass(frozen=True)
class Reported:
    """What a `ProgressFile` says."""

    state: str
    seconds: float  # since the start
    progress: Progress | None  # None before the videos are looked through
    age_s: float  # of the report

    def __str__(self) -> str:
        if self.progress is None:
            return f"{self.state}, is looking through its videos"
        age = f", as of {self.age_s:.0f} s ago" if self.state == "running" else ""
        return f"{self.state}, {line_of(self.progress.standing, self.seconds)}{age}"


def read_progress(path: Path) -> Reported | None:
    """What a progress file says; None where there is none yet."""
    try:
        record = read_json(path, error=FlowCacheError)
        age_s = max(time.time() - os.stat(path).st_mtime, 0.0)
    except FileNotFoundError:
        return None
    try:
        progress = None if record["progress"] is None else Progress(**record["progress"])
        return Reported(record["state"], record["seconds"], progress, age_s)
    except (KeyError, TypeError) as error:
        raise FlowCacheError(f"{path}: no report of progress ({error!r}); the job writes it again") from error


@contextlib.contextmanager
def reporting(progress: bool | Report) -> Iterator[Report]:
    """Where to report to: to what is given, to a display of its own for True, or nowhere."""
    if callable(progress):
        yield progress
    elif progress:
        with ProgressDisplay(after=SECONDS_BEFORE_FIRST) as display:
            yield lambda progress: display(progress.standing)
    else:
        yield lambda _: None


def together(parts: list[Progress]) -> Progress:
    """The progress of several runs as if they were one; its video is the first at work, or the last."""
    whole = parts[0]
    for part in parts[1:]:
        at_work = whole.found + whole.estimated < whole.total
        whole = replace(
            whole,
            total=whole.total + part.total,
            found=whole.found + part.found,
            estimated=whole.estimated + part.estimated,
            video=whole.video if at_work else part.video,
            area_left=whole.area_left + part.area_left,
            area_estimated=whole.area_estimated + part.area_estimated,
        )
    return whole
