"""A file that a kill cannot tear: HDF5 writes through it, and only a commit changes what was committed.

HDF5 keeps its index in a cache and writes it back page by page, so a process that is killed at the wrong
moment leaves a file that no longer opens. `JournaledFile` is the file object under h5py's `fileobj` driver.
Between two commits, bytes past the end of the committed file go straight to disk, where nothing refers to
them yet; changes below it wait in memory. A commit (`flush`, which HDF5 calls when its cache is clean) first
writes those changes to a journal beside the file, then applies them, then removes the journal. Whoever opens
the file next applies a journal that it finds: the file is always as of one commit or the next.

The locks are flock's, which Linux and macOS have, and Windows has not.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from types import TracebackType

from flow_cache.errors import FlowCacheError
from flow_cache.recovery import (
    PAGE,
    apply_pages,
    journal_of,
    locked,
    recover_locked,
    unfinished_journal_of,
    write_all,
    write_journal,
)


class _FaultKeeper:
    """HDF5 goes on after a call that raised, and even commits: keep the fault, and commit nothing more.

    A class, for HDF5 writes hundreds of times a field: what `contextlib.contextmanager` makes takes longer
    than most of these calls.
    """

    def __init__(self, file: JournaledFile) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, OSError):
            return False
        self._file.fault = self._file.fault or error
        return True


class JournaledFile:
    """A file of bytes, locked against other writers and against readers, whose changes happen at `flush`.

    The lock is the one that HDF5 takes on the files it opens (flock on the file itself), so a reader that
    goes through plain HDF5 respects it too. It vanishes with its process.

    Raises:
        FlowCacheError: another process writes or reads the file, its file system has no locks, or its journal
            is damaged.
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
        self._position = 0
        self._abandoned = False
        self.fault: OSError | None = None
        self._keeping_fault = _FaultKeeper(self)
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
        with self._keeping_fault:
            view[: end - start] = self._bytes_as_changed(start, end)
        self._position = end
        return end - start

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        start, end = self._position, self._position + len(view)
        with self._keeping_fault:
            for page in range(start // PAGE, _page_end(min(end, self._committed_end)) // PAGE):
                first, last = max(start, page * PAGE), min(end, (page + 1) * PAGE)
                self._page(page)[first - page * PAGE : last - page * PAGE] = view[
                    first - start : last - start
                ]
            appended = max(start, self._committed_end)
            if end > appended:
                write_all(self._fd, view[appended - start :], appended)
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
            with contextlib.suppress(OSError):  # the next writer does it, if not this one
                self._give_back_space()
            os.close(self._fd)
            self._fd = -1

    def _give_back_space(self) -> None:
        """Cut off what was appended after the last commit: on a full disk others need it."""
        size = os.fstat(self._fd).st_size
        # A journal is there where the fault was in applying it; then the next to open the file needs it all.
        if size > self._committed_size and not journal_of(self._path).exists():
            os.ftruncate(self._fd, self._committed_size)

    def _check_in_place(self) -> None:
        """A file that was removed or replaced goes on without a name, and all work on it would be lost."""
        try:
            there = os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            there = False
        if not there:
            raise OSError(errno.ESTALE, "it was removed or replaced while it was being written")

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


def _page_end(size: int) -> int:
    """The end of the page that holds the last byte of a file of this size."""
    return -(-size // PAGE) * PAGE
