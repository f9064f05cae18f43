"""Patches that hide parts of a training crop, as things in front of people do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.geometry import STRIDE
from slimdp.structures import IGNORE

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
        (R, 4) int64 left, top, right, bottom, px: from the first pixel to the one past the last.
    """
    size = len(image)
    rectangles = [_rectangle(patch, size) for patch in patches]
    for patch, (left, top, right, bottom) in zip(patches, rectangles):
        width, height = right - left, bottom - top
        if patch.colour is not None:
            image[top:bottom, left:right] = patch.colour
        else:
            x, y = int(patch.elsewhere[0] * (size - width)), int(patch.elsewhere[1] * (size - height))
            image[top:bottom, left:right] = image[y : y + height, x : x + width].copy()
    return np.array(rectangles, dtype=np.int64).reshape(-1, 4)


def under(rectangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which of points (N, 2) x, y, crop px, show one of rectangles (R, 4): (N,) bool."""
    hidden = np.zeros(len(points), dtype=bool)
    for left, top, right, bottom in rectangles.tolist():
        # A pixel reaches half a px to either side of its centre.
        hidden |= ((points >= (left - 0.5, top - 0.5)) & (points < (right - 0.5, bottom - 0.5))).all(axis=1)
    return hidden


def forget_under(rectangles: np.ndarray, coarse: np.ndarray) -> None:
    """Set coarse labels (S / 4, S / 4), in place, to IGNORE wherever a map pixel shows some of a patch."""
    for left, top, right, bottom in rectangles.tolist():
        coarse[top // STRIDE : -(-bottom // STRIDE), left // STRIDE : -(-right // STRIDE)] = IGNORE


def _rectangle(patch: Patch, size: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a patch in a crop of `size` px, cut off where the crop ends."""
    middle, half = np.array(patch.centre), np.array(patch.sides) / 2
    ends = np.round(size * np.concatenate([middle - half, middle + half])).clip(0, size)
    left, top, right, bottom = ends.astype(int).tolist()
    return left, top, right, bottom
