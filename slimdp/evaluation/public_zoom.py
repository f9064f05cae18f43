"""How the public evaluator stretches a mask over its box, to the last bit.

It calls `scipy.ndimage.zoom(mask, (height / 256, width / 256), order=1)`. That is linear, first pixel upon
first and last upon last, but for its rounding: pixel k of a side `length` px long is read at the 64-bit
product k * s, s = 255 / (length - 1) rounded once. Where (length - 1) * s comes out above 255, which it does
for 133 of the lengths up to 1,000 (12, 14, 23, 27, 32, 45, ...), the last pixel lies outside of the mask and
is 0: masks lose their last row or column there, and published scores are counted so.
"""

from __future__ import annotations

import numpy as np

#: A corner that is in the mask adds its bit: top left, top right, bottom left, bottom right.
_BITS = (1, 2, 4, 8)
_ALL = sum(_BITS)


def zoomed_length(side_px: float) -> int:
    """Pixels of a mask stretched to a box `side_px` long: rounded, a half to the even number, at least 1."""
    return round(max(side_px, 1))


def public_zoom(
    mask: np.ndarray, height: int, width: int, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Where a mask, stretched as the public evaluator does it, exceeds 0.5.

    Args:
        mask: (M, N) bool, two pixels a side at least.
        height: of the stretched mask, px (`zoomed_length`).
        width: of the stretched mask, px.
        rows: (R,) int64 in 0.., rows of the stretched mask; those from `height` on are False.
        columns: (C,) int64, its columns, likewise.

    Returns:
        (R, C) bool: these rows and columns of it.
    """
    row, down, row_inside = _places(rows, height, len(mask))
    column, across, column_inside = _places(columns, width, mask.shape[1])
    # What is read past the last pixel counts with a weight of 0.
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge").view(np.uint8)
    corners = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    code = sum(corner * np.uint8(bit) for corner, bit in zip(corners, _BITS))
    found = code[row][:, column]
    above = found == _ALL
    # Elsewhere the four corners agree; here they are weighed, in the order of the library's sum.
    j, i = np.nonzero((found > 0) & ~above)
    weights = [y[j] * x[i] for y in (1 - down, 1 - (1 - down)) for x in (1 - across, 1 - (1 - across))]
    total = np.zeros(len(j))
    for weight, bit in zip(weights, _BITS):
        total += np.where(found[j, i] & bit, weight, 0.0)
    above[j, i] = total > 0.5
    above[~row_inside] = False
    above[:, ~column_inside] = False
    return above


def _places(indices: np.ndarray, length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of pixels (K,) of a stretched side: the pixel before each, the share past it, whether it is inside."""
    step = (size - 1) / (length - 1) if length > 1 else 1.0
    place = indices * step
    inside = (indices < length) & (place <= size - 1)
    place = np.where(inside, place, 0.0)
    before = np.floor(place)
    return before.astype(np.int64), place - before, inside
