"""Flow as it is stored: int16 fixed point, 1/32 px a unit, and rows as what they add to the row above.

Half a unit (1/64 px) is far below the error of any estimator, and the range of 1023.96875 px covers every
displacement within a 1024 px wide frame. Fixed point keeps the bits of neighbours alike, so it compresses;
half floats would spend their bits on tiny displacements.

Flow is smooth, so differences of rows compress to two thirds of the values themselves. The arithmetic is
modulo 2**16, and exact. The first row of a tile counts from `NOT_STORED`, so that a tile of zeros, which is
how HDF5 gives one that was never written, is a tile of `NOT_STORED`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from flow_cache.errors import FlowCacheError

#: Stored units per px.
UNITS_PER_PX = 32
#: Largest displacement that can be stored, px.
MAX_PX = 32767 / UNITS_PER_PX
#: The one stored value that is no displacement: this tile was never written.
NOT_STORED = -32768
#: Side of a tile, px.
TILE = 64


def encode(flow: np.ndarray) -> np.ndarray:
    """Round flow (..., 2, H, W) float px, x first, to int16 of 1/32 px; the error is at most 1/64 px.

    Raises FlowCacheError for another shape, or a displacement that is not finite or exceeds `MAX_PX`.
    """
    flow = np.asarray(flow, dtype=np.float32)
    if flow.ndim < 3 or flow.shape[-3] != 2:
        raise FlowCacheError(f"flow of shape {flow.shape}; wanted (..., 2, H, W) px, x first")
    units = flow * np.float32(UNITS_PER_PX)
    np.rint(units, out=units)
    most = MAX_PX * UNITS_PER_PX
    if not (units.size == 0 or (units.min() >= -most and units.max() <= most)):  # so of NaN as well
        within = np.abs(units) <= most
        *_, axis, y, x = (int(i) for i in np.argwhere(~within)[0])
        raise FlowCacheError(
            f"{int((~within).sum())} displacements that cannot be stored, the first along {'xy'[axis]} "
            f"at pixel ({x}, {y}): {flow[~within][0]} px; wanted finite values within +-{MAX_PX:.2f} px"
        )
    # Rows of an axis together, whatever came: OpenCV keeps x and y side by side, and what follows, the search
    # for tiles and the differences of rows, takes four times as long on that.
    return units.astype(np.int16, order="C")


def decode(stored: np.ndarray) -> np.ndarray:
    """Fixed point (int16, any shape) to float32 px; NaN where nothing was ever stored."""
    _check_stored(stored)
    flow = stored.astype(np.float32)
    flow *= np.float32(1 / UNITS_PER_PX)
    if stored.min(initial=0) == NOT_STORED:  # the least number of its type
        flow[stored == NOT_STORED] = np.nan
    return flow


def to_row_differences(stored: np.ndarray, tile: int) -> np.ndarray:
    """Fixed point (..., H, W) int16, from the first row of a tile of `tile` rows on, as it lies in a file.

    Each row less the one above, the first row of each tile less `NOT_STORED`.
    """
    _check_stored(stored)
    differences = stored.copy()
    differences[..., 1:, :] -= stored[..., :-1, :]
    # Which differs by the sign bit alone: the same as to subtract it.
    differences[..., ::tile, :] = stored[..., ::tile, :] ^ NOT_STORED
    return differences


def from_row_differences(differences: np.ndarray, tile: int) -> np.ndarray:
    """The inverse of `to_row_differences`; columns may be cut away, no rows above those that are wanted."""
    _check_stored(differences)
    rows = differences.shape[-2]
    stored = np.zeros((*differences.shape[:-2], whole_tiles(rows, tile), differences.shape[-1]), np.int16)
    stored[..., :rows, :] = differences
    sum_rows(stored, tile)
    return stored[..., :rows, :]


def whole_tiles(rows: int, tile: int) -> int:
    """How many rows the tiles have that so many rows begin."""
    return -(-rows // tile) * tile


def sum_rows(differences: np.ndarray, tile: int) -> None:
    """Turn differences of rows (..., H, W) int16, whole tiles in one piece, into fixed point, in place.

    In six passes for 64 rows, which each add the sums of twice as many (Hillis and Steele, Data parallel
    algorithms, 1986): fewer calls, and on longer rows of memory, than to add row by row.
    """
    _check_stored(differences)
    differences[..., ::tile, :] ^= NOT_STORED
    *before, rows, columns = differences.shape
    tiles = differences.reshape(*before, rows // tile, tile, columns)
    reach = 1
    while reach < tile:
        tiles[..., reach:, :] += tiles[..., :-reach, :]  # NumPy sees that they overlap
        reach *= 2


def _check_stored(stored: np.ndarray) -> None:
    if stored.dtype != np.int16:
        raise FlowCacheError(f"stored flow of type {stored.dtype}; wanted int16")


def pixels_touched(box: Sequence[float] | None, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels of a frame that a box touches: x, y, width, height, whole px; all of it for None.

    `box` is x, y, width, height px, and may reach beyond the frame. Raises FlowCacheError for what is not
    four finite numbers, or has no pixel in the frame.
    """
    if box is None:
        return 0, 0, width, height
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise FlowCacheError(f"box {tuple(box)}; wanted four finite numbers: x, y, width, height px")
    left, top = max(math.floor(box[0]), 0), max(math.floor(box[1]), 0)
    right = min(math.ceil(box[0] + box[2]), width)
    bottom = min(math.ceil(box[1] + box[3]), height)
    if right <= left or bottom <= top:
        raise FlowCacheError(f"box {tuple(box)} has no pixel in a frame of {width} x {height} px")
    return left, top, right - left, bottom - top


def encode_known(flow: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Encode the known (H, W) pixels of flow (2, H, W) float px, x first, the others as not stored: int16.

    Raises FlowCacheError for a known displacement that cannot be stored.
    """
    stored = encode(np.where(known, flow, 0))
    stored[:, ~known] = NOT_STORED
    return stored


def tiles_with_pixels(stored: np.ndarray) -> np.ndarray:
    """Which tiles of a field (2, H, W) int16 hold a stored pixel: (rows, columns) bool."""
    known = (stored != NOT_STORED).any(axis=0)
    height, width = known.shape
    rows = np.logical_or.reduceat(known, range(0, height, TILE), axis=0)
    return np.logical_or.reduceat(rows, range(0, width, TILE), axis=1)


def runs(tiles: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """The marked tiles (rows, columns) as slices of px along y and x, which may reach beyond the frame."""
    for row, marked in enumerate(tiles):
        ends = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
        for first, last in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
            yield slice(row * TILE, (row + 1) * TILE), slice(first * TILE, last * TILE)
