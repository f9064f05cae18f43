"""A long vector in a file of any form: found without being read, then mapped or first written out."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from flow_cache.runtime.atomic import atomic_write
from slimdp.surface.cache import cache_folder

#: What one look-up brings in at most: Linux maps as much around a page as it holds in one piece.
_BROUGHT_IN = 2 << 20
#: So many look-ups in different places are made before their pages are given back: 64 MB.
_PLACES_KEPT = 32
#: Fewer numbers than this are read one by one, which is quicker than to bring in and give back their places.
_FEW = 4096


class MappedNumbers:
    """A vector in a file, mapped into memory.

    A process is charged for every page of a mapped file that it has touched, which random look-ups soon make
    the whole file. Here they are made in the file's order, and pages are given back after every 64 MB.
    Instances pickle by name: another process maps the file for itself.
    """

    def __init__(self, path: Path, dtype: np.dtype, offset: int, count: int) -> None:
        """A vector of `count` numbers that begins `offset` bytes into the file."""
        self.path, self.dtype, self.offset, self.count = path, np.dtype(dtype), offset, count
        self._places_touched = 0

    def __reduce__(self) -> tuple[type[MappedNumbers], tuple[Path, np.dtype, int, int]]:
        return MappedNumbers, (self.path, self.dtype, self.offset, self.count)

    def __getitem__(self, entries: np.ndarray) -> np.ndarray:
        """The numbers (N,) float64 at entries (N,) 0..count - 1, in any order."""
        if len(entries) and (entries.min() < 0 or entries.max() >= self.count):
            raise IndexError(f"{self.path}: entries {entries.min()}..{entries.max()} of {self.count} wanted")
        if len(entries) < _FEW and hasattr(os, "pread"):
            return self._one_by_one(entries)
        order = np.argsort(entries)
        ascending = entries[order]
        values = np.empty(len(order))
        place = (self.offset + ascending * self.dtype.itemsize) // _BROUGHT_IN
        places = np.cumsum(np.diff(place, prepend=-1) > 0)  # how many were touched up to each entry
        start = 0
        while start < len(order):
            before = places[start - 1] if start else 0
            stop = int(np.searchsorted(places, before + _PLACES_KEPT - self._places_touched, side="right"))
            # Rows of bytes rather than numbers: those may begin at any byte of the file.
            values[order[start:stop]] = self._bytes[ascending[start:stop]].view(self.dtype)[:, 0]
            self._places_touched += int(places[stop - 1] - before) if stop > start else 0
            if stop < len(order) or self._places_touched >= _PLACES_KEPT:
                if hasattr(mmap, "MADV_DONTNEED"):  # Windows has none, and trims mapped pages by itself
                    self._map.madvise(mmap.MADV_DONTNEED)
                self._places_touched = 0
            start = stop
        return values

    def _one_by_one(self, entries: np.ndarray) -> np.ndarray:
        size, file = self.dtype.itemsize, self._file
        places = (self.offset + entries * size).tolist()
        read = b"".join([os.pread(file, size, place) for place in places])
        if len(read) < size * len(places):
            raise ValueError(f"{self.path}: became shorter while it was read")
        return np.frombuffer(read, self.dtype).astype(np.float64)

    @cached_property
    def _file(self) -> int:
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    @cached_property
    def _map(self) -> mmap.mmap:
        return mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)

    @cached_property
    def _bytes(self) -> np.ndarray:
        size = self.dtype.itemsize
        return np.frombuffer(self._map, np.uint8, self.count * size, self.offset).reshape(self.count, size)


#: Files are read in blocks of this many bytes.
BLOCK = 1 << 22
#: Raised with every change of how files are read, so that an older cache is not taken for it.
_VERSION = 1
#: Version of a .npy -> what reads its header.
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
#: Bytes of the disk that are left free.
_SPARE = 64 << 20


@dataclass(frozen=True)
class StoredNumbers:
    """A vector in a file, found but not read: at an offset, or else as a stream of its bytes."""

    path: Path
    key: str
    dtype: np.dtype  # a float of 2, 4 or 8 bytes
    count: int
    offset: int | None = None  # bytes from the start of the file, where the numbers lie there as they are
    stream: Callable[[], Iterator[bytes]] | None = None  # of all its bytes in order, in blocks of any size


def vector_length(path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The length of a vector along one axis; ValueError for a matrix, nothing, or what is no float."""
    if not shape or math.prod(shape) == 0 or sum(size != 1 for size in shape) > 1:
        raise ValueError(f"{path}: {key} has shape {shape}, but a vector is wanted")
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise ValueError(f"{path}: {key} holds {dtype}, but floats are wanted")
    return math.prod(shape)


