"""Files and folders that appear whole or not at all, and outputs that are no files, such as pipes.

A temporary file or folder lies beside what it will become. Its writer locks it, and the next writer clears
what a killed one left. The lock of a file is an open file description's (fcntl, F_OFD_SETLK), which leaves
HDF5's own (flock) free; that of a folder is flock's. Both vanish with the process, however it ends, so a
process number that was given again misleads nobody. The name holds the machine, because not all shared file
systems share locks: what another machine left stays. Where locks are not to be had nothing is cleared.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

_OWN_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/(?:self|thread-self|(?P<process>\d+))/fd)/(?P<number>\d+)")


def is_stream(path: Path) -> bool:
    """Whether `path` is a character device, a pipe or an open descriptor, as /dev/stdout, to write into."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or own_descriptor(path) is not None


def own_descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a path such as /dev/stdout stands for; None if it does not."""
    step = os.path.abspath(path)
    for _ in range(40):  # links that Linux follows
        found = _OWN_DESCRIPTOR.fullmatch(step)
        if found and found["process"] in (None, str(os.getpid())):
            return int(found["number"])
        if not os.path.islink(step):
            break
        step = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(step)))
    return None


def copy_into(source: Path, stream: Path) -> None:
    """Write the bytes of a file into a stream; raises OSError, naming the stream."""
    descriptor = own_descriptor(stream)
    if descriptor is not None:
        for own in (sys.stdout, sys.stderr):  # what was said before comes before
            if own is not None:
                own.flush()
    try:
        # A descriptor's own position counts: opened anew, a file behind it would be cut to nothing.
        target = stream if descriptor is None else os.dup(descriptor)
        with open(source, "rb") as content, open(target, "wb") as into:
            shutil.copyfileobj(content, into)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(stream)) from error


_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_LEFT = re.compile(rf"\..+\.{_MACHINE}-[0-9a-f]{{12}}\.part(\.[^.]*)?")
#: Writes to go to a folder before it is looked through again.
_until_next_look: dict[str, int] = {}


def temporary_name(path: Path, keep_suffix: bool = True) -> Path:
    """A name beside `path` that nobody else takes; it ends as `path` does unless told otherwise."""
    stem, suffix = (path.stem, path.suffix) if keep_suffix else (path.name, "")
    tail = f".{_MACHINE}-{secrets.token_hex(6)}.part{suffix}"
    if len(os.fsencode(f".{stem}{tail}")) > 255:  # bytes, of most file systems
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
    return path.with_name(f".{stem}{tail}")


def is_temporary(name: str | bytes | int | Path) -> bool:
    """Whether a file name, as errors have it, is one that `temporary_name` gave."""
    return not isinstance(name, int) and _LEFT.fullmatch(os.path.basename(os.fsdecode(name))) is not None


def temporary_file(path: Path) -> AbstractContextManager[tuple[Path, int]]:
    """Make and hold an empty file to become `path`: its name, its descriptor; it is gone at the end."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return _temporary(path, True, lambda name: os.open(name, flags, 0o666))


def temporary_folder(path: Path) -> AbstractContextManager[tuple[Path, int]]:
    """Make an empty folder to become `path`, and hold it; it is gone at the end, with all that is in it."""

    def make(name: Path) -> int:
        name.mkdir()
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    return _temporary(path, False, make)


