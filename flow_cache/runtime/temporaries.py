"""Temporary files and folders beside what they will become: each is locked by its writer, and what a killed
writer left is cleared by the next one.

The lock of a file is an open file description's (fcntl, F_OFD_SETLK), which leaves HDF5's own (flock) free;
that of a folder is flock's. Both vanish with the process, however it ends, so a process number that was given
again misleads nobody. The name holds the machine, because not all shared file systems share locks: what
another machine left stays. Where locks are not to be had nothing is cleared.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

_NAME_BYTES = 255  # of most file systems
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_LEFT = re.compile(rf"\..+\.{_MACHINE}-[0-9a-f]{{12}}\.part(\.[^.]*)?")
#: A folder is looked through again after so many writes for each entry that it had.
_WRITES_AN_ENTRY = 1 / 16

#: Writes to go to a folder before it is looked through again.
_until_next_look: dict[str, int] = {}


def temporary_name(path: Path, keep_suffix: bool = True) -> Path:
    """A name beside `path` that nobody else takes; it ends as `path` does unless told otherwise."""
    stem, suffix = (path.stem, path.suffix) if keep_suffix else (path.name, "")
    tail = f".{_MACHINE}-{secrets.token_hex(6)}.part{suffix}"
    if len(os.fsencode(f".{stem}{tail}")) > _NAME_BYTES:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
    return path.with_name(f".{stem}{tail}")


def is_temporary(name: str | bytes | int | Path) -> bool:
    """Whether a file name, as errors have it, is one that `temporary_name` gave."""
    return not isinstance(name, int) and _LEFT.fullmatch(os.path.basename(os.fsdecode(name))) is not None


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[tuple[Path, int]]:
    """Make and hold an empty file to become `path`: its name, its descriptor; it is gone at the end."""
    clear_left(path.parent)
    while True:
        temporary = temporary_name(path)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        if _hold(descriptor) is not False and _names(temporary, descriptor):
            break
        os.close(descriptor)  # a process that clears took it for left over
    try:
        yield temporary, descriptor
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder to become `path`, and hold it; it is gone at the end, with all that is in it."""
    clear_left(path.parent)
    while True:
        temporary = temporary_name(path, keep_suffix=False)
        temporary.mkdir()
        descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _hold(descriptor) is not False and _names(temporary, descriptor):
            break
        os.close(descriptor)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def clear_left(folder: Path) -> None:
    """Remove temporary files and folders whose writers on this machine have ended; never a living one's.

    A folder with many entries is looked through once in many calls: the cost of a call does not grow with it.
    """
    key = os.path.abspath(folder)
    if _until_next_look.get(key, 0) > 0:
        _until_next_look[key] -= 1
        return
    entries = 0
    with contextlib.suppress(OSError):  # of a folder that may not be listed
        for entry in os.scandir(folder):
            entries += 1
            if entry.name[0] == "." and _LEFT.fullmatch(entry.name):
                _is_left(Path(entry.path), clear=True)
    _until_next_look[key] = int(entries * _WRITES_AN_ENTRY)


def left_in(folder: Path) -> list[Path]:
    """What `clear_left` would remove, sorted."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if _LEFT.fullmatch(entry.name))
    return [folder / name for name in names if _is_left(folder / name, clear=False)]


def _is_left(left: Path, clear: bool) -> bool:
    """Whether nobody holds one, and remove it then if asked to; what may not be opened or removed stays."""
    is_folder = left.is_dir() and not left.is_symlink()
    flags = os.O_RDONLY | os.O_DIRECTORY if is_folder else os.O_RDWR
    with contextlib.suppress(OSError):
        descriptor = os.open(left, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _hold(descriptor) and _names(left, descriptor):
                if clear and is_folder:
                    shutil.rmtree(left, ignore_errors=True)
                elif clear:
                    left.unlink()
                return True
        finally:
            os.close(descriptor)
    return False


def _hold(descriptor: int) -> bool | None:
    """Lock an open file or folder: whether it was free; None where locks are not to be had."""
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif hasattr(fcntl, "F_OFD_SETLK"):
            whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole)
        else:
            return None
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True


def _names(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to what was opened."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
