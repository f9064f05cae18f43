"""What a store holds, and whether it is sound: every field reads, and a sample is what its frames give."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.codec import UNITS_PER_PX
from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.estimators import ESTIMATORS, FlowEstimator, settings_hash
from flow_cache.plan import Field
from flow_cache.runtime.progress import Tracker, tracked
from flow_cache.schema import region_in_words, step_name
from flow_cache.source_frames import find_source_frames
from flow_cache.store import FlowStore
from flow_cache.writer import FlowWriter


@dataclass(frozen=True)
class VideoReport:
    """The state of one video in a store."""

    video: str
    file: str
    frames: int
    width: int  # px
    height: int  # px
    estimator: str
    settings: str  # JSON
    source: str
    around: str  # JSON of the margin, and of how many boxes; "" for whole frames
    finished: dict[str, int]  # fields by step
    missing: dict[str, int]  # fields by step that were asked for and are not finished
    tiles_stored: float | None  # share of the tiles of the finished fields; None without fields
    bytes_stored: int  # of the fields, without the index
    bytes_float32: int  # what the finished fields would take as float32, whole frames

    @property
    def ratio(self) -> float | None:
        """How many times smaller the fields are than as float32; None without fields."""
        return self.bytes_float32 / self.bytes_stored if self.bytes_stored else None


def inspect_store(store: FlowStore) -> list[VideoReport]:
    """The state of every video in a store, by name."""
    return [inspect_video(store, video) for video in store.videos()]


def report_as_json(reports: list[VideoReport]) -> dict[str, Any]:
    """The same as plain values for json.dumps, with the sizes of the files."""
    files = {report.file: os.path.getsize(report.file) for report in reports}
    videos = [{**vars(report), "ratio": report.ratio} for report in reports]
    return {"videos": videos, "bytes_on_disk": files}


def report_as_text(reports: list[VideoReport]) -> str:
    """The same for reading."""
    lines = []
    for report in reports:
        size, made = f"{report.width} x {report.height} px", f"{report.estimator} {report.settings}"
        lines.append(f"{report.video}: {report.frames} frames of {size}, by {made}, from {report.source}")
        for step, finished in report.finished.items():
            missing = report.missing[step]
            lines.append(f"  step {step}: {finished} fields" + (f", {missing} missing" if missing else ""))
        ratio = f", {report.ratio:.1f} times smaller" if report.ratio else ""
        stored, float32 = (_megabytes(count) for count in (report.bytes_stored, report.bytes_float32))
        lines.append(f"  {stored}; as float32 {float32}{ratio}")
        if report.around:
            share = f": {100 * report.tiles_stored:.1f} % of the tiles stored" if report.tiles_stored else ""
            lines.append(f"  {region_in_words(report.around)}{share}")
    for file in sorted({report.file for report in reports}):
        lines.append(f"{file}: {_megabytes(os.path.getsize(file))} on disk")
    return "\n".join(lines) or "no videos"


def inspect_video(store: FlowStore, video: str) -> VideoReport:
    """The state of one video."""
    record, finished, missing = store.record(video), {}, {}
    for step in store.steps(video):
        there = store.finished(video, step)
        finished[step_name(step)] = int(there.sum())
        missing[step_name(step)] = int((store.planned(video, step) & ~there).sum())
    tiles, possible = store.tiles_stored(video)
    return VideoReport(
        video, str(store.file(video)), len(record.frame_names), record.width, record.height,
        record.estimator, record.settings, record.source, record.around, finished, missing,
        tiles_stored=tiles / possible if possible else None,
        bytes_stored=store.bytes_stored(video),
        bytes_float32=sum(finished.values()) * 2 * record.height * record.width * 4,
    )  # fmt: skip


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@dataclass
class Verification:
    """What was found, as it grows."""

    finished: int = 0  # fields that there are to read
    read: int = 0  # of these, those that were read
    damaged: tuple[str, ...] = ()  # what could not be: a file, a video, a step or a field, and why
    damaged_fields: tuple[tuple[str, int, int], ...] = ()  # fields of these: video, frame, step
    lasting: tuple[str, ...] = ()  # of `damaged`, what is no field, and so stays when fields are forgotten
    estimated_again: int = 0  # fields of the sample
    different: tuple[str, ...] = ()  # of these, those that came out otherwise: where, and by how much
    _files: dict[str, Path] = field(default_factory=dict, repr=False)  # by video

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged and not self.different

    def inspect_videos(self, path: Path, file: FlowStore) -> list[str]:
        """The videos of a file whose records can be read."""
        videos: list[str] = []
        with self._noting(str(path)):
            for video in file.videos():
                if (other := self._files.setdefault(video, path)) != path:
                    self._note_lasting(f"video {video!r} is in {other} and in {path}")
                with self._noting(str(path)):
                    file.record(video)
                    self.finished += sum(int(file.finished(video, step).sum()) for step in file.steps(video))
                    videos.append(video)
        return videos

    def read_fields(self, file: FlowStore, video: str, tracker: Tracker) -> list[Field]:
        """Read all fields of a video; those (frame, step) with tiles that could be read."""
        sound: list[Field] = []
        record = file.record(video)
        # Where an estimator's whole frames are kept, every tile is there; from elsewhere, it may be unknown.
        complete = not record.around and record.estimator in ESTIMATORS
        for step in file.steps(video):
            with self._noting(f"{video}, step {step_name(step)}"):
                finished, (tiles, most) = file.finished(video, step), file.stored_tiles(video, step)
                file.planned(video, step)
                held = sorted(frame for frame in tiles if finished[frame])
                empty = int(finished.sum()) - len(held)
                self.read += len(held) + empty
                tracker.advance(empty)
                if complete and empty:
                    lost = np.flatnonzero(finished & ~np.isin(np.arange(len(finished)), held)).tolist()
                    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
                    some = ", ".join(map(str, lost[:5])) + more
                    self.damaged += (f"{video}, step {step_name(step)}: no tile of frames {some}",)
                    self.damaged_fields += tuple((video, frame, step) for frame in lost)
                for frame in held:
                    why = _why_damaged(file, (video, frame, step), tiles[frame], most, complete)
                    tracker.advance()
                    if why:
                        self.damaged += (f"{video}, frame {frame}, step {step_name(step)}: {why}",)
                        self.damaged_fields += ((video, frame, step),)
                    else:
                        sound.append((frame, step))
        return sound

    @contextlib.contextmanager
    def _noting(self, where: str) -> Iterator[None]:
        """Note damage and go on; other faults of a file, such as no permission, end the verification."""
        try:
            yield
        except OSError as error:
            if not isinstance(error, DamagedStoreError) and error.errno != errno.EIO:
                raise
            why = str(error.__cause__ or error)
            self._note_lasting(why if where in why else f"{where}: {why}")

    def _note_lasting(self, fault: str) -> None:
        self.damaged += (fault,)
        self.lasting += (fault,)


def verify_store(
    store: FlowStore, sample: int = 0, estimator: FlowEstimator | None = None, speaks: bool = True
) -> Verification:
    """Read every finished field, whose checksums HDF5 compares, and estimate some of them again.

    Files and videos that cannot be read are damage like any other, and the others are looked at all the same.
    Where a store holds flow near people alone, what it holds is compared. A `sample` is how many fields of
    each video to estimate again, at random, by the estimator that made the store. Raises FlowCacheError for
    another estimator or other settings than the store's, frames that are gone or not those that the store was
    made of, or a file that another process writes, and OSError where the system refuses a file.
    """
    if sample and estimator is None:
        raise FlowCacheError("no estimator to estimate a sample again with")
    found, videos = Verification(), {}
    for path in store.files():
        with FlowStore(path) as file:
            videos[path] = found.inspect_videos(path, file)
            if sample and estimator is not None:
                for video in videos[path]:  # before all that reading
                    _check_made_by(file, video, estimator)
    sound: dict[tuple[Path, str], list[Field]] = {}
    with Tracker("verify", "fields", found.finished, speaks=speaks) as tracker:
        for path, names in videos.items():
            with FlowStore(path) as file:
                sound |= {(path, video): found.read_fields(file, video, tracker) for video in names}
    if sample and estimator is not None:
        rng = np.random.default_rng(0)
        for (path, video), fields in tracked(sound.items(), "estimate again", "videos", speaks=speaks):
            chosen = [fields[i] for i in rng.permutation(len(fields))[:sample]]
            if chosen:
                with FlowStore(path) as file:
                    found.different += _estimate_again(file, video, chosen, estimator)
                found.estimated_again += len(chosen)
    return found


def _why_damaged(
    store: FlowStore, place: tuple[str, int, int], tiles: list[tuple[int, int]], most: int, complete: bool
) -> str:
    """What is wrong with a field; "" for nothing."""
    try:
        if 4 * len(tiles) >= most:
            store.read(*place)
        else:  # a file of a few tiles can announce fields that take all memory
            for x, y in tiles:
                store.read(*place, (x, y, 1, 1))
    except OSError as error:
        return str(error.__cause__ or error)
    return f"{most - len(tiles)} of {most} tiles are lost" if complete and len(tiles) < most else ""


def forget_fields(store: FlowStore, fields: Sequence[tuple[str, int, int]]) -> None:
    """Mark fields (video, frame, step) as not there, for the next precomputation; the store is closed.

    Raises FlowCacheError where another process reads or writes one of its files.
    """
    by_file: dict[Path, list[tuple[str, int, int]]] = {}
    for one in fields:
        by_file.setdefault(store.file(one[0]), []).append(one)
    store.close()
    for file in sorted(by_file):
        with FlowWriter(file) as writer:
            for one in by_file[file]:
                writer.forget(*one)


def _check_made_by(store: FlowStore, video: str, estimator: FlowEstimator) -> None:
    record = store.record(video)
    if record.estimator != estimator.name:
        made = f"was estimated by {record.estimator}, not by {estimator.name}"
    elif record.settings_hash != settings_hash(estimator):
        made = f"was estimated with {record.settings}, not with {estimator.settings()}"
    else:
        return
    raise FlowCacheError(f"{video} {made}; name what made it, or ask for a sample of 0")


def _estimate_again(
    store: FlowStore, video: str, fields: list[Field], estimator: FlowEstimator
) -> tuple[str, ...]:
    record = store.record(video)
    source = find_source_frames(record)
    wanted = sorted({end for frame, step in fields for end in (frame, frame + step)})
    images = dict(source.read(wanted))
    found = []
    for frame, step in fields:
        flow = estimator.estimate(np.stack([images[frame], images[frame + step]]), [(0, 1)])[0]
        there = store.read(video, frame, step)
        compared = there.valid if record.around else np.ones_like(there.valid)
        off = np.abs(flow - there.displacement)[:, compared]
        # NaN: lost from whole frames; near people, at least something is there.
        off_px = float(np.nan_to_num(off, nan=np.inf).max(initial=0 if off.size else np.inf))
        # Half a unit of rounding, and half another for machines that sum in another order.
        if off_px > 1 / UNITS_PER_PX:
            found.append(f"{video}, frame {frame}, step {step_name(step)}: up to {off_px:.1f} px")
    return tuple(found)
