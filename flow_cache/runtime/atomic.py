"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; the file written there takes the name `path` at the end.

    If the block raises, the temporary file goes and a file that `path` named before stays as it was. The
    folder is made where it is missing. The temporary name ends as `path` does, for writers that read the
    format from it.

    A link is followed: the file that it leads to is replaced, and the link stays.

    Raises:
        IsADirectoryError: a folder has the name `path`; before the block.
        FileExistsError: a device, pipe or socket has that name, before the block.
        OSError: the file cannot be written; the error names `path`, never the temporary name.
    """
    path = writable_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes on other machines, or in other containers, may have the same number.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary), temporary):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file by `atomic_write`, with its errors."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def writable_file(path: str | Path) -> Path:
    """The file that writing to `path` would make or replace, links followed; errors of `atomic_write`."""
    path = Path(path)
    if path.is_symlink():
        path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, but the name of a file to write is wanted")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is a device, a pipe or a socket, but the name of a file is wanted")
    return path


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`, which takes the name `path` at the end.

    If the block raises, the temporary folder goes. What a killed process left of an earlier try is removed.

    Raises:
        FileExistsError: something has the name `path` already, before the block or at its end.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.part"):
        owner = re.fullmatch(rf"\.{re.escape(path.name)}\.(\d+)\.part", left.name)
        if owner and not Path("/proc", owner[1]).exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.mkdir()
    try:
        yield temporary
        try:
            if path.exists():  # an empty folder would give way
                raise FileExistsError
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (None, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise FileExistsError(f"{path} was made by someone else meanwhile") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
