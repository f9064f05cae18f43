"""Reading a store: a file, or a folder of them. Opened when first read, once in each process."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import h5py
import numpy as np

from flow_cache.codec import decode, from_row_differences
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.estimators import estimator_words
from flow_cache.naming import VideoSource
from flow_cache.opening import OF_DAMAGE, damaged, open_file
from flow_cache.recent import RecentFields
from flow_cache.schema import (
    STEPS,
    VideoRecord,
    every_field,
    get_text,
    parse_step,
    region_in_words,
    region_words,
    rows_of_differences,
    step_name,
    video_of_group,
    writer_command,
)
from flow_cache.tiles import pixels_touched


@dataclass(frozen=True)
class FlowField:
    """The flow from one frame to another, of the whole frame or of a box in it.

    The displacement is NaN in the pixels that are not stored: far from people in a store that was made around
    their boxes, or unknown in what was imported.
    """

    displacement: np.ndarray  # (2, H, W) float32 px, x first
    origin: tuple[int, int] = (0, 0)  # x, y px: where displacement[:, 0, 0] lies in the frame

    @property
    def valid(self) -> np.ndarray:
        """Which pixels are stored, and not NaN: (H, W) bool, computed at each use."""
        return ~np.isnan(self.displacement).any(axis=0)


@dataclass(frozen=True)
class _Step:
    """The fields of one step of a video in an open file; looking them up takes longer than to read a crop."""

    fields: h5py.h5d.DatasetID  # (F, 2, H, W) int16
    finished: np.ndarray  # (F,) bool
    rows: int | None  # `schema.rows_of_differences`

    def read(self, frame: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Some pixels of a field in fixed point: (2, height, width) int16."""
        above = y % self.rows if self.rows else 0  # differences are summed from the first row of the tile on
        stored = np.empty((2, above + height, width), np.int16)
        here = self.fields.get_space()
        here.select_hyperslab((frame, 0, y - above, x), (1, *stored.shape))
        self.fields.read(h5py.h5s.create_simple((1, *stored.shape)), here, stored)
        return from_row_differences(stored, self.rows)[:, above:] if self.rows else stored


P = ParamSpec("P")
T = TypeVar("T")


def _naming_damage(
    method: Callable[Concatenate[FlowStore, str, P], T],
) -> Callable[Concatenate[FlowStore, str, P], T]:
    """Name file, video and call where HDF5 cannot read what it should, for which it raises many kinds."""

    @functools.wraps(method)
    def naming(self: FlowStore, video: str, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, video, *args, **kwargs)
        except FlowCacheError:
            raise
        except OF_DAMAGE as error:
            call = f"{method.__name__}({', '.join(repr(value) for value in (video, *args))})"
            raise damaged(self.file(video), f"{call}: {error}") from error

    return naming


