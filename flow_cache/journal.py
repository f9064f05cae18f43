"""A file that a kill cannot tear: HDF5 writes through it, and only a commit changes what was committed.

HDF5 keeps its index in a cache and writes it back page by page, so a process that is killed at the wrong
moment leaves a file that no longer opens. `JournaledFile` is the file object under h5py's `fileobj` driver.
Between two commits, bytes past the end of the committed file go straight to disk, where nothing refers to
them yet; changes below it wait in memory. A commit (`flush`, which HDF5 calls when its cache is clean) first
writes those pages to a journal beside the file, then applies them, then removes the journal. Whoever opens
the file next applies a journal that it finds, which does no harm twice: the file is always as of one commit
or the next.

The locks are flock's, which Linux and macOS have, and Windows has not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.hdf5 import ByteFile

PAGE = 4096
_MAGIC = b"flow_cache journal 1\n"
_HEADER = struct.Struct("<QQI")  # pages, size of the file after the commit, CRC-32 of what follows
_ENTRY = struct.Struct(f"<Q{PAGE}s")  # index of a page, and its bytes
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
    Raises FlowCacheError where the file is in use or cannot be written to, or the journal is damaged.
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
        free = locked(fd, path)
        if free:
            recover_locked(fd, path)
        return free
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
        intact = zlib.crc32(body) == checksum and len(body) == count * _ENTRY.size
    if not intact:
        raise FlowCacheError(
            f"{journal} is damaged: {path} cannot be completed; remove both and compute it again"
        )
    if (there := os.fstat(fd).st_size) < size:  # all that a commit appends is there before its journal
        raise FlowCacheError(
            f"{journal} does not belong to {path}, or {path} was cut off afterwards: it has {there} bytes of "
            f"{size}; remove the journal if it is of another file, else both"
        )
    apply_pages(fd, {index: bytearray(page) for index, page in _ENTRY.iter_unpack(body)}, size)
    journal.unlink()


def write_journal(path: Path, pages: dict[int, bytearray], size: int) -> None:
    """Put down what a commit changes: pages by their index, and the file's new size."""
    body = b"".join(_ENTRY.pack(index, page) for index, page in sorted(pages.items()))
    unfinished = unfinished_journal_of(path)
    try:
        with open(unfinished, "wb") as file:
            file.write(_MAGIC + _HEADER.pack(len(pages), size, zlib.crc32(body)) + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, journal_of(path))
        folder = os.open(unfinished.parent, os.O_RDONLY)
        with contextlib.suppress(OSError):  # some file systems sync no folders
            os.fsync(folder)  # a loss of power else undoes the rename
        os.close(folder)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


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


class _FaultKeeper:
    """HDF5 goes on after a call that raised, and even commits: keep the fault, and commit nothing more.

    A class, for HDF5 writes hundreds of times a field: what `contextlib.contextmanager` makes takes longer
    than most of these calls.
    """

    def __init__(self, file: JournaledFile) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, OSError):
            return False
        self._file.fault = self._file.fault or error
        return True


class JournaledFile(ByteFile):
    """A file of bytes, locked against other writers and against readers, whose changes happen at `flush`.

    The lock is the one that HDF5 takes (flock on the file itself), so plain HDF5 respects it too. Raises
    FlowCacheError for a file that another process has, without locks, or with a damaged journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))  # also after the process changes its folder
        self._fd = os.open(path, os.O_RDWR)
        try:
            if not locked(self._fd, path):
                raise FlowCacheError(
                    f"{path} is in use by another process; wait for it, or write to another file and keep "
                    "both in one folder (a folder of .h5 files is a store too)"
                )
            unfinished_journal_of(self._path).unlink(missing_ok=True)
            recover_locked(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise
        self._size = self._committed_size = os.fstat(self._fd).st_size
        self._abandoned = False
        self.fault: OSError | None = None
        self._keeping_fault = _FaultKeeper(self)
        self._committed_end = _page_end(self._size)  # below it nothing changes on disk until the commit
        self._changed: dict[int, bytearray] = {}

    def readinto(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        start, end = self._position, min(self._position + len(view), self._size)
        if end <= start:
            return 0
        with self._keeping_fault:
            data = bytearray(os.pread(self._fd, end - start, start).ljust(end - start, b"\0"))
            for index, of_page, of_data in self._pages(start, end):
                if index in self._changed:
                    data[of_data] = self._changed[index][of_page]
            view[: end - start] = data
        self._position = end
        return end - start

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        start, end = self._position, self._position + len(view)
        with self._keeping_fault:
            for index, of_page, of_data in self._pages(start, end):
                if index not in self._changed:  # read from disk when it changes for the first time
                    page = os.pread(self._fd, PAGE, index * PAGE)
                    self._changed[index] = bytearray(page.ljust(PAGE, b"\0"))
                self._changed[index][of_page] = view[of_data]
            appended = max(start, self._committed_end)
            if end > appended:
                write_all(self._fd, view[appended - start :], appended)
        self._size = max(self._size, end)
        self._position = end
        return len(view)

    def flush(self) -> None:
        """Commit: all that was written since the last commit takes effect, or none of it."""
        if self._abandoned or self.fault:
            return
        with self._keeping_fault:
            size = os.fstat(self._fd).st_size
            if self._changed or size != self._size:
                self._check_in_place()
                if size < self._size:  # so that a journal's file is never smaller than the journal says
                    os.ftruncate(self._fd, self._size)
                os.fsync(self._fd)  # what the journal will refer to
                write_journal(self._path, self._changed, self._size)
                apply_pages(self._fd, self._changed, self._size)
                journal_of(self._path).unlink()
            self._changed = {}
            self._committed_size, self._committed_end = self._size, _page_end(self._size)

    def abandon(self) -> None:
        """From now on, commit nothing: the file stays as of the last commit."""
        self._abandoned = True

    def close(self) -> None:
        """Give the file back as of the last commit."""
        self._changed = {}
        if self._fd >= 0:
            # What was appended after the last commit is cut off: on a full disk others need it. A journal is
            # there where the fault was in applying it; then the next to open the file needs it all.
            with contextlib.suppress(OSError):  # the next writer does it, if not this one
                size = os.fstat(self._fd).st_size
                if size > self._committed_size and not journal_of(self._path).exists():
                    os.ftruncate(self._fd, self._committed_size)
            os.close(self._fd)
            self._fd = -1

    def _check_in_place(self) -> None:
        """A file that was removed or replaced goes on without a name, and all work on it would be lost."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                return
        raise OSError(errno.ESTALE, "it was removed or replaced while it was being written")

    def _pages(self, start: int, end: int) -> Iterator[tuple[int, slice, slice]]:
        """The committed pages that some bytes touch: which bytes of each, and of those from `start` on."""
        for index in range(start // PAGE, _page_end(min(end, self._committed_end)) // PAGE):
            of_page = index * PAGE
            first, last = max(start, of_page), min(end, of_page + PAGE)
            yield index, slice(first - of_page, last - of_page), slice(first - start, last - start)


def _page_end(size: int) -> int:
    """The end of the page that holds the last byte of a file of this size."""
    return -(-size // PAGE) * PAGE
