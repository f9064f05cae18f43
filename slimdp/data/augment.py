"""Random changes of a training crop. What moves pixels is part of the crop's affine, so labels follow it.

Patches hide parts of a crop, as things in front of people do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from slimdp.config import AugmentSettings
from slimdp.data.poor_picture import AS_IT_IS, PoorPicture, draw_poor_picture, worsen
from slimdp.structures import IGNORE
from slimdp.surface.layout import PartLayout
from slimdp.surface.symmetry import UvSymmetry

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
    for x, y, size, shape, plain, other_x, other_y, *rgb in values[: 1 + int(MOST_PATCHES * count)]:
        # Of 1/10 to 1/3 of the crop's side, up to twice as high as wide or the other way round.
        side, ratio = 0.1 * (10 / 3) ** size, 2 ** (shape - 0.5)
        red, green, blue = (int(256 * value) for value in rgb)
        colour = (red, green, blue) if plain < 0.5 else None
        patches.append(Patch((x, y), (side * ratio, side / ratio), colour, (other_x, other_y)))
    return tuple(patches)


def cover(image: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
    """Lay patches over a square image (S, S, 3) uint8, in place, and say where.

    That is (R, 4) int64 left, top, right, bottom, px: from the first pixel to the one past the last.
    """
    size, rectangles = len(image), []
    for patch in patches:
        middle, half = np.array(patch.centre), np.array(patch.sides) / 2
        ends = np.round(size * np.concatenate([middle - half, middle + half]))
        rectangles.append(ends.clip(0, size).astype(int).tolist())
        left, top, right, bottom = rectangles[-1]
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


def forget_under(rectangles: np.ndarray, coarse: np.ndarray, stride: int) -> None:
    """Set coarse labels (h, w), in place, to IGNORE wherever a map pixel shows some of a patch."""
    for left, top, right, bottom in rectangles.tolist():
        coarse[top // stride : -(-bottom // stride), left // stride : -(-right // stride)] = IGNORE


@dataclass(frozen=True)
class Augmentation:
    """One draw of the random changes; the default changes nothing."""

    scale: float = 1.0
    rotation_deg: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)  # right and down, share of the crop
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of the contrast about mid grey, by channel
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the brightness, by channel, of 255
    patches: tuple[Patch, ...] = ()  # in the crop as it is shown, mirrored or not
    part_of_box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # x, y, width, height, of the box
    poor: PoorPicture = AS_IT_IS


def draw_augmentation(settings: AugmentSettings, rng: np.random.Generator) -> Augmentation:
    """Draw the changes of one crop: always the same number of random values, whatever the settings."""
    zoom, turn, right, down, mirror, bright, contrast = rng.random(7)
    tint = rng.uniform(-1, 1, 3)
    colour = settings.colour
    # At full strength brightness moves by half of the range, and a channel by half of that again.
    red, green, blue = (colour * (0.5 * (2 * bright - 1) + 0.25 * tint)).tolist()
    gain = (1 + colour) ** (2 * contrast - 1)
    return Augmentation(
        scale=(1 + settings.scale) ** (2 * zoom - 1),
        rotation_deg=settings.rotation_deg * (2 * turn - 1),
        shift=(settings.shift * (2 * right - 1), settings.shift * (2 * down - 1)),
        flip=bool(settings.flip and mirror < 0.5),
        gain=(gain, gain, gain),
        offset=(red, green, blue),
        patches=draw_patches(settings.occlusion, rng),
        part_of_box=draw_part(settings.close_up, rng),
        poor=draw_poor_picture(settings.poor_picture, rng),
    )


def draw_part(chance: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """The whole box, or with a chance in 0..1 a part of it: x, y, width, height, as shares of the box.

    Of 0.3 to 1 of its height, anywhere in it, and 0.5 to 1 of its width: people whom a picture shows to the
    waist, legs, a shoulder. Always the same number of random values.
    """
    close, tall, wide, right, down = rng.random(5).tolist()
    if close >= chance:
        return 0.0, 0.0, 1.0, 1.0
    width, height = 0.5 + 0.5 * wide, 0.3 + 0.7 * tall
    return right * (1 - width), down * (1 - height), width, height


def part_of(box: np.ndarray, part: tuple[float, float, float, float]) -> np.ndarray:
    """A part, in shares, of a box (4,) x, y, width, height: the same of the part, float64."""
    x, y, width, height = part
    return np.array([box[0] + x * box[2], box[1] + y * box[3], width * box[2], height * box[3]])


def change_picture(image: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Apply all of a draw that moves nothing to an image (H, W, 3) uint8 RGB; returns a new one."""
    return worsen(change_colours(image, augmentation), augmentation.poor)


def change_colours(image: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Apply the contrast and brightness of a draw to an image (H, W, 3) uint8 RGB; returns a new one."""
    grey = (np.arange(256)[:, None] - 127.5) / 255
    table = 127.5 + 255 * (grey * np.array(augmentation.gain) + np.array(augmentation.offset))
    table = np.round(table.clip(0, 255)).astype(np.uint8)
    return cv2.LUT(image, table[None])


def flip_labels(
    part: np.ndarray, uv: np.ndarray, coarse: np.ndarray, symmetry: UvSymmetry
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of a mirrored crop: part (N,), uv (N, 2) and coarse (h, w) with left and right exchanged.

    The places do not change: points and coarse masks come from the affine that mirrors.
    """
    part, uv = symmetry.flip(part, uv)
    return part, uv, flip_coarse(coarse, symmetry.layout)


def flip_coarse(coarse: np.ndarray, layout: PartLayout) -> np.ndarray:
    """Coarse labels, uint8 of any shape, with left and right exchanged; IGNORE stays."""
    table = np.arange(IGNORE + 1, dtype=np.uint8)
    table[: len(layout.flip_coarse)] = layout.flip_coarse
    return table[coarse]
