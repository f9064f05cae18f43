"""The files of a store: which of them holds which video, and those that a process has open.

An index, `.flow_index` in a folder, spares opening every file: it keeps for each its videos and what the
system says of it (size, inode, times of change). An entry counts only while all of these are the same, and
the file had not changed just before the index was made: within the grain of a file system's clock a second
change would not show. Without an index, as where a folder cannot be written to, files are opened in turn.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py

from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.journal import JournaledFile, journal_of, recover
from flow_cache.runtime.atomic import temporary_file, write_bytes
from flow_cache.runtime.hdf5 import Hdf5ContentError, has_member, member_names, open_hdf5
from flow_cache.runtime.words import quoted
from flow_cache.schema import LIBVER, SCHEMA, check_schema, group_name, video_of_group
from flow_cache.stored_video import StoredVideo, VideoFacts

#: Its name is hidden, and so no shard.
INDEX = ".flow_index"
#: With fewer files, opening them costs no more than to keep an index.
_FEWEST_FILES = 32
#: Coarsest clock of a file system (FAT's), ns.
GRAIN_NS = 2 * 10**9
_VERSION = 1
#: What h5py raises for a file with other bytes than HDF5 wrote.
OF_DAMAGE = (OSError, RuntimeError, KeyError)
#: What file systems without hard links answer, such as exFAT.
_WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
#: Another reader that finishes a killed writer's commit has the file to itself for a moment.
_TRIES, _SECONDS_BETWEEN_TRIES = 5, 0.05
#: HDF5 keeps half a megabyte for each, and a process may often open no more than 1024 files of all kinds.
MOST_OPEN = 32
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)

Stamp = tuple[int, int, int, int]  # size, inode, ns of the last change of content and of any change
#: What the system says of a file, and what was checked of its videos.
Known = tuple[Stamp, dict[str, VideoFacts]]


class _Entry(NamedTuple):
    stamp: Stamp
    videos: tuple[str, ...]


def shard_files(folder: Path) -> list[Path]:
    """Every .h5 file of a folder whose name is not hidden, sorted."""
    with os.scandir(folder) as entries:
        return sorted(
            folder / entry.name
            for entry in entries
            if entry.name.endswith(".h5") and not entry.name.startswith(".") and not entry.is_dir()
        )


def locate_videos(files: list[Path], names_in: Callable[[Path], list[str]]) -> dict[str, Path]:
    """The file of each video; of several files, all of one folder, the index is used and kept up.

    `names_in` opens a file and tells its videos. Raises FlowCacheError for a video in two files.
    """
    folder, began = files[0].parent, time.monotonic()
    indexed = len(files) >= _FEWEST_FILES
    known = _read(folder) if indexed else {}
    entries: dict[str, _Entry] = {}
    found: dict[str, Path] = {}
    for path in files:
        # Before the file is opened: what changes from then on shows as another stamp.
        now = stamp(path) if indexed else (0, 0, 0, 0)
        entry = known.get(path.name)
        if entry is None or entry.stamp != now or journal_of(path).exists():
            entry = _Entry(now, tuple(names_in(path)))
        entries[path.name] = entry
        for name in entry.videos:
            if name in found:
                raise FlowCacheError(
                    f"video {name!r} is in {found[name]} and in {path}; if they are two, give one of them "
                    "another name: precompute NAME=PATH"
                )
            found[name] = path
    if indexed and entries != known:
        _write(folder, entries, time.monotonic() - began)
    return found


def stamp(file: Path | int) -> Stamp:
    """What the system says of a file (name or descriptor), which is another after each change of it."""
    status = os.stat(file)
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _read(folder: Path) -> dict[str, _Entry]:
    """The entries that count; none of an index that is missing, damaged or of another version."""
    try:
        with open(folder / INDEX, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return {}
            checksum, _, body = file.read().partition(b"\n")
    except OSError:
        return {}
    if checksum != b"%08x" % zlib.crc32(body) or (content := json.loads(body))["version"] != _VERSION:
        return {}
    # By the clock of the file system, which may be another machine's.
    settled_ns = status.st_mtime_ns - int(content["seconds"] * 1e9) - GRAIN_NS
    entries = {name: _Entry(tuple(was), tuple(videos)) for name, was, videos in content["files"]}
    return {name: entry for name, entry in entries.items() if max(entry.stamp[2:]) < settled_ns}


def _write(folder: Path, entries: Mapping[str, _Entry], seconds: float) -> None:
    files = [(name, *entry) for name, entry in entries.items()]
    body = json.dumps({"version": _VERSION, "seconds": seconds, "files": files}).encode()
    # An index saves time alone: a folder that can only be read, or a full disk, does without.
    with contextlib.suppress(OSError):
        write_bytes(folder / INDEX, b"%08x\n" % zlib.crc32(body) + body, durable=False)


def damaged(path: Path, why: str | Exception) -> DamagedStoreError:
    """What to raise where a file cannot be read, or holds what no writer of ours put there."""
    verify = "python -m flow_cache verify"
    if isinstance(why, Hdf5ContentError):
        said = f"{path}: {why}; {verify} lists all that is wrong"
    elif "plugin" in str(why):  # HDF5 looks for a filter that it has not
        lacks = "is compressed by a filter that this HDF5 lacks"
        said = f"{path} {lacks}: pip install --upgrade hdf5plugin ({why})"
    else:
        said = f"{path} is damaged, or its disk fails: {why}; {verify} {quoted(path)} lists all that is"
    return DamagedStoreError(said)


def open_file(path: Path) -> h5py.File:
    """Open a store's file as of its writer's last commit, locked against writers.

    Raises FlowCacheError where a writer has it, it is no store of this layout, or it is damaged, and OSError
    where the system refuses it: no permission, too many open files, a failing disk.
    """
    file = _open_committed(path)
    try:
        check_schema(file, path)
    except FlowCacheError:
        file.close()
        raise
    except (*OF_DAMAGE, Hdf5ContentError) as error:
        file.close()
        raise damaged(path, error) from error
    return file


def _open_committed(path: Path) -> h5py.File:
    for _ in range(_TRIES):
        recover(path)
        try:
            # Crops seldom share tiles, and every data set would have a cache of its own.
            file = open_hdf5(path, rdcc_nbytes=0)
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN_TRIES)
            continue
        except (OSError, Hdf5ContentError) as error:
            if getattr(error, "errno", None) is not None:
                raise
            raise DamagedStoreError(f"{path} is no HDF5 file, or a damaged one: {error}") from error
        if not journal_of(path).exists():
            return file
        file.close()  # its writer was killed just now
    raise FlowCacheError(f"{path} is being written by another process; wait for it to finish")


def make_if_missing(path: Path) -> None:
    """Make an empty store where there is no file; raises FlowCacheError for a folder."""
    if path.is_dir():
        raise FlowCacheError(f"{path} is a folder; name the file to write, such as {path / 'flow.h5'}")
    if path.exists():
        return
    journal_of(path).unlink(missing_ok=True)  # of a file that was removed
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # HDF5 may crash where it cannot write as it closes
    with h5py.File(content, "w", libver=LIBVER) as file:
        file.attrs["schema"] = SCHEMA
    try:
        with temporary_file(path) as (unfinished, _), contextlib.suppress(FileExistsError):
            unfinished.write_bytes(content.getvalue())
            try:  # unlike a rename, neither of these replaces what another writer has just made
                os.link(unfinished, path)
            except OSError as error:
                if error.errno not in _WITHOUT_LINKS:
                    raise
                with open(path, "xb") as file:
                    file.write(content.getvalue())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def open_for_writing(content: JournaledFile, path: Path) -> h5py.File:
    """Open a store's file that was locked for a writer; FlowCacheError where it is no store, or damaged."""
    if content.seek(0, os.SEEK_END) == 0:  # h5py would begin a new file in it
        raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: it is empty; remove it")
    try:
        file = h5py.File(content, "r+", libver=LIBVER)
    except OSError as error:
        raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: {error}") from error
    check_schema(file, path)
    return file


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
    """Opens files when they are used, and keeps `most` open; threads may share it, processes may not."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._files: OrderedDict[Path, StoreFile] = OrderedDict()
        self._known: dict[Path, Known] = {}  # of files that were closed
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def using(self, path: Path) -> Iterator[StoreFile]:
        """The open file, which stays open within the block; raises as `open_file` does."""
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
