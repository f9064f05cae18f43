"""A new HDF5 file on a disk that may fill up: HDF5 never meets the error, and its bytes are checksummed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

#: From this version on HDF5 checksums its index and attributes; of data, what `fletcher32` is asked for.
CHECKSUMMED = ("v110", "v110")


@contextmanager
def new_hdf5(path: Path) -> Iterator[tuple[h5py.File, DiskFile]]:
    """Make an HDF5 file: give it, and the file below it, whose `check` tells what the disk said.

    HDF5 crashes the process where it cannot write as it closes, so every error waits until it has closed: an
    OSError that names `path`, at the end of the block at the latest.
    """
    import h5py

    with DiskFile(path) as below:
        with h5py.File(below, "w", libver=CHECKSUMMED) as file:
            yield file, below
        below.check()


class ByteFile:
    """What HDF5's `fileobj` driver asks of a file, but for reading and writing its bytes."""

    _position = _size = 0

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
        raise NotImplementedError

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def flush(self) -> None:
        """Nothing waits here."""


class DiskFile(ByteFile):
    """The bytes below HDF5: keeps the first error, and from then on only pretends.

    After an error, what is written is kept in memory as long as HDF5 may read it again: until it closes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._fault: OSError | None = None
        self._pretended: list[tuple[int, bytes]] = []

    def __enter__(self) -> DiskFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def check(self) -> None:
        """Raise what the disk said, with the file's name."""
        if self._fault is not None:
            raise OSError(self._fault.errno, self._fault.strerror, str(self._path)) from self._fault

    def readinto(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        data = bytearray(count)
        try:
            there = os.pread(self._descriptor, count, self._position)
            data[: len(there)] = there
        except OSError as error:
            self._fault = self._fault or error
        for start, written in self._pretended:
            first, last = max(start, self._position), min(start + len(written), self._position + count)
            if first < last:
                data[first - self._position : last - self._position] = written[first - start : last - start]
        view[:count] = data
        self._position += count
        return count

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self._fault is None and written < len(view):
                written += os.pwrite(self._descriptor, view[written:], self._position + written)
        except OSError as error:
            self._fault = error
        if self._fault is not None:
            self._pretended.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        super().truncate(size)
        try:
            if self._fault is None:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._fault = error
        return self._size
