"""A file that one process holds at a time, and that its end frees, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

#: The file in a folder that is held.
IN_USE = ".in_use"
#: Open files of this process whose locks it holds.
_HELD: set[TextIO] = set()


def _let_go() -> None:
    """In a forked process: it would hold its parent's locks beyond the parent's end."""
    for opened in tuple(_HELD):
        opened.close()
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


class HeldError(ValueError):
    """Another process holds the file."""


@contextmanager
def held(file: Path, wait: bool = False, together: bool = False) -> Iterator[None]:
    """Hold a file through the block; it is made where it is missing, and names the holder and his machine.

    The lock is flock's: the system frees it when the process ends, and no process that it starts inherits it.
    Among machines it counts as far as their common file system keeps it. Held `together`, it is with others
    who do so, and nobody else. Raises HeldError where another process holds it, unless its end is waited for,
    and OSError where the file system keeps no locks.
    """
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a+", encoding="utf-8") as opened:
            _lock(opened, file, fcntl.LOCK_SH if together else fcntl.LOCK_EX, wait)
            if not _still_named(opened, file):  # its last holder removed it
                continue
            with suppress(OSError):  # the lock holds without it, also on a full disk
                os.ftruncate(opened.fileno(), 0)
                os.write(opened.fileno(), f"{os.getpid()} on {platform.node()}".encode())
            _HELD.add(opened)
            try:
                yield
            finally:
                _HELD.discard(opened)
            return


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder by a file `.in_use` in it, through the block; a folder that it made and left empty goes.

    Raises HeldError where another process holds it, OSError where it cannot be made, or locked.
    """
    file = folder / IN_USE
    made = not folder.exists()
    with held(file):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            if made and folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def _lock(opened: TextIO, file: Path, kind: int, wait: bool) -> None:
    try:
        fcntl.flock(opened, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        opened.seek(0)
        raise HeldError(f"process {opened.read().strip() or '?'} holds {file}") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        raise OSError(f"{file}: this file system keeps no locks; choose a folder on another one") from error


def _still_named(opened: TextIO, file: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(file), os.fstat(opened.fileno()))
    return False


def is_held(file: Path) -> bool:
    """Whether a process holds the file; nothing is made or written."""
    # Shared and for a moment: it delays a process that waits for the file, and stops none.
    try:
        with suppress(FileNotFoundError), open(file, encoding="utf-8") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
