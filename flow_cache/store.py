"""Reading a store: a file, or a folder of them. Opened when first read, once in each process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from flow_cache import store_files
from flow_cache.codec import decode, pixels_touched
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.runtime.hdf5 import Hdf5ContentError, named
from flow_cache.runtime.lru_cache import LruCache
from flow_cache.schema import STEPS, VideoRecord, region_in_words, region_words, step_name, writer_command
from flow_cache.store_files import OF_DAMAGE, OpenFiles, UnknownVideoError, damaged
from flow_cache.stored_video import StoredVideo, VideoFacts
from flow_cache.video import VideoSource

#: Larger fields are not worth to be read whole where a crop is asked for: 512 x 512 px.
_LARGEST_KEPT = 2**20  # bytes


@dataclass(frozen=True)
class FlowField:
    """The flow from one frame to another, of the whole frame or of a box in it.

    The displacement is NaN in pixels that are not stored: far from people, or unknown in what was imported.
    """

    displacement: np.ndarray  # (2, H, W) float32 px, x first
    origin: tuple[int, int] = (0, 0)  # x, y px: where displacement[:, 0, 0] lies in the frame

    @property
    def valid(self) -> np.ndarray:
        """Which pixels are stored, and not NaN: (H, W) bool, computed at each use."""
        return ~np.isnan(self.displacement).any(axis=0)


P = ParamSpec("P")
T = TypeVar("T")


class FlowStore:
    """The flow of many videos, as `precompute` wrote it.

    The path is a .h5 file, or a folder of them in which every video is in one file; hidden files are none.
    `keep_bytes` of memory, in each process, are for small fields that were read lately: those of a set that
    fits into it are decompressed once, and not for each crop of each epoch. An object travels to other
    processes by fork or pickling: each process opens the files for itself, and of a folder keeps the few open
    that it used last. Raises FlowCacheError where there is no store at the path; what is wrong inside of a
    file shows when it is read.
    """

    def __init__(self, path: Path | str, keep_bytes: int = 0) -> None:
        self._path = Path(path)
        self._recent: LruCache[tuple[VideoFacts, int, int]] = LruCache(keep_bytes)  # frame, step
        self._opened: dict[int, OpenFiles] = {}  # by process
        self._located: dict[str, Path] | None = None  # the file of each video
        if not self.files():
            wanted = "a folder without .h5 files" if self._path.is_dir() else "missing"
            raise FlowCacheError(
                f"no flow store at {self._path}: {wanted}; run: {writer_command('VIDEO', self._path)}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_opened": {}, "_located": None, "_recent": self._recent}

    def __enter__(self) -> FlowStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def files(self) -> list[Path]:
        """The files of the store, sorted: itself, or those of the folder."""
        if self._path.is_dir():
            return store_files.shard_files(self._path)
        return [self._path] if self._path.exists() else []

    def videos(self) -> tuple[str, ...]:
        """The names of the videos, sorted."""
        return tuple(sorted(self._files_of_videos()))

    def frames(self, video: str) -> tuple[str, ...]:
        """The file names of a video's frames in order, or six digits each for a video file."""
        return self._ask(video, StoredVideo.frames)

    def steps(self, video: str) -> tuple[int, ...]:
        """The steps that a video has room for, sorted; `finished` tells which of their fields are there."""
        return self._ask(video, StoredVideo.steps)

    def size(self, video: str) -> tuple[int, int]:
        """Width and height of a video's frames, px."""
        return self._ask(video, StoredVideo.size)

    def record(self, video: str) -> VideoRecord:
        """What is known of a video and of how its flow was made."""
        return replace(self._ask(video, StoredVideo.record), store=self.file(video))

    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are there: (frames,) bool; all False for a step without room."""
        return self._ask(video, StoredVideo.finished, step)

    def planned(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step were asked for: (frames,) bool; in layout 1 all within the video."""
        return self._ask(video, StoredVideo.planned, step)

    def bytes_stored(self, video: str) -> int:
        """What a video's fields take on disk, without the index."""
        return self._ask(video, StoredVideo.bytes_stored)

    def tiles_stored(self, video: str) -> tuple[int, int]:
        """How many tiles of a video's finished fields are in the file, and of how many."""
        return self._ask(video, StoredVideo.tiles_stored)

    def stored_tiles(self, video: str, step: int) -> tuple[dict[int, list[tuple[int, int]]], int]:
        """Where the tiles lie that the file has, x, y px by frame, and how many a field has; reads none."""
        return self._ask(video, StoredVideo.stored_tiles, step)

    def file(self, video: str) -> Path:
        """The file that holds a video."""
        located = self._files_of_videos()
        if video not in located:
            some = ", ".join(sorted(located)[:5]) + (", ..." if len(located) > 5 else "")
            raise MissingFlowError(
                f"no flow for video {video!r} in {self._path} (it has: {some or 'none'}); "
                f"run: {writer_command(video, self._path)}"
            )
        return located[video]

    def read(self, video: str, frame: int, step: int, box: Sequence[float] | None = None) -> FlowField:
        """The flow from a frame, an index into `frames(video)`, to the frame `step` later, or earlier.

        Of a box x, y, width, height px only the pixels that it touches, within the frame; `origin` is the
        upper left one. That none of them is stored, far from all people, is no error. Raises MissingFlowError
        for a field that is not there, FlowCacheError for no such video, or a box without a pixel of it.
        """
        return self._ask(video, self._read, frame, step, *([] if box is None else [box]))

    def _read(
        self, held: StoredVideo, frame: int, step: int, box: Sequence[float] | None = None
    ) -> FlowField:
        fields = held.step(step)
        if fields is None or not 0 <= frame < len(fields.finished) or not fields.finished[frame]:
            raise MissingFlowError(self._why_missing(held.name, frame, step))
        width, height = held.facts.width, held.facts.height
        x, y, columns, rows = pixels_touched(box, width, height)
        if 2 * 2 * height * width <= min(self._recent.most_bytes, _LARGEST_KEPT):  # two axes of int16
            field = held.facts, frame, step  # these facts end where the file changes
            whole = self._recent.get(field, lambda: fields.read(frame, 0, 0, width, height))
            stored = whole[:, y : y + rows, x : x + columns]
        else:
            stored = fields.read(frame, x, y, columns, rows)
        return FlowField(decode(stored), (x, y))

    def close(self) -> None:
        """Close what this process opened; a later call opens it again, and sees what is there then."""
        self._located = None
        self._recent.clear()
        if (opened := self._opened.pop(os.getpid(), None)) is not None:
            opened.close()

    def _open_files(self) -> OpenFiles:
        # By process: a child of a fork must not use, and not even close, what its parent opened, for closing
        # would give up the parent's lock on the file.
        opened = self._opened.get(os.getpid())
        return opened if opened is not None else self._opened.setdefault(os.getpid(), OpenFiles())

    def _files_of_videos(self) -> dict[str, Path]:
        if self._located is None:
            self._located = store_files.locate_videos(self.files(), self._names_in)
        return self._located

    def _names_in(self, path: Path) -> list[str]:
        with self._open_files().using(path) as file:
            try:
                return file.names()
            except (*OF_DAMAGE, Hdf5ContentError) as error:
                raise damaged(path, error) from error

    def _ask(
        self, video: str, method: Callable[Concatenate[StoredVideo, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a method with an open video; of the many errors of HDF5, name file, video and call."""
        path = self.file(video)
        try:
            with self._open_files().using(path) as file:
                return method(file.video(video), *args, **kwargs)
        except UnknownVideoError as error:
            raise FlowCacheError(
                f"{path} holds video {video!r} no longer: it was written anew; open the store again"
            ) from error
        except FlowCacheError:
            raise
        except Hdf5ContentError as error:
            raise damaged(path, error) from error
        except OF_DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise named(error, path) from error
            call = ", ".join(repr(value) for value in (video, *args))
            raise damaged(path, f"{method.__name__.lstrip('_')}({call}): {error}") from error

    def _why_missing(self, video: str, frame: int, step: int) -> str:
        from flow_cache.estimators import estimator_words  # which would make every reader load OpenCV

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
