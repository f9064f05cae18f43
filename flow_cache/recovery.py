"""The journal of a commit: what to do for a file whose writer was killed in the middle of one.

A journal holds the pages that a commit changes. It lies beside the file from the moment when all of it is on
disk to that when all of it is applied; applying it twice does no harm. See `journal.JournaledFile`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
import zlib
from pathlib import Path

from flow_cache.errors import FlowCacheError

PAGE = 4096
_MAGIC = b"flow_cache journal 1\n"
_HEADER = struct.Struct("<QQI")  # pages, size of the file after the commit, CRC-32 of what follows
_INDEX = struct.Struct("<Q")
#: A commit that another process applies takes a moment; longer than this it is a writer at work.
_SECONDS_TO_WAIT = 5.0


def journal_of(path: Path) -> Path:
    """Where the journal of a file lies: beside the file itself, whichever link leads to it."""
    # A link among the folders leads to the same place either way, and costs a call of the system for each.
    real = os.path.realpath(path) if os.path.islink(path) else path
    return Path(f"{real}.journal")


def recover(path: Path) -> None:
    """Finish the commit that a killed writer left half applied, if there is one.

    Of many processes that call it at once, as the workers of a data loader do, one does it and all wait.

    Raises:
        FlowCacheError: the file is in use or cannot be written to, or the journal is damaged.
    """
    deadline = time.monotonic() + _SECONDS_TO_WAIT
    while journal_of(path).exists():
        try:
            if _recover_unless_locked(path):
                return
        except OSError as error:
            raise FlowCacheError(
                f"{path} was left in the middle of a commit, which cannot be completed here "
                f"({error.strerror}): read it once where it can be written, its journal beside it"
            ) from error
        if time.monotonic() > deadline:
            raise FlowCacheError(f"{path} is being written by another process; wait for it to finish")
        time.sleep(0.02)


def _recover_unless_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR)
    try:
        if not locked(fd, path):
            return False
        recover_locked(fd, path)
        return True
    finally:
        os.close(fd)


def recover_locked(fd: int, path: Path) -> None:
    """The same for a file that is open and locked."""
    journal = journal_of(path)
    if not journal.exists():
        return
    content = journal.read_bytes()
    body = content[len(_MAGIC) + _HEADER.size :]
    intact = content.startswith(_MAGIC) and len(content) >= len(_MAGIC) + _HEADER.size
    if intact:
        count, size, checksum = _HEADER.unpack_from(content, len(_MAGIC))
        intact = zlib.crc32(body) == checksum and len(body) == count * (_INDEX.size + PAGE)
    if not intact:
        raise FlowCacheError(
            f"{journal} is damaged: {path} cannot be completed; remove both and compute it again"
        )
    if os.fstat(fd).st_size < size:  # before a journal is written, all that its commit appends is there
        raise FlowCacheError(
            f"{journal} does not belong to {path}, or {path} was cut off afterwards: it has "
            f"{os.fstat(fd).st_size} bytes of {size}; remove the journal if it is of another file, else both"
        )
    pages = {}
    for start in range(0, len(body), _INDEX.size + PAGE):
        (index,) = _INDEX.unpack_from(body, start)
        pages[index] = bytearray(body[start + _INDEX.size : start + _INDEX.size + PAGE])
    apply_pages(fd, pages, size)
    journal.unlink()


def write_journal(path: Path, pages: dict[int, bytearray], size: int) -> None:
    """Put down what a commit changes, whole or not at all: pages by their index, and the file's new size."""
    body = b"".join(_INDEX.pack(index) + page for index, page in sorted(pages.items()))
    unfinished = unfinished_journal_of(path)
    try:
        with open(unfinished, "wb") as file:
            file.write(_MAGIC + _HEADER.pack(len(pages), size, zlib.crc32(body)) + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, journal_of(path))
        _sync_folder(unfinished.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename last, which a loss of power else undoes."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems sync no folders
            os.fsync(fd)
    finally:
        os.close(fd)


def unfinished_journal_of(path: Path) -> Path:
    """A journal that is still being written; it counts for nothing."""
    journal = journal_of(path)
    return journal.with_name(journal.name + ".tmp")


def apply_pages(fd: int, pages: dict[int, bytearray], size: int) -> None:
    """Do what a journal says, and wait until it is on disk."""
    for index, page in pages.items():
        write_all(fd, memoryview(page), index * PAGE)
    os.ftruncate(fd, size)
    os.fsync(fd)


def write_all(fd: int, data: memoryview, offset: int) -> None:
    """Write all of the data; a single call may write less."""
    while len(data):
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def locked(fd: int, path: Path) -> bool:
    """Lock a file against all others; False where another process has a lock on it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FlowCacheError(
            f"{path} cannot be locked ({error.strerror}): its file system has no locks; write to a local "
            "disk, and copy the finished file"
        ) from error
    return True
