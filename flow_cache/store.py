"""Reading a store: a file, or a folder of them. Opened when first read, once in each process."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import h5py
import numpy as np

from flow_cache.codec import decode
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.opening import OF_DAMAGE, damaged, open_file
from flow_cache.schema import VideoRecord, get_text, parse_step, step_name, writer_command


@dataclass(frozen=True)
class FlowField:
    """The flow from one frame to another, of the whole frame or of a box in it."""

    displacement: np.ndarray  # (2, H, W) float32 px, x first
    origin: tuple[int, int] = (0, 0)  # x, y px: where displacement[:, 0, 0] lies in the frame


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

    Raises:
        FlowCacheError: there is no store at the path. What is wrong inside of a file shows when it is read.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._opened: dict[int, dict[str, h5py.Group]] = {}  # by process, then by video
        if not self._shards():
            wanted = "a folder without .h5 files" if self._path.is_dir() else "missing"
            raise FlowCacheError(
                f"no flow store at {self._path}: {wanted}; run: {writer_command('VIDEO', self._path)}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_opened": {}}

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
        width, height = self.size(video)
        return VideoRecord(video, width, height, self.frames(video), **text)

    @_naming_damage
    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are there: (frames,) bool; all False for a step without room."""
        flags = self._group(video)["finished"]
        if step_name(step) not in flags:
            return np.zeros(len(self._group(video)["frame_names"]), bool)
        return flags[step_name(step)][:].astype(bool)

    @_naming_damage
    def bytes_stored(self, video: str) -> int:
        """What a video's fields take on disk, without the index."""
        return sum(fields.id.get_storage_size() for fields in self._group(video)["flow"].values())

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
            The field, whose `origin` is (0, 0) or the upper left pixel of the box.

        Raises:
            MissingFlowError: the store does not hold the field.
            FlowCacheError: no such video, or a box without a pixel in the frame.
        """
        group = self._group(video)
        flags = group["finished"].get(step_name(step))
        if not 0 <= frame < len(group["frame_names"]) or flags is None or not flags[frame]:
            raise MissingFlowError(self._why_missing(video, frame, step))
        fields = group["flow"][step_name(step)]
        x, y, width, height = _pixels(box, fields.shape[3], fields.shape[2])
        displacement = decode(fields[frame, :, y : y + height, x : x + width])
        return FlowField(displacement, (x, y))

    def close(self) -> None:
        """Close what this process opened; a later call opens it again."""
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

    def _groups(self) -> dict[str, h5py.Group]:
        # By process: a child of a fork must not use, and not even close, what its parent opened, for closing
        # would give up the parent's lock on the file.
        if os.getpid() not in self._opened:
            groups: dict[str, h5py.Group] = {}
            files: list[h5py.File] = []
            try:
                for shard in self._shards():
                    files.append(open_file(shard))
                    for name, group in files[-1].items():
                        if name in groups:
                            raise FlowCacheError(
                                f"video {name!r} is in {groups[name].file.filename} and in {shard}"
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
        return f"{field}; run: {writer_command(self.record(video).source, self.file(video))}"


_TEXT_ATTRIBUTES = ("source", "source_hash", "estimator", "settings", "settings_hash")


def _pixels(box: Sequence[float] | None, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels of a frame that a box touches: x, y, width, height, whole px."""
    if box is None:
        return 0, 0, width, height
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise FlowCacheError(f"box {tuple(box)}; wanted four finite numbers: x, y, width, height px")
    left, top = max(math.floor(box[0]), 0), max(math.floor(box[1]), 0)
    right = min(math.ceil(box[0] + box[2]), width)
    bottom = min(math.ceil(box[1] + box[3]), height)
    if right <= left or bottom <= top:
        raise FlowCacheError(f"box {tuple(box)} has no pixel in a frame of {width} x {height} px")
    return left, top, right - left, bottom - top
