"""The dense target of a crop: its coarse part masks at the resolution of the network's maps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from slimdp.data.frame import FRAME, sample_coarse
from slimdp.geometry import STRIDE, apply_affine, invert_affine
from slimdp.structures import IGNORE, PersonAnnotation


def coarse_target(
    person: PersonAnnotation,
    crop_from_image: np.ndarray,
    size: int,
    other_boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Coarse labels at the map pixels of a crop, read from the nearest pixel of the annotated mask.

    DensePose's annotators saw one box at a time and labelled one person in it: inside the box all others
    are background, by the mask. Outside, the box holds the whole person, so what is there is background
    too, but for the boxes of other people and the image's ignore regions, which may show anybody: they get
    IGNORE. Without a mask the whole box is IGNORE. Labels are not mirrored: a mirrored crop needs
    `FLIP_COARSE`.

    Args:
        person: whose mask it is.
        crop_from_image: (2, 3), image px -> crop px.
        size: side of the crop, px.
        other_boxes: (K, 4) xywh image px of the other people in the image.

    Returns:
        (size / 4, size / 4) uint8: 0..14, or IGNORE.
    """
    centres = STRIDE * np.arange(size // STRIDE) + (STRIDE - 1) / 2  # of map pixels, crop px
    x, y = np.meshgrid(centres, centres)
    points = apply_affine(invert_affine(crop_from_image), np.stack([x.ravel(), y.ravel()], axis=1))
    coarse = np.full((FRAME, FRAME), IGNORE, dtype=np.uint8) if person.coarse is None else person.coarse
    label, inside = sample_coarse(coarse, person.box, points, outside=0)
    unknown = np.zeros(len(points), dtype=bool)
    for box in () if other_boxes is None else other_boxes:
        corner = points - box[:2] + 0.5  # a box covers its pixels up to their edges
        unknown |= ((corner >= 0) & (corner < box[2:])).all(axis=1)
    if person.image.ignore_regions:
        unknown |= _in_regions(person.image.ignore_regions, crop_from_image, size)
    label[unknown & ~inside] = IGNORE
    return label.reshape(len(centres), len(centres))


def _in_regions(regions: Sequence[np.ndarray], crop_from_image: np.ndarray, size: int) -> np.ndarray:
    """Which map pixels of a crop lie in one of the polygons (K, 2) x, y image px: flat (maps' pixels,)."""
    side = size // STRIDE
    drawn = np.zeros((side, side), dtype=np.uint8)
    # cv2 takes fixed point coordinates, here in 1/16 px; far corners would overflow it.
    for region in regions:
        corners = (apply_affine(crop_from_image, region) - (STRIDE - 1) / 2) / STRIDE
        fixed = np.round(corners.clip(-1e6, 1e6) * 16).astype(np.int32)
        cv2.fillPoly(drawn, [fixed], 1, shift=4)
    return drawn.ravel() > 0
