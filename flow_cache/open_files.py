"""The files of a store that a process has open: few at a time, those that were used last."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import h5py

from flow_cache.opening import open_file
from flow_cache.runtime.hdf5_content import Hdf5ContentError, has_member, member_names
from flow_cache.schema import group_name, video_of_group
from flow_cache.shard_index import GRAIN_NS, Stamp, stamp
from flow_cache.stored_video import StoredVideo, VideoFacts

#: HDF5 keeps half a megabyte for each, and a process may often open no more than 1024 files of all kinds.
MOST_OPEN = 32
#: What the system says of a file, and what was checked of its videos.
Known = tuple[Stamp, dict[str, VideoFacts]]
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)


class UnknownVideoError(KeyError):
    """A video that a file does not hold."""


class StoreFile:
    """An open file of a store, and what was looked up in it."""

    def __init__(self, path: Path, before: Known | None = None) -> None:
        self.file: h5py.File = open_file(path)
        # Of the very file that is open: another may take its name at any time.
        self._stamp = stamp(self.file.id.get_vfd_handle())
        self._root = self.file["/"]
        self.users = 0  # threads that read it now
        self._videos: dict[str, StoredVideo] = {}
        settled = time.time_ns() - max(self._stamp[2:]) > GRAIN_NS
        self._facts = before[1] if before and settled and before[0] == self._stamp else {}

    @property
    def known(self) -> Known:
        """What was checked of it, for when it is opened again."""
        return self._stamp, self._facts | {name: video.facts for name, video in self._videos.items()}

    def names(self) -> list[str]:
        """Its videos."""
        videos = [video_of_group(name) for name in member_names(self._root)]
        for video in videos:
            # Names become those of folders, as on export.
            if video.startswith("/") or {".", ".."} & set(video.split("/")):
                raise Hdf5ContentError(f"video {video!r} is named as another place than below a folder")
        return videos

    def video(self, name: str) -> StoredVideo:
        """One of them; raises UnknownVideoError for any other name."""
        if name not in self._videos:
            if name not in self._facts and not has_member(self._root, group_name(name)):
                raise UnknownVideoError(name)
            self._videos[name] = StoredVideo(self.file, name, self._facts.get(name))
        return self._videos[name]


class OpenFiles:
    """Opens files when they are used, and closes those that were not used for the longest time.

    Threads may share it; processes may not.

    Args:
        most: files that stay open.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._files: OrderedDict[Path, StoreFile] = OrderedDict()
        self._known: dict[Path, Known] = {}  # of files that were closed
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def using(self, path: Path) -> Iterator[StoreFile]:
        """The open file, which stays open within the block; raises as `opening.open_file` does."""
        with self._lock:
            file = self._get(path)
            file.users += 1
        try:
            yield file
        finally:
            with self._lock:
                file.users -= 1

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            files, self._files = self._files, OrderedDict()
        for file in files.values():
            file.file.close()

    def _get(self, path: Path) -> StoreFile:
        if path in self._files:
            self._files.move_to_end(path)
            return self._files[path]
        self._close_down_to(self._most - 1)
        try:
            file = StoreFile(path, self._known.get(path))
        except OSError as error:
            # Others of this process may have taken what it may open.
            if error.errno not in _TOO_MANY_OPEN or not self._close_down_to(0):
                raise
            file = StoreFile(path, self._known.get(path))
        self._files[path] = file
        return file

    def _close_down_to(self, count: int) -> bool:
        """Close files that nobody reads until so many are open; whether any was closed."""
        idle = [path for path, file in self._files.items() if not file.users]
        goes = idle[: max(len(self._files) - count, 0)]
        for path in goes:
            file = self._files.pop(path)
            self._known[path] = file.known
            file.file.close()
        return bool(goes)