def map_numbers(stored: StoredNumbers, check: Callable[[np.ndarray, int], None]) -> MappedNumbers:
    """Map a vector into memory; one that does not lie plainly in its file is first written to the cache.

    `check` gets every block that is written, and the entry that it begins at, and raises where it does not
    like the values. Raises ValueError where the file is damaged or shorter than it says, or the disk too full
    for the copy.
    """
    if stored.offset is None:
        stored = _written_out(stored, check)
    assert stored.offset is not None
    here, wanted = stored.path.stat().st_size, stored.offset + stored.count * stored.dtype.itemsize
    if here < wanted:
        ends = f"{stored.key} ends at byte {wanted:,}, the file at {here:,}"
        raise ValueError(f"{stored.path}: cut off: {ends}; fetch it again")
    return MappedNumbers(stored.path, stored.dtype, stored.offset, stored.count)


def find_in_cache(path: Path, key: str) -> StoredNumbers | None:
    """The vector of a file that was written out before, unless the file has changed since."""
    copy = _cache_file(path, key)
    return find_in_npy(copy, key) if copy.is_file() else None


def find_in_npy(path: Path, key: str) -> StoredNumbers:
    """The vector that is a .npy file."""
    with open(path, "rb") as file:
        try:
            shape, _, dtype = _NPY_HEADERS[np.lib.format.read_magic(file)](file)
        except (ValueError, EOFError, KeyError) as error:
            raise ValueError(f"{path}: no NumPy file of a vector: {error}") from error
        return StoredNumbers(path, key, dtype, vector_length(path, key, shape, dtype), offset=file.tell())


def _written_out(stored: StoredNumbers, check: Callable[[np.ndarray, int], None]) -> StoredNumbers:
    """The same vector as a .npy file of the cache."""
    target = _cache_file(stored.path, stored.key)
    folder, size = target.parent, stored.count * stored.dtype.itemsize
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        needed = f"the distances of {stored.path.name} need {size / 1e9:.1f} GB there once"
        advice = "make room, or set SLIMDP_CACHE to another folder"
        raise ValueError(f"{folder} has {free / 1e9:.1f} GB free, but {needed}; {advice}")
    with atomic_write(target) as temporary:
        _write(stored, temporary, check)
    for older in folder.glob(f"{target.stem.split('-')[0]}-*.npy"):
        if older != target:  # of the same file before it changed
            older.unlink(missing_ok=True)
    return find_in_npy(target, stored.key)


def _cache_file(path: Path, key: str) -> Path:
    """Where the numbers of a file are written out: a name of its path, and one of its present state."""
    state = path.stat()
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    now = hashlib.sha256(f"{state.st_size} {state.st_mtime_ns} {key} {_VERSION}".encode()).hexdigest()[:16]
    return cache_folder() / "distances" / f"{name}-{now}.npy"


def _write(stored: StoredNumbers, path: Path, check: Callable[[np.ndarray, int], None]) -> None:
    assert stored.stream is not None
    size, entry, rest = stored.dtype.itemsize, 0, b""
    with open(path, "wb") as file:
        header = {"descr": stored.dtype.str, "fortran_order": False, "shape": (stored.count,)}
        np.lib.format.write_array_header_1_0(file, header)
        for block in stored.stream():
            rest += block
            whole = len(rest) // size * size
            if entry + whole // size > stored.count:
                raise ValueError(f"{stored.path}: {stored.key} holds more than its {stored.count:,} numbers")
            check(np.frombuffer(rest, stored.dtype, whole // size), entry)
            file.write(rest[:whole])
            entry, rest = entry + whole // size, rest[whole:]
    if entry != stored.count or rest:
        held = f"{stored.key} holds {entry:,} of {stored.count:,} numbers"
        raise ValueError(f"{stored.path}: cut off: {held}; fetch it again")
