"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flow_cache.runtime.streams import copy_into, is_stream
from flow_cache.runtime.temporaries import is_temporary, temporary_file, temporary_folder, temporary_name


@contextmanager
def atomic_write(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; the file written there takes the name `path` at the end.

    If the block raises, the temporary file goes and a file that `path` named before stays as it was; what a
    killed process left goes with the next write to the folder. The folder is made where it is missing. The
    temporary name ends as `path` does, for writers that read the format from it.

    A link is followed: the file that it leads to is replaced, and the link stays. The bytes of a pipe, a
    character device or an open descriptor (/dev/stdout) go into it at the end; it is not replaced.

    Args:
        path: file to write.
        durable: whether the content is on disk before it takes the name, also through a loss of power.

    Raises:
        IsADirectoryError: a folder has the name `path`; before the block.
        FileExistsError: a block device or socket has that name, before the block.
        OSError: the file cannot be written; the error names `path`, never the temporary name.
    """
    path = writable_file(path)
    if is_stream(path):
        with _through_a_file(path) as temporary:
            yield temporary
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_file(path) as (temporary, descriptor):
            yield temporary
            _take_name(temporary, path, descriptor, durable)
    except OSError as error:
        if error.errno is None or not (error.filename is None or is_temporary(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_bytes(path: str | Path, content: bytes, durable: bool = True) -> None:
    """Write a file by `atomic_write`, with its errors."""
    with atomic_write(path, durable) as temporary:
        temporary.write_bytes(content)


def link_name(name: Path, path: Path) -> None:
    """Let a whole file `path` be found as `name` too, in one move; a copy where links are not to be had.

    Raises:
        OSError: it cannot be; a file of that name stays as it was.
    """
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
    """Give an empty temporary folder beside `path`, which takes the name `path` at the end.

    If the block raises, the temporary folder goes. What a killed process left of an earlier try is removed.

    Raises:
        OSError: something in it cannot be written; the error names `path`, never the temporary name.
        FileExistsError: something has the name `path` already, before the block or at its end.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as temporary:
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


def _take_name(temporary: Path, path: Path, descriptor: int, durable: bool) -> None:
    """Move a file to its name, with the permissions of the one that it replaces."""
    with suppress(FileNotFoundError, PermissionError):  # nothing is replaced, or not one's own
        os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
    if durable:
        os.fsync(descriptor)  # some file systems say only here that there was no room
    os.replace(temporary, path)


@contextmanager
def _through_a_file(stream: Path) -> Iterator[Path]:
    """Give the name of a temporary file; what is written there goes into the stream at the end.

    Writers that go back and forth, such as HDF5, write to streams too, and an error writes nothing.
    """
    with tempfile.TemporaryDirectory(prefix="stream-") as folder:
        temporary = Path(folder, stream.name)
        yield temporary
        copy_into(temporary, stream)
