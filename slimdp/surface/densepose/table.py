"""The distances between all pairs of vertices, in any of the forms that they come in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from slimdp.surface.densepose.hdf5 import find_in_hdf5
from slimdp.surface.densepose.mapped import MappedNumbers
from slimdp.surface.densepose.matlab5 import find_in_matlab5
from slimdp.surface.densepose.numbers import StoredNumbers, find_in_cache, find_in_npy, map_numbers
from slimdp.surface.densepose.pickled import find_in_pickle

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

        Raises:
            ValueError: a vertex that is not there, or an entry of the table that is no distance.
        """
        high, low = np.maximum(a, b), np.minimum(a, b)
        if len(low) and (low.min() < 0 or high.max() >= self.vertices):
            raise ValueError(
                f"vertices {low.min()}..{high.max()} asked for, but {self.source} has 0..{self.vertices - 1}"
            )
        distance_m = np.zeros(len(low))
        apart = high > low
        entry = high[apart] * (high[apart] - 1) // 2 + low[apart]
        distance_m[apart] = self.numbers[entry]
        check_distances(distance_m[apart], entry, self.source)
        return distance_m


def open_distances(path: Path) -> DistanceTable:
    """Open Pdist_matrix.npy, .h5, .mat (versions 5 to 7.3) or .pkl; the numbers stay on disk.

    What does not lie plainly in its file (compressed, or text) is written to the cache folder once.

    Raises:
        ValueError: a damaged file, no vector of floats for all pairs of some vertices, or entries that are no
            distances in metres.
    """
    stored = find_in_cache(path, KEY) or find_distances(path)
    vertices = (1 + math.isqrt(1 + 8 * stored.count)) // 2
    if vertices * (vertices - 1) // 2 != stored.count:
        raise ValueError(
            f"{path}: {KEY} has {stored.count:,} entries, which are not the pairs of any number of vertices"
        )
    numbers = map_numbers(stored, lambda block, first: check_distances(block, first, path))
    sample = np.unique(np.linspace(0, stored.count - 1, _SAMPLE).astype(np.int64))
    looked_at_m = numbers[sample]
    check_distances(looked_at_m, sample, path)
    zeros = np.count_nonzero(looked_at_m == 0)
    if zeros > _MOST_ZEROS * len(sample):
        raise ValueError(
            f"{path}: {zeros} of {len(sample)} entries of {KEY} that were looked at are 0, "
            "but different vertices are some way apart; fetch it again"
        )
    return DistanceTable(path, numbers, vertices)


def check_distances(distance_m: np.ndarray, entry: np.ndarray | int, path: Path) -> None:
    """ValueError where one is not finite, negative, or longer than any body.

    Args:
        distance_m: (N,) metres.
        entry: (N,) where they stand in the table; or where the first of adjacent ones stands.
        path: of the file.
    """
    bad = ~((distance_m >= 0) & (distance_m < _FARTHEST_M))
    if bad.any():
        first = int(bad.argmax())
        where = entry + first if isinstance(entry, int) else int(entry[first])
        raise ValueError(
            f"{path}: entry {where:,} of {KEY} is {distance_m[first]:g}, "
            f"but metres from 0 to {_FARTHEST_M:g} are wanted"
        )


def find_distances(path: Path) -> StoredNumbers:
    """Where the table lies in a file, none of it read; errors as for `open_distances`."""
    readers: dict[str, Callable[[Path, str], StoredNumbers]] = {
        ".npy": find_in_npy,
        ".h5": find_in_hdf5,
        ".mat": find_in_hdf5 if h5py.is_hdf5(path) else find_in_matlab5,
        ".pkl": find_in_pickle,
    }
    return readers[path.suffix](path, KEY)
