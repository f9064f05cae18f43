"""A file that a kill cannot tear: HDF5 writes through it, and only a commit changes what was committed.

HDF5 keeps its index in a cache and writes it back page by page, so a process that is killed at the wrong
moment leaves a file that no longer opens. `JournaledFile` is the file object under h5py's `fileobj` driver.
Between two commits, bytes past the end of the committed file go straight to disk, where nothing refers to
them yet; changes below it wait in memory. A commit (`flush`, which HDF5 calls when its cache is clean) first
writes those changes to a journal beside the file, then applies them, then removes the journal. Whoever opens
the file next applies a journal that it finds: the file is always as of one commit or the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from flow_cache.errors import FlowCacheError

PAGE = 4096
_MAGIC = b"flow_cache journal 1\n"
_HEADER = struct.Struct("<QQI")  # pages, size of the file after the commit, CRC-32 of what follows
_INDEX = struct.Struct("<Q")


def journal_of(path: Path) -> Path:
    """Where the journal of a file lies."""
    return path.with_name(path.name + ".journal")


class JournaledFile:
    """A file of bytes, locked against other writers and against readers, whose changes happen at `flush`.

    The lock is the one that HDF5 takes on the files it opens (flock on the file itself), so a reader that
    goes through plain HDF5 respects it too. It vanishes with its process.

    Raises:
        FlowCacheError: another process writes or reads the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR)
        try:
            _lock(self._fd, path)
            _recover(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise
        self._size = os.fstat(self._fd).st_size
        self._position = 0
        self._abandoned = False
        self.fault: OSError | None = None
        self._committed_end = _page_end(self._size)  # below it nothing changes on disk until the commit
        self._changed: dict[int, bytearray] = {}

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        available = max(self._size - self._position, 0)
        data = bytearray(available if size < 0 else min(size, available))
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        start, end = self._position, min(self._position + len(view), self._size)
        if end <= start:
            return 0
        with self._keeping_fault():
            view[: end - start] = self._bytes_as_changed(start, end)
        self._position = end
        return end - start

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        start, end = self._position, self._position + len(view)
        with self._keeping_fault():
            for page in range(start // PAGE, _page_end(min(end, self._committed_end)) // PAGE):
                first, last = max(start, page * PAGE), min(end, (page + 1) * PAGE)
                self._page(page)[first - page * PAGE : last - page * PAGE] = view[
                    first - start : last - start
                ]
            appended = max(start, self._committed_end)
            if end > appended:
                _write_all(self._fd, view[appended - start :], appended)
        self._size = max(self._size, end)
        self._position = end
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def flush(self) -> None:
        """Commit: all that was written since the last commit takes effect, or none of it."""
        if self._abandoned or self.fault:
            return
        with self._keeping_fault():
            if self._changed or os.fstat(self._fd).st_size != self._size:
                os.fsync(self._fd)  # what the journal will refer to
                _write_journal(self._path, self._changed, self._size)
                _apply(self._fd, self._changed, self._size)
                journal_of(self._path).unlink()
            self._changed = {}
            self._committed_end = _page_end(self._size)

    def abandon(self) -> None:
        """From now on, commit nothing: the file stays as of the last commit."""
        self._abandoned = True

    def close(self) -> None:
        """Give the file back as of the last commit."""
        self._changed = {}
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextlib.contextmanager
    def _keeping_fault(self) -> Iterator[None]:
        # HDF5 goes on after a call that raised, and even commits: keep the fault, and commit nothing more.
        try:
            yield
        except OSError as fault:
            self.fault = self.fault or fault

    def _bytes_as_changed(self, start: int, end: int) -> bytearray:
        data = bytearray(os.pread(self._fd, end - start, start).ljust(end - start, b"\0"))
        for page in range(start // PAGE, _page_end(min(end, self._committed_end)) // PAGE):
            if page in self._changed:
                first, last = max(start, page * PAGE), min(end, (page + 1) * PAGE)
                data[first - start : last - start] = self._changed[page][
                    first - page * PAGE : last - page * PAGE
                ]
        return data

    def _page(self, index: int) -> bytearray:
        """The page in memory, as it will be; read from disk when it changes for the first time."""
        if index not in self._changed:
            self._changed[index] = bytearray(os.pread(self._fd, PAGE, index * PAGE).ljust(PAGE, b"\0"))
        return self._changed[index]


def recover(path: Path) -> None:
    """Finish the commit that a killed writer left half applied, if there is one.

    Raises:
        FlowCacheError: the file is in use, or the journal is damaged.
    """
    fd = os.open(path, os.O_RDWR)
    try:
        _lock(fd, path)
        _recover(fd, path)
    finally:
        os.close(fd)


def _recover(fd: int, path: Path) -> None:
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
    pages = {}
    for start in range(0, len(body), _INDEX.size + PAGE):
        (index,) = _INDEX.unpack_from(body, start)
        pages[index] = bytearray(body[start + _INDEX.size : start + _INDEX.size + PAGE])
    _apply(fd, pages, size)
    journal.unlink()


def _write_journal(path: Path, pages: dict[int, bytearray], size: int) -> None:
    body = b"".join(_INDEX.pack(index) + page for index, page in sorted(pages.items()))
    journal = journal_of(path)
    unfinished = journal.with_name(journal.name + ".tmp")
    with open(unfinished, "wb") as file:
        file.write(_MAGIC + _HEADER.pack(len(pages), size, zlib.crc32(body)) + body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, journal)


def _apply(fd: int, pages: dict[int, bytearray], size: int) -> None:
    for index, page in pages.items():
        _write_all(fd, memoryview(page), index * PAGE)
    os.ftruncate(fd, size)
    os.fsync(fd)


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while len(data):
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def _page_end(size: int) -> int:
    """The end of the page that holds the last byte of a file of this size."""
    return -(-size // PAGE) * PAGE


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FlowCacheError(
            f"{path} is in use by another process; wait for it, or write to another file and keep both in "
            "one folder (a folder of .h5 files is a store too)"
        ) from None