class FlowStore:
    """The flow of many videos, as `precompute` wrote it.

    An object travels to other processes by fork or pickling: each process opens the files for itself.

    Args:
        path: a .h5 file, or a folder of them in which every video is in one file.
        keep_bytes: of memory, in each process, for small fields that were read lately: those of a set that
            fits into it are decompressed once, and not for each crop of each epoch.

    Raises:
        FlowCacheError: there is no store at the path. What is wrong inside of a file shows when it is read.
    """

    def __init__(self, path: Path | str, keep_bytes: int = 0) -> None:
        self._path = Path(path)
        self._recent = RecentFields(keep_bytes)
        self._opened: dict[int, dict[str, h5py.Group]] = {}  # by process, then by video
        self._steps: dict[tuple[int, str, int], _Step | None] = {}  # by process, video and step
        if not self._shards():
            wanted = "a folder without .h5 files" if self._path.is_dir() else "missing"
            raise FlowCacheError(
                f"no flow store at {self._path}: {wanted}; run: {writer_command('VIDEO', self._path)}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_opened": {}, "_steps": {}, "_recent": self._recent}

    def __enter__(self) -> FlowStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def videos(self) -> tuple[str, ...]:
        """The names of the videos, sorted."""
        return tuple(sorted(self._groups()))

    @_naming_damage
    def frames(self, video: str) -> tuple[str, ...]:
        """The file names of a video's frames in order, or six digits each for a video file."""
        return tuple(self._group(video)["frame_names"].asstr()[:])

    @_naming_damage
    def steps(self, video: str) -> tuple[int, ...]:
        """The steps that a video has room for, sorted; `finished` tells which of their fields are there."""
        return tuple(sorted(parse_step(name) for name in self._group(video)["flow"]))

    @_naming_damage
    def size(self, video: str) -> tuple[int, int]:
        """Width and height of a video's frames, px."""
        attributes = self._group(video).attrs
        return int(attributes["width"]), int(attributes["height"])

    @_naming_damage
    def record(self, video: str) -> VideoRecord:
        """What is known of a video and of how its flow was made."""
        attributes = self._group(video).attrs
        text = {key: get_text(attributes, key) for key in _TEXT_ATTRIBUTES}
        text["around"] = get_text(attributes, "around") if "around" in attributes else ""
        width, height = self.size(video)
        return VideoRecord(video, width, height, self.frames(video), **text)

    @_naming_damage
    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are there: (frames,) bool; all False for a step without room."""
        return self._flags(video, "finished", step)

    @_naming_damage
    def planned(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step were asked for, finished or not: (frames,) bool, as `finished`.

        A store of layout version 1 does not say: then every field that stays within the video.
        """
        if "planned" in self._group(video):
            return self._flags(video, "planned", step)
        return every_field(len(self.frames(video)), step).astype(bool) & (step in self.steps(video))

    @_naming_damage
    def bytes_stored(self, video: str) -> int:
        """What a video's fields take on disk, without the index."""
        return sum(fields.id.get_storage_size() for fields in self._group(video)["flow"].values())

    @_naming_damage
    def tiles_stored(self, video: str) -> tuple[int, int]:
        """How many tiles of a video's finished fields are in the file, and of how many."""
        stored = possible = 0
        for step, fields in (
            (parse_step(name), fields) for name, fields in self._group(video)["flow"].items()
        ):
            _, _, rows, columns = (-(-side // tile) for side, tile in zip(fields.shape, fields.chunks))
            stored += fields.id.get_num_chunks()
            possible += int(self.finished(video, step).sum()) * rows * columns
        return stored, possible

    def file(self, video: str) -> Path:
        """The file that holds a video."""
        return Path(self._group(video).file.filename)

    @_naming_damage
    def read(self, video: str, frame: int, step: int, box: Sequence[float] | None = None) -> FlowField:
        """The flow from a frame to the frame `step` later.

        Args:
            video: its name.
            frame: index into `frames(video)`.
            step: negative for an earlier frame.
            box: x, y, width, height px. Read only the pixels that it touches, within the frame.

        Returns:
            The field, whose `origin` is (0, 0) or the upper left pixel of the box. `valid` says which of its
            pixels are stored; elsewhere the displacement is NaN. That none is, where a box lies far from all
            people of a store that was made around them, is no error.

        Raises:
            MissingFlowError: the store does not hold the field.
            FlowCacheError: no such video, or a box without a pixel in the frame.
        """
        fields = self._step(video, step)
        if fields is None or not 0 <= frame < len(fields.finished) or not fields.finished[frame]:
            raise MissingFlowError(self._why_missing(video, frame, step))
        _, _, height, width = fields.fields.shape
        x, y, columns, rows = pixels_touched(box, width, height)
        if self._recent.takes(2 * 2 * height * width):  # two axes of int16
            whole = self._recent.field((video, frame, step), lambda: fields.read(frame, 0, 0, width, height))
            stored = whole[:, y : y + rows, x : x + columns]
        else:
            stored = fields.read(frame, x, y, columns, rows)
        return FlowField(decode(stored), (x, y))

    def close(self) -> None:
        """Close what this process opened; a later call opens it again."""
        self._steps = {key: step for key, step in self._steps.items() if key[0] != os.getpid()}
        for file in {group.file for group in self._opened.pop(os.getpid(), {}).values()}:
            file.close()

    def _shards(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(self._path.glob("*.h5"))
        return [self._path] if self._path.exists() else []

    def _group(self, video: str) -> h5py.Group:
        groups = self._groups()
        if video not in groups:
            some = ", ".join(sorted(groups)[:5]) + (", ..." if len(groups) > 5 else "")
            raise MissingFlowError(
                f"no flow for video {video!r} in {self._path} (it has: {some or 'none'}); "
                f"run: {writer_command(video, self._path)}"
            )
        return groups[video]

    def _step(self, video: str, step: int) -> _Step | None:
        key = os.getpid(), video, step
        if key not in self._steps:
            group, name = self._group(video), step_name(step)
            if name in group["flow"]:  # not `get`, which calls what is damaged missing
                fields, finished = group["flow"][name], self.finished(video, step)
                self._steps[key] = _Step(fields.id, finished, rows_of_differences(fields))
            else:
                self._steps[key] = None
        return self._steps[key]

    def _flags(self, video: str, kind: str, step: int) -> np.ndarray:
        flags = self._group(video)[kind]
        if step_name(step) not in flags:
            return np.zeros(len(self.frames(video)), bool)
        return flags[step_name(step)][:].astype(bool)

    def _groups(self) -> dict[str, h5py.Group]:
        # By process: a child of a fork must not use, and not even close, what its parent opened, for closing
        # would give up the parent's lock on the file.
        if os.getpid() not in self._opened:
            groups: dict[str, h5py.Group] = {}
            files: list[h5py.File] = []
            try:
                for shard in self._shards():
                    files.append(open_file(shard))
                    for name, group in ((video_of_group(key), group) for key, group in files[-1].items()):
                        if name in groups:
                            raise FlowCacheError(
                                f"video {name!r} is in {groups[name].file.filename} and in {shard}; if they "
                                "are two, give one of them another name: precompute NAME=PATH"
                            )
                        groups[name] = group
            except BaseException:
                for file in files:
                    file.close()
                raise
            if self._opened.setdefault(os.getpid(), groups) is not groups:  # another thread was first
                for file in files:
                    file.close()
        return self._opened[os.getpid()]

    def _why_missing(self, video: str, frame: int, step: int) -> str:
        last = len(self.frames(video)) - 1
        field = f"no flow for video {video!r}, frame {frame}, step {step_name(step)} in {self.file(video)}"
        if not (0 <= frame <= last and 0 <= frame + step <= last):
            return f"{field}: it would leave the video, whose frames are 0 to {last}"
        record = self.record(video)
        held = f" (it holds flow {region_in_words(record.around)})" if record.around else ""
        estimator = estimator_words(record.estimator, json.loads(record.settings))
        if estimator is None:
            return f"{field}{held}; its flow is {record.estimator}, which precompute cannot add to"
        steps = "" if step in STEPS else f"--steps={step}"
        words = " ".join(filter(None, [estimator, steps, region_words(record.around)]))
        source = VideoSource(Path(record.source), video)
        return f"{field}{held}; run: {writer_command(str(source), self.file(video), words)}"


_TEXT_ATTRIBUTES = ("source", "source_hash", "estimator", "settings", "settings_hash")
