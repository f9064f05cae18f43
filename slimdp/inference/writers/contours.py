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
    colours = dict(zip(LEVELS, colour_table("parula")[unit_values(np.array(LEVELS))].tolist()))
    thick = max(1, round(len(image) / 700))
    for person in pose.people:
        mine = np.where(painted.track == person.annotation_id, painted.part, 0)
        for line in iso_contours(mine, painted.uv):
            points = np.round(line.points * (1 << _SHIFT)).astype(np.int32)
            cv2.polylines(image, [points], False, colours[line.level], thick, cv2.LINE_AA, _SHIFT)
    return image
