"""Boxes, the pixels that they touch, and the tiles that a field with unknown pixels needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from flow_cache.codec import NOT_STORED, encode
from flow_cache.errors import FlowCacheError
from flow_cache.schema import TILE


def pixels_touched(box: Sequence[float] | None, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels of a frame that a box touches: x, y, width, height, whole px; all of it for None.

    Args:
        box: x, y, width, height px. It may reach beyond the frame.
        width: of the frame, px.
        height: of the frame, px.

    Raises:
        FlowCacheError: not four finite numbers, or a box without a pixel in the frame.
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
    """Encode some pixels of a field, and mark the others as not stored.

    Args:
        flow: (2, H, W) float px, x first; anything where it is not known.
        known: (H, W) bool.

    Returns:
        (2, H, W) int16, as `codec.encode` gives it; NOT_STORED where it is not known.

    Raises:
        FlowCacheError: a known displacement cannot be stored.
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
    """The marked tiles (rows, columns) as slices of px along y and x: neighbours in a row together.

    The last row and column may reach beyond the frame, as slices may.
    """
    for row, marked in enumerate(tiles):
        ends = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
        for first, last in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
            yield slice(row * TILE, (row + 1) * TILE), slice(first * TILE, last * TILE)
