"""How far a run is: as a bar or plain lines for the person who waits, and as a file that others read."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.atomic import write_bytes
from flow_cache.runtime.json_file import read_json

#: Without a terminal, a line comes after one second, then after twice the time of the last, up to this.
_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_FILES = 1.0
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} fields{postfix}"


@dataclass(frozen=True)
class Progress:
    """The fields of a run."""

    total: int
    found: int  # were there before
    estimated: int  # by this run
    video: str  # what is at work
    area_left: int  # px, of the fields that are left
    area_estimated: int = 0  # px

    @property
    def done(self) -> int:
        return self.found + self.estimated

    def plus(self, video: str, area: int) -> Progress:
        """The same after one more field, of a video whose frames have that area."""
        return replace(
            self,
            estimated=self.estimated + 1,
            video=video,
            area_left=self.area_left - area,
            area_estimated=self.area_estimated + area,
        )

    def seconds_left(self, elapsed: float) -> float | None:
        """How long the rest takes at the speed of what this run itself did; None before it did anything.

        Speed is in pixels, for videos of other sizes come at other speeds: a field of 1280 x 720 px has
        fourteen times as many as one of 256 x 256 px.
        """
        if not self.area_estimated or elapsed <= 0:
            return None
        return self.area_left * elapsed / self.area_estimated


Report = Callable[[Progress], None]


class ProgressDisplay:
    """Shows each `Progress` that it is called with: a bar on a terminal, elsewhere a line from time to time.

    Args:
        stream: where to; the default is the standard error stream.
        clock: seconds that only grow.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._started: float | None = None
        self._working_since = 0.0
        self._next_line, self._pause = 0.0, 1.0
        self._bar: tqdm | None = None

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()

    def __call__(self, progress: Progress) -> None:
        if self._started is None:
            if progress.done == progress.total:
                return  # nothing to wait for
            self._started = self._clock()
        now = self._clock()
        if not progress.estimated:  # processes and jobs take their time to start
            self._working_since = now
        if self._stream.isatty():
            self._draw(progress, now - self._working_since)
        elif now - self._started >= self._next_line:
            self._next_line = now - self._started + self._pause
            self._pause = min(2 * self._pause, _SECONDS_BETWEEN_LINES)
            print(_line(progress, now - self._working_since), file=self._stream, flush=True)

    def _draw(self, progress: Progress, elapsed: float) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=progress.total, miniters=1, dynamic_ncols=True, file=self._stream, bar_format=_BAR
            )
        self._bar.total = progress.total
        self._bar.set_description_str(progress.video, refresh=False)
        self._bar.set_postfix_str(_speed(progress, elapsed), refresh=False)
        self._bar.update(progress.done - self._bar.n)


class ProgressFile:
    """Keeps each `Progress` that it is called with in a JSON file, at most once a second.

    Args:
        path: where.
        clock: seconds that only grow.
    """

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
        write_bytes(self._path, json.dumps(record).encode())


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
        return f"{self.state}, {_line(self.progress, self.seconds)}{age}"


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
        with ProgressDisplay() as display:
            yield display
    else:
        yield lambda _: None


def together(parts: list[Progress]) -> Progress:
    """The progress of several runs as if they were one; its video is the first at work, or the last."""
    whole = parts[0]
    for part in parts[1:]:
        video = whole.video if whole.done < whole.total else part.video
        whole = replace(
            whole,
            total=whole.total + part.total,
            found=whole.found + part.found,
            estimated=whole.estimated + part.estimated,
            video=video,
            area_left=whole.area_left + part.area_left,
            area_estimated=whole.area_estimated + part.area_estimated,
        )
    return whole


def _line(progress: Progress, elapsed: float) -> str:
    speed = _speed(progress, elapsed)
    return f"{progress.video}: {progress.done}/{progress.total} fields" + (speed and f", {speed}")


def _speed(progress: Progress, elapsed: float) -> str:
    left = progress.seconds_left(elapsed)
    if left is None:
        return ""
    speed = f"{progress.estimated / elapsed:.1f} a second"
    return f"{speed}, {tqdm.format_interval(left)} left" if progress.area_left else speed
