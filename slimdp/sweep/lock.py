"""A file that one process holds at a time, and that its end frees, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class HeldError(ValueError):
    """Another process holds the file."""


@contextmanager
def held(file: Path, wait: bool = False) -> Iterator[None]:
    """Hold a file, which says the holder's process number, through the block.

    The lock is flock's: the system frees it when the process ends, and spawned processes do not inherit it.

    Args:
        file: made where it is missing, with its folder.
        wait: for another holder's end.

    Raises:
        HeldError: another process holds it, and it is not waited for.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+", encoding="ascii") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            opened.seek(0)
            raise HeldError(f"process {opened.read().strip() or '?'} holds {file}") from None
        opened.truncate(0)
        opened.write(str(os.getpid()))
        opened.flush()
        yield


def is_held(file: Path) -> bool:
    """Whether a process holds the file; nothing is made or written."""
    try:
        with open(file, encoding="ascii") as opened:
            # Shared and for a moment: it delays a process that waits for the file, and stops none.
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
