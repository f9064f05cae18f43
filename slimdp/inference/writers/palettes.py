"""Parts, u and v in the colours that other programs draw and read them in.

The rule is that of detectron2's DensePose (projects/DensePose/densepose/vis): a value from 0 to 255 goes
through a colour map of OpenCV, and the colour is laid over the picture with a weight of 0.7 where the person
is, fractions cut off. The value of a part is floor(255 part / parts), that of u is floor(255 u). Two things
are not as there: detectron2's command makes the picture grey before, and darkens what is around a person by
up to one level in 255, by rounding.

Programs that animate pictures (MagicAnimate and those after it) want the parts on a canvas of the colour of
value 0 in place of the picture, in Viridis, which has a dark purple there: RGB 68, 1, 84.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

from slimdp.inference.video_records import FramePose
from slimdp.surface.layout import PartLayout

#: Weight of the colour in detectron2's pictures, and in those of vid2densepose.
ALPHA = 0.7
_MAPS = {"viridis": cv2.COLORMAP_VIRIDIS, "parula": cv2.COLORMAP_PARULA}


def colour_table(name: str) -> np.ndarray:
    """The 256 colours of one of OpenCV's maps, (256, 3) uint8 RGB."""
    return cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], _MAPS[name])[:, 0, ::-1].copy()


def part_values(part: np.ndarray, parts: int) -> np.ndarray:
    """The value of each label 0..P of `parts` parts, uint8."""
    return (part.astype(np.uint16) * 255 // parts).astype(np.uint8)


def unit_values(unit: np.ndarray) -> np.ndarray:
    """The value of each u or v in [0, 1], uint8."""
    return (unit * 255).astype(np.uint8)


@dataclass(frozen=True)
class Palette:
    """How values are laid over a frame."""

    values: Literal["part", "u", "v"]
    colours: Literal["viridis", "parula"]
    alpha: float  # weight of the colour, 0..1
    canvas: bool = False  # the ground is the colour of value 0, not the frame

    def draw(self, pose: FramePose, layout: PartLayout) -> np.ndarray:
        """A frame's picture, (H, W, 3) uint8 RGB."""
        painted = pose.painted
        image = pose.frame.image.copy()
        if self.canvas:
            image[:] = self._table[0]
        within = image[painted.place]  # a view: most frames are mostly background
        part = painted.part[painted.place]
        person = part > 0
        if self.values == "part":
            value = part_values(part[person], len(layout.parts))
        else:
            value = unit_values(painted.uv["uv".index(self.values)][painted.place][person])
        within[person] = self._blended[within[person], self._table[value]]
        return image

    @cached_property
    def _table(self) -> np.ndarray:
        return colour_table(self.colours)

    @cached_property
    def _blended(self) -> np.ndarray:
        """What comes of a level of the ground and one of the colour: (256, 256) uint8, fractions cut off."""
        level = np.arange(256, dtype=np.uint8)
        return (level[:, None] * (1.0 - self.alpha) + level * self.alpha).astype(np.uint8)
