"""Filling a store: what is wanted and not there yet is estimated and written; and how far that is.

Each frame is decoded once, and takes part in all fields between itself and the frames up to the longest step
before it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from flow_cache.choices import COMMIT_SECONDS, MARGIN
from flow_cache.codec import encode, encode_known
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, FlowEstimator, settings_hash
from flow_cache.plan import (
    Field,
    StepsLeaving,
    check_names,
    check_steps_stay,
    checked_steps,
    near_people,
    plan_video,
    steps_leaving,
    warn_of_steps_leaving,
)
from flow_cache.roi import PeopleBoxes, read_people_boxes
from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import (
    SECONDS_BEFORE_FIRST,
    ProgressDisplay,
    Standing,
    line_of,
    shown,
    tracked,
)
from flow_cache.runtime.workers import MOST_PROCESSES, WorkerPool
from flow_cache.schema import STEPS, VideoRecord, step_name
from flow_cache.store import FlowStore
from flow_cache.video import Video, VideoSource, name_sources, open_video
from flow_cache.writer import FlowWriter

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
        done, work = self.found + self.estimated, (self.area_estimated, self.area_left)
        return Standing(self.video, "fields", done, self.total, self.found, work)

    def plus(self, video: str, area: int) -> Progress:
        """The same after one more field, of a video whose frames have that area."""
        left, estimated = self.area_left - area, self.area_estimated + area
        return Progress(self.total, self.found, self.estimated + 1, video, left, estimated)


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


@contextmanager
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
    at_work = (part.video for part in parts if part.found + part.estimated < part.total)
    counts = ("total", "found", "estimated", "area_left", "area_estimated")
    sums = {name: sum(getattr(part, name) for part in parts) for name in counts}
    return Progress(video=next(at_work, parts[-1].video), **sums)


@dataclass(frozen=True)
class Batch:
    """Fields of a video to estimate together."""

    video: str
    frames: Mapping[int, np.ndarray]  # those that the fields need: index -> (H, W, 3) uint8
    fields: Sequence[Field]
    people: PeopleBoxes | None = None  # where the fields are kept, those of these frames; None: everywhere


#: The name of the video, and the fields of a batch: frame, step, as stored (2, H, W) int16.
Estimated = tuple[str, list[tuple[int, int, np.ndarray]]]
Estimation = Callable[[Iterable[Batch]], Iterable[Estimated]]


@dataclass(frozen=True)
class PrecomputeSummary:
    """What a run did."""

    videos: tuple[str, ...]
    estimated: int  # fields
    found: int  # fields that were there before
    seconds: float

    @staticmethod
    def of(parts: Sequence[PrecomputeSummary], seconds: float) -> PrecomputeSummary:
        """What several runs did together, in so many seconds."""
        videos = tuple(video for part in parts for video in part.videos)
        estimated, found = (sum(getattr(part, name) for part in parts) for name in ("estimated", "found"))
        return PrecomputeSummary(videos, estimated, found, seconds)


def precompute(
    sources: Sequence[Path | str | VideoSource] | Path | str | VideoSource,
    out: Path | str,
    steps: Sequence[int] = STEPS,
    estimator: FlowEstimator | None = None,
    *,
    frames: Mapping[str, Iterable[int]] | None = None,
    around: Path | str | None = None,
    margin: float = MARGIN,
    filter: str = "zstd",
    processes: int = 1,
    commit_seconds: float = COMMIT_SECONDS,
    progress: bool | Report = True,
    allow_empty: bool = False,
) -> PrecomputeSummary:
    """Estimate the flow of videos into a store; what the store has already is not done again.

    All videos are looked through before the work starts. A killed run goes on when it is called again.

    Args:
        sources: folders of images or video files, or NAME=PATH, or one of them; `name_sources` says what they
            are called.
        out: the .h5 file to write.
        steps: from a frame to which others, e.g. -1 for the one before. The log tells of those that lead out
            of a video.
        estimator: the default is DIS with its medium preset.
        frames: by the name of the video, the indices of frames of interest: only fields that start or end at
            one of them, as propagating labels from them needs; all fields of a video that is not named. A
            range may end after the video, but not begin there.
        around: people's boxes (`roi.read_people_boxes`): a field is kept near those of its two frames
            alone, and not estimated where there are none. Estimation sees whole frames all the same.
        margin: how far around a box, as a share of its longer side.
        filter, commit_seconds: as of `FlowWriter`.
        processes: how many processes estimate; 1 is this process, with all threads of OpenCV.
        progress: show a bar, or lines where there is no terminal; or what to call with each `Progress`.
        allow_empty: no error where all steps lead out of all videos, as of a share of them, which may be the
            short ones.

    Raises FlowCacheError for a bad source, setting or store; the message says which and what to do.
    """
    started = time.monotonic()
    estimator = estimator or DenseInverseSearch()
    steps = checked_steps(steps)
    if not 1 <= processes <= MOST_PROCESSES:
        raise FlowCacheError(f"{processes} processes; wanted 1 to {MOST_PROCESSES}")
    seen = _records_in(Path(out))
    with shown(progress is True):
        named = tracked(name_sources(sources, seen), "look through", "videos")
        videos = [open_video(source, seen.get(source.name)) for source in named]
    check_names(videos, frames)
    near: dict[str, PeopleBoxes | None] = dict.fromkeys([video.name for video in videos])
    if around is not None:
        near |= read_people_boxes(Path(around), videos, margin)
    plans: dict[str, list[Field]] = {}
    leaving: dict[str, StepsLeaving] = {}
    for video in videos:
        fields = plan_video(video, steps, frames)
        leaving[video.name] = steps_leaving(len(video.frame_names), steps, fields)
        plans[video.name] = near_people(fields, near[video.name])
    if not allow_empty:
        check_steps_stay(leaving, steps)
    warn_of_steps_leaving(leaving)
    records = {video.name: _record(video, estimator, near[video.name]) for video in videos}
    with FlowWriter(Path(out), filter, commit_seconds) as writer, _estimation(estimator, processes) as run:
        for video in videos:
            within = tuple(step for step in steps if step not in leaving[video.name].steps)
            writer.add_video(records[video.name], within, plans[video.name])
        left = {name: writer.unfinished(name, plan) for name, plan in plans.items()}
        so_far = before = _before(videos, plans, left)
        batches = (  # of all videos in one row, so that no process waits for the last batch of each
            batch
            for video in videos
            for batch in _batches(video, left[video.name], estimator.frames_a_batch, near[video.name])
        )
        with reporting(progress) as report:
            report(before)
            for so_far in _write(run(batches), records, writer, before, commit_seconds):
                report(so_far)
    return PrecomputeSummary(tuple(plans), so_far.estimated, so_far.found, time.monotonic() - started)


def _write(
    estimated: Iterable[Estimated],
    records: Mapping[str, VideoRecord],
    writer: FlowWriter,
    so_far: Progress,
    commit_seconds: float,
) -> Iterator[Progress]:
    """Store fields as they come; yields after each how far the run is."""
    asked_at = time.monotonic()
    for name, fields in estimated:
        slow = time.monotonic() - asked_at > commit_seconds
        for frame, step, stored in fields:
            writer.write(name, frame, step, stored)
            so_far = so_far.plus(name, records[name].width * records[name].height)
            yield so_far
        if slow:  # the first of these fields was committed, and the others would wait for the next batch
            writer.commit()
        asked_at = time.monotonic()


def _before(
    videos: list[Video], plans: Mapping[str, list[Field]], left: Mapping[str, list[Field]]
) -> Progress:
    """What there is to do, and what is there already."""
    total = sum(map(len, plans.values()))
    area_left = sum(len(left[video.name]) * video.width * video.height for video in videos)
    return Progress(total, total - sum(map(len, left.values())), 0, videos[0].name, area_left)


def _records_in(out: Path) -> dict[str, VideoRecord]:
    """What a store says of its videos, which spares decoding their frames only to look through them."""
    if not out.exists():
        return {}
    FlowWriter(out).close()  # where it cannot be written, that is known now, not after looking through videos
    with FlowStore(out) as store:
        return {video: store.record(video) for video in store.videos()}


@contextmanager
def _estimation(estimator: FlowEstimator, processes: int) -> Iterator[Estimation]:
    """Estimates batches one after another, in this process or in several, which serve all videos."""
    estimate = partial(_estimate_batch, estimator)
    if processes == 1:
        yield partial(map, estimate)
        return
    try:
        with WorkerPool(estimate, processes) as pool:
            yield pool.map
    except ChildProcessError as error:
        said = f"{error}; the same command goes on after the last field that was stored"
        raise FlowCacheError(said) from error


def _batches(
    video: Video, fields: list[Field], frames_a_batch: int, people: PeopleBoxes | None
) -> Iterator[Batch]:
    """Fields by the frames that complete them, with the frames they need; each frame is decoded once."""
    if not fields:
        return  # the video is not even opened
    completed_by: dict[int, list[Field]] = {}
    last_use: dict[int, int] = {}
    for frame, step in fields:
        ends = frame, frame + step
        completed_by.setdefault(max(ends), []).append((frame, step))
        for end in ends:
            last_use[end] = max(last_use.get(end, 0), max(ends))
    held: dict[int, np.ndarray] = {}
    batch: list[Field] = []
    completing = 0
    for index, image in video.read(last_use):
        held[index] = image
        batch += completed_by.get(index, [])
        completing += index in completed_by
        if completing == frames_a_batch or index == max(last_use):
            needed = sorted({end for frame, step in batch for end in (frame, frame + step)})
            nearby = None if people is None else people.of_frames(needed)
            yield Batch(video.name, {i: held[i] for i in needed}, batch, nearby)
            batch, completing = [], 0
            held = {i: held[i] for i in held if last_use[i] > index}


def _estimate_batch(estimator: FlowEstimator, batch: Batch) -> Estimated:
    place = {index: i for i, index in enumerate(batch.frames)}
    pairs = [(place[frame], place[frame + step]) for frame, step in batch.fields]
    flows = estimator.estimate(np.stack(list(batch.frames.values())), pairs)
    results = []
    for (frame, step), flow in zip(batch.fields, flows, strict=True):
        try:
            near = None if batch.people is None else batch.people.around(frame, step)
            results.append((frame, step, encode(flow) if near is None else encode_known(flow, near)))
        except FlowCacheError as error:
            raise FlowCacheError(
                f"video {batch.video!r}, frame {frame}, step {step_name(step)}, by {estimator.name}: {error}"
            ) from error
    return batch.video, results


def _record(video: Video, estimator: FlowEstimator, people: PeopleBoxes | None) -> VideoRecord:
    return video.record(
        estimator.name,
        json.dumps(estimator.settings(), sort_keys=True),
        settings_hash(estimator),
        "" if people is None else people.identity(),
    )
