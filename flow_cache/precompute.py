"""Filling a store: which fields are wanted, which are there, and the estimation of the rest.

A field is (frame, step): the flow from a frame to the frame `step` later. Each frame is decoded once, and
takes part in all fields between itself and the frames up to the longest step before it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from flow_cache.codec import encode
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, FlowEstimator, settings_hash
from flow_cache.schema import STEPS, VideoRecord, step_name
from flow_cache.store import FlowStore
from flow_cache.video import Video, open_video, video_name
from flow_cache.workers import WorkerPool
from flow_cache.writer import COMMIT_SECONDS, FlowWriter

Field = tuple[int, int]  # frame, step
StoredField = tuple[int, int, np.ndarray]  # frame, step, as stored (2, H, W) int16


@dataclass(frozen=True)
class Batch:
    """Fields of a video to estimate together."""

    video: str
    frames: Mapping[int, np.ndarray]  # those that the fields need: index -> (H, W, 3) uint8
    fields: Sequence[Field]


Estimation = Callable[[Iterable[Batch]], Iterable[list[StoredField]]]


@dataclass(frozen=True)
class PrecomputeSummary:
    """What a run did."""

    videos: tuple[str, ...]
    estimated: int  # fields
    found: int  # fields that were there before
    seconds: float


def precompute(
    sources: Sequence[Path | str],
    out: Path | str,
    steps: Sequence[int] = STEPS,
    estimator: FlowEstimator | None = None,
    *,
    frames: Mapping[str, Iterable[int]] | None = None,
    filter: str = "zstd",
    processes: int = 1,
    commit_seconds: float = COMMIT_SECONDS,
    progress: bool = True,
) -> PrecomputeSummary:
    """Estimate the flow of videos into a store; what the store has already is not done again.

    All videos are looked through before the work starts: each frame is decoded once, or, of videos that the
    store knows, read alone. A run that was killed goes on where its last commit
    left it when it is called again.

    Args:
        sources: folders of pictures or video files.
        out: the .h5 file to write.
        steps: from a frame to which others, e.g. -1 for the one before.
        estimator: the default is DIS with its medium preset.
        frames: by the name of the video, the indices of frames of interest: only fields that start or end at
            one of them are estimated, which is what carrying labels from them, and checking, needs. A video
            that is not named is done as a whole.
        filter: how fields are compressed: a key of `schema.FILTERS`.
        processes: how many processes estimate; 1 is this process, with all threads of OpenCV.
        commit_seconds: at most this much work is lost to a kill.
        progress: show a bar.

    Raises:
        FlowCacheError: a bad source, setting or store; the message says which and what to do.
    """
    started = time.monotonic()
    estimator = estimator or DenseInverseSearch()
    steps = _checked_steps(steps)
    if processes < 1:
        raise FlowCacheError(f"{processes} processes; wanted 1 or more")
    seen = _records_in(Path(out))
    videos = [open_video(path, seen.get(video_name(path))) for path in map(Path, sources)]
    plans = {video.name: _plan(video, steps, frames) for video in videos}
    _check_names(videos, frames)
    records = {video.name: _record(video, estimator) for video in videos}
    estimated = found = 0
    with FlowWriter(Path(out), filter, commit_seconds) as writer, _estimation(estimator, processes) as run:
        for video in videos:
            writer.add_video(records[video.name], _steps_within(steps, video))
        for video in videos:
            todo = _unfinished(plans[video.name], writer, video.name)
            with tqdm(total=len(todo), desc=video.name, unit="field", disable=not progress) as bar:
                for batch in run(_batches(video, todo, estimator.frames_a_batch)):
                    for frame, step, stored in batch:
                        writer.write(video.name, frame, step, stored)
                        bar.update()
            estimated += len(todo)
            found += len(plans[video.name]) - len(todo)
    return PrecomputeSummary(tuple(plans), estimated, found, time.monotonic() - started)


def plan_fields(frame_count: int, steps: Iterable[int], frames: Iterable[int] | None = None) -> list[Field]:
    """The fields (frame, step) of a video that stay within it, sorted by the frame they need last.

    With `frames`, only those that start or end at one of these frames.
    """
    wanted = None if frames is None else set(frames)
    fields = [
        (frame, step)
        for step in steps
        for frame in range(max(0, -step), min(frame_count, frame_count - step))
        if wanted is None or frame in wanted or frame + step in wanted
    ]
    return sorted(fields, key=lambda field: (max(field[0], sum(field)), field))


def _plan(video: Video, steps: tuple[int, ...], frames: Mapping[str, Iterable[int]] | None) -> list[Field]:
    count = len(video.frame_names)
    if frames is None or video.name not in frames:
        return plan_fields(count, steps)
    wanted = sorted(set(frames[video.name]))
    outside = [frame for frame in wanted if not 0 <= frame < count]
    if outside or not wanted:
        raise FlowCacheError(f"frames {outside} of {video.path}; wanted at least one, from 0 to {count - 1}")
    return plan_fields(count, steps, wanted)


def _records_in(out: Path) -> dict[str, VideoRecord]:
    """What a store says of its videos, which spares decoding their frames only to look through them."""
    if not out.exists():
        return {}
    FlowWriter(out).close()  # where it cannot be written, that is known now, not after looking through videos
    with FlowStore(out) as store:
        return {video: store.record(video) for video in store.videos()}


def _unfinished(fields: list[Field], writer: FlowWriter, video: str) -> list[Field]:
    finished = {step: writer.finished(video, step) for step in {step for _, step in fields}}
    return [(frame, step) for frame, step in fields if not finished[step][frame]]


@contextlib.contextmanager
def _estimation(estimator: FlowEstimator, processes: int) -> Iterator[Estimation]:
    """Estimates batches one after another, in this process or in several, which serve all videos."""
    estimate = functools.partial(_estimate_batch, estimator)
    if processes == 1:
        yield functools.partial(map, estimate)
        return
    try:
        with WorkerPool(estimate, processes) as pool:
            yield pool.map
    except ChildProcessError as error:
        raise FlowCacheError(
            f"{error}; the same command goes on after the last field that was stored"
        ) from error


def _batches(video: Video, fields: list[Field], frames_a_batch: int) -> Iterator[Batch]:
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
            yield Batch(video.name, {i: held[i] for i in needed}, batch)
            batch, completing = [], 0
            held = {i: held[i] for i in held if last_use[i] > index}


def _estimate_batch(estimator: FlowEstimator, batch: Batch) -> list[StoredField]:
    place = {index: i for i, index in enumerate(batch.frames)}
    pairs = [(place[frame], place[frame + step]) for frame, step in batch.fields]
    flows = estimator.estimate(np.stack(list(batch.frames.values())), pairs)
    results = []
    for (frame, step), flow in zip(batch.fields, flows, strict=True):
        try:
            results.append((frame, step, encode(flow)))
        except FlowCacheError as error:
            raise FlowCacheError(
                f"video {batch.video!r}, frame {frame}, step {step_name(step)}, by {estimator.name}: {error}"
            ) from error
    return results


def _record(video: Video, estimator: FlowEstimator) -> VideoRecord:
    return VideoRecord(
        name=video.name,
        width=video.width,
        height=video.height,
        frame_names=video.frame_names,
        source=str(video.path),
        source_hash=video.source_hash,
        estimator=estimator.name,
        settings=json.dumps(estimator.settings(), sort_keys=True),
        settings_hash=settings_hash(estimator),
    )


def _checked_steps(steps: Sequence[int]) -> tuple[int, ...]:
    if not steps or 0 in steps or len(set(steps)) != len(steps):
        raise FlowCacheError(f"steps {list(steps)}; wanted different whole numbers, none of them 0")
    return tuple(sorted(steps))


def _steps_within(steps: tuple[int, ...], video: Video) -> tuple[int, ...]:
    return tuple(step for step in steps if abs(step) < len(video.frame_names))


def _check_names(videos: list[Video], frames: Mapping[str, Iterable[int]] | None) -> None:
    paths: dict[str, Path] = {}
    for video in videos:
        if video.name in paths:
            raise FlowCacheError(
                f"two videos named {video.name!r}: {paths[video.name]} and {video.path}; write one of "
                "them to another file"
            )
        paths[video.name] = video.path
    unknown = sorted(set(frames or {}) - set(paths))
    if unknown or not videos:
        raise FlowCacheError(f"frames of unknown videos {unknown}; given videos: {sorted(paths) or 'none'}")