@contextmanager
def _temporary(path: Path, is_file: bool, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Make something temporary that nobody else takes for left over."""
    clear_left(path.parent)
    while True:
        temporary = temporary_name(path, keep_suffix=is_file)
        descriptor = make(temporary)
        if _hold(descriptor) is not False and _names(temporary, descriptor):
            break
        os.close(descriptor)  # a process that clears took it for left over
    try:
        yield temporary, descriptor
    finally:
        if is_file:
            temporary.unlink(missing_ok=True)
        else:
            shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def clear_left(folder: Path) -> None:
    """Remove what ended writers on this machine left; a folder of many entries is seldom looked through."""
    key = os.path.abspath(folder)
    if _until_next_look.get(key, 0) > 0:
        _until_next_look[key] -= 1
        return
    names: list[str] = []
    with suppress(OSError):  # of a folder that may not be listed
        names = [entry.name for entry in os.scandir(folder)]
        for name in filter(_LEFT.fullmatch, names):
            _is_left(folder / name, clear=True)
    _until_next_look[key] = len(names) // 16  # a write for every 16 entries


def left_in(folder: Path) -> list[Path]:
    """What `clear_left` would remove, sorted."""
    names = sorted(filter(_LEFT.fullmatch, os.listdir(folder)))
    return [folder / name for name in names if _is_left(folder / name, clear=False)]


def _is_left(left: Path, clear: bool) -> bool:
    """Whether nobody holds one, and remove it then if asked to; what may not be opened or removed stays."""
    is_folder = left.is_dir() and not left.is_symlink()
    flags = os.O_RDONLY | os.O_DIRECTORY if is_folder else os.O_RDWR
    with suppress(OSError):
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
    with suppress(FileNotFoundError):
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    return False


@contextmanager
def atomic_write(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; the file written there takes the name `path` at the end.

    If the block raises, a file that `path` named before stays as it was. The folder is made where it is
    missing. The temporary name ends as `path` does, for writers that read the format from it. A link is
    followed: the file that it leads to is replaced. The bytes of a pipe, a character device or an open
    descriptor (/dev/stdout) go into it. If `durable`, the content is on disk before it takes the name, also
    through a loss of power.

    Raises, before the block, IsADirectoryError for a folder, FileExistsError for a block device or socket,
    and OSError where the file cannot be written, which names `path`, never the temporary name.
    """
    path = writable_file(path)
    if is_stream(path):
        # HDF5 writes back and forth: the bytes of a temporary file go into the stream.
        with tempfile.TemporaryDirectory(prefix="stream-") as folder:
            through = Path(folder, path.name)
            yield through
            copy_into(through, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_file(path) as (temporary, descriptor):
            yield temporary
            with suppress(FileNotFoundError, PermissionError):  # nothing is replaced, or not one's own
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            if durable:
                os.fsync(descriptor)  # some file systems say only here that there was no room
            os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or not (error.filename is None or is_temporary(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_bytes(path: str | Path, content: bytes, durable: bool = True) -> None:
    """Write a file by `atomic_write`, with its errors."""
    with atomic_write(path, durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a file of UTF-8 by `atomic_write`, with its errors."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any, indent: int = 1) -> None:
    """Write a value as JSON, with a new line at the end, by `atomic_write`, with its errors."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


def link_name(name: Path, path: Path) -> None:
    """Let a whole file `path` be found as `name` too, in one move; a copy where links are not to be had."""
    name = writable_file(name)
    temporary = temporary_name(name)
    try:
        os.link(path, temporary)
    except OSError:
        write_bytes(name, path.read_bytes())
        return
    try:
        os.replace(temporary, name)
    finally:
        temporary.unlink(missing_ok=True)  # of two links to one file, a move leaves both


def writable_file(path: str | Path) -> Path:
    """The file that writing to `path` would make or replace, links followed; errors of `atomic_write`."""
    path = Path(path)
    if path.is_symlink() and not is_stream(path):
        path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, but the name of a file to write is wanted")
    if path.exists() and not path.is_file() and not is_stream(path):
        raise FileExistsError(f"{path} is a block device or a socket, but the name of a file is wanted")
    return path


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`, which takes that name unless the block raises.

    Raises OSError where something in it cannot be written, which names `path`, never the temporary name, and
    FileExistsError where something has the name `path` already, before the block or at its end.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as (temporary, _):
        try:
            yield temporary
        except OSError as error:
            named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else None
            if error.errno is None or not (named is None or temporary in (named, *named.parents)):
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error
        try:
            if path.exists():  # an empty folder would give way
                raise FileExistsError
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (None, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise FileExistsError(f"{path} was made by someone else meanwhile") from None
