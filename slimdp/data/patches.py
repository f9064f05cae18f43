"""Patches that hide parts of a training crop, as things in front of people do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.geometry import STRIDE

#: Patches that hide parts of one crop, at most.
MOST_PATCHES = 3


@dataclass(frozen=True)
class Patch:
    """A rectangle that hides a part of a crop; places and sizes are shares of the crop's side."""

    centre: tuple[float, float]  # x, y
    sides: tuple[float, float]  # width, height
    colour: tuple[int, int, int] | None  # RGB; None: covered by what the crop shows elsewhere
    elsewhere: tuple[float, float] = (0.0, 0.0)  # x, y, from 0 at one end of the crop to 1 at the other


def draw_patches(chance: float, rng: np.random.Generator) -> tuple[Patch, ...]:
    """None, or with a chance in 0..1 up to `MOST_PATCHES`: always the same number of random values."""
    occluded, count = rng.random(2)
    values = rng.random((MOST_PATCHES, 10)).tolist()
    if occluded >= chance:
        return ()
    patches = []
    for x, y, size, shape, plain, *rest in values[: 1 + int(MOST_PATCHES * count)]:
        other_x, other_y, red, green, blue = rest
        # Of 1/10 to 1/3 of the crop's side, up to twice as high as wide or the other way round.
        side, ratio = 0.1 * (10 / 3) ** size, 2 ** (shape - 0.5)
        colour = (int(256 * red), int(256 * green), int(256 * blue)) if plain < 0.5 else None
        patches.append(Patch((x, y), (side * ratio, side / ratio), colour, (other_x, other_y)))
    return tuple(patches)


def cover(image: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
    """Lay patches over a square image (S, S, 3) uint8, in place, and say where.

    Returns:
        (S, S) bool, true where a patch lies.
    """
    size = len(image)
    covered = np.zeros((size, size), dtype=bool)
    for patch in patches:
        (left, right), (top, bottom) = (
            _pixels(middle, side, size) for middle, side in zip(patch.centre, patch.sides)
        )
        width, height = right - left, bottom - top
        if patch.colour is not None:
            image[top:bottom, left:right] = patch.colour
        else:
            x, y = int(patch.elsewhere[0] * (size - width)), int(patch.elsewhere[1] * (size - height))
            image[top:bottom, left:right] = image[y : y + height, x : x + width].copy()
        covered[top:bottom, left:right] = True
    return covered


def under(covered: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which of points (N, 2) x, y, crop px, lie in a crop's covered pixels (S, S): (N,) bool."""
    column, row = np.floor(points + 0.5).astype(np.int64).T
    height, width = covered.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = np.zeros(len(points), dtype=bool)
    found[inside] = covered[row[inside], column[inside]]
    return found


def map_pixels_under(covered: np.ndarray) -> np.ndarray:
    """Which map pixels average a covered pixel of a crop (S, S): (S / 4, S / 4) bool."""
    side = len(covered) // STRIDE
    return np.asarray(covered.reshape(side, STRIDE, side, STRIDE).any(axis=(1, 3)))


def _pixels(middle: float, side: float, size: int) -> tuple[int, int]:
    """First pixel and the one past the last of a patch along one axis, inside the image."""
    low, high = round((middle - side / 2) * size), round((middle + side / 2) * size)
    return min(max(low, 0), size), min(max(high, 0), size)
