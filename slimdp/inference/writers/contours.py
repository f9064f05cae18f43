"""The frame with lines of equal u and v over everyone, from dark blue at 0 to yellow at 1."""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.inference.contours import LEVELS, iso_contours
from slimdp.inference.video_records import FramePose
from slimdp.inference.writers.palettes import colour_table, unit_values
from slimdp.surface.layout import PartLayout

#: OpenCV draws at 1/16 of a pixel.
_SHIFT = 4


def draw_contours(pose: FramePose, layout: PartLayout) -> np.ndarray:
    """A frame's picture, (H, W, 3) uint8 RGB."""
    image, painted = pose.frame.image.copy(), pose.painted
    draw_lines(image, painted.part, painted.uv, painted.track)
    return image


def draw_lines(image: np.ndarray, part: np.ndarray, uv: np.ndarray, track: np.ndarray) -> None:
    """Draw everyone's lines into an image (H, W, 3) uint8 RGB.

    Of each pixel the part (H, W), 0 where nobody is, u and v (2, H, W) in [0, 1], and whose it is (H, W).
    """
    colours = dict(zip(LEVELS, colour_table("parula")[unit_values(np.array(LEVELS))].tolist()))
    thick = max(1, round(len(image) / 700))
    for person in np.unique(track[part > 0]).tolist():
        for line in iso_contours(np.where(track == person, part, 0), uv):
            points = np.round(line.points * (1 << _SHIFT)).astype(np.int32)
            cv2.polylines(image, [points], False, colours[line.level], thick, cv2.LINE_AA, _SHIFT)
