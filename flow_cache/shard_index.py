"""Which file of a folder holds which video, and an index of that, so that not every file has to be opened.

The index, `.flow_index` in the folder, keeps for each file its videos and what the system says of the file:
size, inode, times of change. An entry counts only while all of these are the same, and while the file had not
changed just before the index was made: within the grain of a file system's clock a second change would not
show. A folder that cannot be written to has no index, and its files are opened in turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flow_cache.errors import FlowCacheError
from flow_cache.recovery import journal_of
from flow_cache.runtime.atomic import write_bytes

#: Its name is hidden, and so no shard.
INDEX = ".flow_index"
#: With fewer files, opening them costs no more than to keep an index.
_FEWEST_FILES = 32
#: Coarsest clock of a file system (FAT's), ns.
GRAIN_NS = 2 * 10**9
_VERSION = 1

Stamp = tuple[int, int, int, int]  # size, inode, ns of the last change of content and of any change


@dataclass(frozen=True)
class _Entry:
    stamp: Stamp
    videos: tuple[str, ...]


def shard_files(folder: Path) -> list[Path]:
    """The files of a store of many: every .h5 file whose name is not hidden, sorted."""
    with os.scandir(folder) as entries:
        return sorted(
            folder / entry.name
            for entry in entries
            if entry.name.endswith(".h5") and not entry.name.startswith(".") and not entry.is_dir()
        )


def locate_videos(files: list[Path], names_in: Callable[[Path], list[str]]) -> dict[str, Path]:
    """The file of each video.

    Args:
        files: to look into; of several, all of one folder, the index is used and kept up.
        names_in: opens a file and tells its videos.

    Raises:
        FlowCacheError: a video is in two files.
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
    """What the system says of a file, by its name or descriptor, which is another after each change of it."""
    status = os.stat(file)
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _read(folder: Path) -> dict[str, _Entry]:
    """The entries that count; none where there is no index, or one that is damaged or of another version."""
    try:
        with open(folder / INDEX, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return {}
            checksum, _, body = file.read().partition(b"\n")
    except OSError:
        return {}
    if checksum != b"%08x" % zlib.crc32(body):
        return {}
    content = json.loads(body)
    if content["version"] != _VERSION:
        return {}
    # By the clock of the file system, which may be another machine's.
    settled_ns = status.st_mtime_ns - int(content["seconds"] * 1e9) - GRAIN_NS
    entries = {name: _Entry(tuple(was), tuple(videos)) for name, was, videos in content["files"]}
    return {name: entry for name, entry in entries.items() if max(entry.stamp[2:]) < settled_ns}


def _write(folder: Path, entries: Mapping[str, _Entry], seconds: float) -> None:
    files = [(name, entry.stamp, entry.videos) for name, entry in entries.items()]
    body = json.dumps({"version": _VERSION, "seconds": seconds, "files": files}).encode()
    # An index saves time alone: a folder that can only be read, or a full disk, does without.
    with contextlib.suppress(OSError):
        write_bytes(folder / INDEX, b"%08x\n" % zlib.crc32(body) + body, durable=False)
