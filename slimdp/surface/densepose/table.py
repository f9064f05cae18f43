"""The distances between all pairs of vertices, in any of the forms that they come in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from slimdp.surface.densepose.matlab5 import find_in_matlab5
from slimdp.surface.densepose.numbers import (
    BLOCK,
    MappedNumbers,
    StoredNumbers,
    find_in_cache,
    find_in_npy,
    map_numbers,
    vector_length,
)
from slimdp.surface.densepose.pickled import find_in_pickle

#: A compressed chunk is unpacked whole.
_LARGEST_CHUNK = 128 << 20
#: Numbers that are read in both ways, to be sure of where they begin.
_COMPARED = 64


def find_in_hdf5(path: Path, key: str) -> StoredNumbers:
    """The vector that is a dataset at the file's root; MATLAB's order of axes does not matter to it.

    Raises ValueError for no HDF5 file, a damaged one, or one whose numbers lie in other files; for no such
    dataset, or no vector of floats.
    """
    try:
        with h5py.File(path, "r") as file:
            dataset = _dataset(path, file, key)
            count = vector_length(path, key, dataset.shape, dataset.dtype)
            offset = dataset.id.get_offset()
            if dataset.chunks is None and offset is not None:
                return _plain(path, key, dataset, count, offset)
            if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > _LARGEST_CHUNK:
                size = f"{dataset.chunks}, more than {_LARGEST_CHUNK >> 20} MB each"
                advice = "not read; save it without compression"
                raise ValueError(f"{path}: {key} is stored in chunks {size}: {advice}")
            return StoredNumbers(path, key, dataset.dtype, count, stream=lambda: _blocks(path, key))
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: no HDF5 file, or a damaged one: {error}; fetch it again") from error


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    link = file.get(key, getlink=True)
    if link is None:
        raise ValueError(f"{path}: no dataset {key}; there are: {', '.join(file) or 'none'}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{path}: {key} is a link to another place, which is not followed")
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{path}: {key} is no dataset of numbers")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{path}: the numbers of {key} lie in other files, which are not read")
    return dataset


def _plain(path: Path, key: str, dataset: h5py.Dataset, count: int, offset: int) -> StoredNumbers:
    """Numbers in one run that can be mapped as they are."""
    compared = min(count, _COMPARED)
    with open(path, "rb") as file:
        file.seek(offset)
        mapped = file.read(compared * dataset.dtype.itemsize)
    first = tuple(slice(0, compared) if size == count else 0 for size in dataset.shape)
    if mapped != np.ascontiguousarray(dataset[first]).tobytes():
        raise ValueError(f"{path}: {key} does not begin at byte {offset:,}, as the file says; fetch it again")
    return StoredNumbers(path, key, dataset.dtype, count, offset=offset)


def _blocks(path: Path, key: str) -> Iterator[bytes]:
    with h5py.File(path, "r") as file:
        dataset = file[key]
        axis = int(np.argmax(dataset.shape))
        chunk = dataset.chunks[axis] if dataset.chunks else 1
        step = max(BLOCK // dataset.dtype.itemsize // chunk, 1) * chunk
        for start in range(0, dataset.shape[axis], step):
            where = tuple(slice(start, start + step) if i == axis else 0 for i in range(dataset.ndim))
            try:
                yield np.ascontiguousarray(dataset[where]).tobytes()
            except OSError as error:
                raise ValueError(f"{path}: {key} is damaged from entry {start:,} on: {error}") from error


KEY = "Pdist_matrix"
#: Metres along the skin that no two points of a body are apart: a table in centimetres has more.
_FARTHEST_M = 10.0
#: Entries that are looked at before a table is used, besides all those that are asked for.
_SAMPLE = 4096
#: The share of them that may be 0; what was never downloaded is 0 too.
_MOST_ZEROS = 0.01


@dataclass(frozen=True)
class DistanceTable:
    """Condensed distances in metres: vertices a > b at entry a (a - 1) / 2 + b (protocol of Pdist_matrix)."""

    source: Path
    numbers: MappedNumbers
    vertices: int

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Metres (N,) between vertices (N,) int64, 0..vertices - 1; 0 for equal ones.

        Raises ValueError for a vertex that is not there, or an entry of the table that is no distance.
        """
        high, low = np.maximum(a, b), np.minimum(a, b)
        if len(low) and (low.min() < 0 or high.max() >= self.vertices):
            asked = f"vertices {low.min()}..{high.max()} asked for"
            raise ValueError(f"{asked}, but {self.source} has 0..{self.vertices - 1}")
        distance_m = np.zeros(len(low))
        apart = high > low
        entry = high[apart] * (high[apart] - 1) // 2 + low[apart]
        distance_m[apart] = self.numbers[entry]
        check_distances(distance_m[apart], entry, self.source)
        return distance_m


def open_distances(path: Path) -> DistanceTable:
    """Open Pdist_matrix.npy, .h5, .mat (versions 5 to 7.3) or .pkl; the numbers stay on disk.

    What does not lie plainly in its file (compressed, or text) is written to the cache folder once.

    Raises ValueError for a damaged file, no vector of floats for all pairs of some vertices, or entries that
    are no distances in metres.
    """
    stored = find_in_cache(path, KEY) or find_distances(path)
    vertices = (1 + math.isqrt(1 + 8 * stored.count)) // 2
    if vertices * (vertices - 1) // 2 != stored.count:
        pairs = "which are not the pairs of any number of vertices"
        raise ValueError(f"{path}: {KEY} has {stored.count:,} entries, {pairs}")
    numbers = map_numbers(stored, lambda block, first: check_distances(block, first, path))
    sample = np.unique(np.linspace(0, stored.count - 1, _SAMPLE).astype(np.int64))
    looked_at_m = numbers[sample]
    check_distances(looked_at_m, sample, path)
    zeros = np.count_nonzero(looked_at_m == 0)
    if zeros > _MOST_ZEROS * len(sample):
        found = f"{zeros} of {len(sample)} entries of {KEY} that were looked at are 0"
        raise ValueError(f"{path}: {found}, but different vertices are some way apart; fetch it again")
    return DistanceTable(path, numbers, vertices)


def check_distances(distance_m: np.ndarray, entry: np.ndarray | int, path: Path) -> None:
    """ValueError where one of (N,) metres is not finite, negative, or longer than any body.

    `entry` (N,) is where they stand in the table, or where the first of adjacent ones stands.
    """
    bad = ~((distance_m >= 0) & (distance_m < _FARTHEST_M))
    if bad.any():
        first = int(bad.argmax())
        where = entry + first if isinstance(entry, int) else int(entry[first])
        wanted = f"metres from 0 to {_FARTHEST_M:g} are wanted"
        raise ValueError(f"{path}: entry {where:,} of {KEY} is {distance_m[first]:g}, but {wanted}")


def find_distances(path: Path) -> StoredNumbers:
    """Where the table lies in a file, none of it read; errors as for `open_distances`."""
    suffix = ".h5" if path.suffix == ".mat" and h5py.is_hdf5(path) else path.suffix
    readers = {".npy": find_in_npy, ".h5": find_in_hdf5, ".mat": find_in_matlab5, ".pkl": find_in_pickle}
    return readers[suffix](path, KEY)
