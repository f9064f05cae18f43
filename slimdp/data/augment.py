"""Random changes of a training crop. What moves pixels is part of the crop's affine, so labels follow it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from slimdp.config import AugmentSettings
from slimdp.data.patches import Patch, draw_patches
from slimdp.structures import IGNORE
from slimdp.surface.symmetry import FLIP_COARSE, UvSymmetry

#: FLIP_COARSE for every uint8 label; IGNORE stays.
_FLIP_COARSE_TABLE = np.arange(IGNORE + 1, dtype=np.uint8)
_FLIP_COARSE_TABLE[: len(FLIP_COARSE)] = FLIP_COARSE


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


def draw_augmentation(settings: AugmentSettings, rng: np.random.Generator) -> Augmentation:
    """Draw the changes of one crop: always the same number of random values, whatever the settings."""
    zoom, turn, right, down, mirror, bright, contrast = rng.random(7)
    tint = rng.uniform(-1, 1, 3)
    colour = settings.colour
    # At full strength brightness moves by half of the range, and a channel by half of that again.
    offsets = colour * (0.5 * (2 * bright - 1) + 0.25 * tint)
    gain = (1 + colour) ** (2 * contrast - 1)
    return Augmentation(
        scale=(1 + settings.scale) ** (2 * zoom - 1),
        rotation_deg=settings.rotation_deg * (2 * turn - 1),
        shift=(settings.shift * (2 * right - 1), settings.shift * (2 * down - 1)),
        flip=bool(settings.flip and mirror < 0.5),
        gain=(gain, gain, gain),
        offset=(float(offsets[0]), float(offsets[1]), float(offsets[2])),
        patches=draw_patches(settings.occlusion, rng),
    )


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
    return part, uv, flip_coarse(coarse)


def flip_coarse(coarse: np.ndarray) -> np.ndarray:
    """Coarse labels, uint8 of any shape, with left and right exchanged."""
    return _FLIP_COARSE_TABLE[coarse]
