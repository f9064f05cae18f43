"""A long vector in a file of any form: found without being read, then mapped or first written out."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_cache.runtime.atomic import atomic_write
from slimdp.surface.cache import cache_folder
from slimdp.surface.densepose.mapped import MappedNumbers

#: Files are read in blocks of this many bytes.
BLOCK = 1 << 22
#: Raised with every change of how files are read, so that an older cache is not taken for it.
_VERSION = 1
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

    def __post_init__(self) -> None:
        assert (self.offset is None) != (self.stream is None)
        require_floats(self.path, self.key, self.dtype)


def require_floats(path: Path, key: str, dtype: np.dtype) -> None:
    """ValueError for numbers that are no floats of 2, 4 or 8 bytes."""
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise ValueError(f"{path}: {key} holds {dtype}, but floats are wanted")


def vector_length(path: Path, key: str, shape: tuple[int, ...]) -> int:
    """The length of what is a vector along one axis; ValueError for a matrix or nothing."""
    if not shape or math.prod(shape) == 0 or sum(size != 1 for size in shape) > 1:
        raise ValueError(f"{path}: {key} has shape {shape}, but a vector is wanted")
    return math.prod(shape)


def map_numbers(stored: StoredNumbers, check: Callable[[np.ndarray, int], None]) -> MappedNumbers:
    """Map a vector into memory; one that does not lie plainly in its file is first written to the cache.

    Args:
        stored: the vector.
        check: gets every block that is written, and the entry that it begins at, and raises where it does not
            like the values.

    Raises:
        ValueError: the file is damaged or shorter than it says, or the disk too full for the copy.
    """
    if stored.offset is None:
        stored = _written_out(stored, check)
    assert stored.offset is not None
    here, wanted = stored.path.stat().st_size, stored.offset + stored.count * stored.dtype.itemsize
    if here < wanted:
        raise ValueError(
            f"{stored.path}: cut off: {stored.key} ends at byte {wanted:,}, the file at {here:,}; "
            "fetch it again"
        )
    return MappedNumbers(stored.path, stored.dtype, stored.offset, stored.count)


def find_in_cache(path: Path, key: str) -> StoredNumbers | None:
    """The vector of a file that was written out before, unless the file has changed since."""
    copy = _cache_file(path, key)
    return find_in_npy(copy, key) if copy.is_file() else None


def find_in_npy(path: Path, key: str) -> StoredNumbers:
    """The vector that is a .npy file."""
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version}")
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: no NumPy file of a vector: {error}") from error
        return StoredNumbers(path, key, dtype, vector_length(path, key, shape), offset=file.tell())


def _written_out(stored: StoredNumbers, check: Callable[[np.ndarray, int], None]) -> StoredNumbers:
    """The same vector as a .npy file of the cache."""
    target = _cache_file(stored.path, stored.key)
    size = stored.count * stored.dtype.itemsize
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < size + _SPARE:
        raise ValueError(
            f"{target.parent} has {free / 1e9:.1f} GB free, but the distances of {stored.path.name} need "
            f"{size / 1e9:.1f} GB there once; make room, or set SLIMDP_CACHE to another folder"
        )
    with atomic_write(target) as temporary:
        _write(stored, temporary, check)
    for older in target.parent.glob(f"{target.stem.split('-')[0]}-*.npy"):
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
        raise ValueError(
            f"{stored.path}: cut off: {stored.key} holds {entry:,} of {stored.count:,} numbers; "
            "fetch it again"
        )
