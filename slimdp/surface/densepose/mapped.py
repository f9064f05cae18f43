"""Numbers in a file that stay there: looked up by the page, and no page kept for long."""

from __future__ import annotations

import mmap
import os
import weakref
from functools import cached_property
from pathlib import Path

import numpy as np

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

    def __len__(self) -> int:
        return self.count

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
                self._give_back()
            start = stop
        return values

    def _one_by_one(self, entries: np.ndarray) -> np.ndarray:
        size, file = self.dtype.itemsize, self._file
        places = (self.offset + entries * size).tolist()
        read = b"".join([os.pread(file, size, place) for place in places])
        if len(read) < size * len(places):
            raise ValueError(f"{self.path}: became shorter while it was read")
        return np.frombuffer(read, self.dtype).astype(np.float64)

    def _give_back(self) -> None:
        if hasattr(mmap, "MADV_DONTNEED"):  # Windows has none, and trims mapped pages by itself
            self._map.madvise(mmap.MADV_DONTNEED)
        self._places_touched = 0

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
