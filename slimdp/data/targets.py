"""The dense target of a crop: its coarse part masks at the resolution of the network's maps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from slimdp.data.box_frame import FRAME, sample_coarse
from slimdp.geometry import STRIDE, apply_affine, invert_affine
from slimdp.structures import IGNORE, BoxSource, PersonAnnotation

BACKGROUND = 0


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
    IGNORE. Without a mask the whole box is IGNORE. A rough box (`BoxSource`) says nothing of what is outside
    it: all of that is IGNORE. Labels are not mirrored: a mirrored crop needs `FLIP_COARSE`.

    Args:
        person: whose mask it is.
        crop_from_image: (2, 3), image px -> crop px.
        size: side of the crop, px.
        other_boxes: (K, 4) xywh image px of the other people in the image.

    Returns:
        (size / 4, size / 4) uint8: 0..14, or IGNORE.
    """
    side = size // STRIDE
    x, y = _map_pixel_places(crop_from_image, side)
    coarse = np.full((FRAME, FRAME), IGNORE, dtype=np.uint8) if person.coarse is None else person.coarse
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    label, inside = (flat.reshape(x.shape) for flat in sample_coarse(coarse, person.box, places, BACKGROUND))
    label[_may_show_anybody(person, crop_from_image, x, y, other_boxes) & ~inside] = IGNORE
    return label


def _map_pixel_places(crop_from_image: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the centres of a crop's map pixels lie: x and y (side, side), image px, rows first."""
    (a, b, c), (d, e, f) = invert_affine(crop_from_image).tolist()
    centres = STRIDE * np.arange(side) + (STRIDE - 1) / 2  # crop px
    return a * centres + (b * centres + c)[:, None], d * centres + (e * centres + f)[:, None]


def _may_show_anybody(
    person: PersonAnnotation,
    crop_from_image: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    other_boxes: np.ndarray | None,
) -> np.ndarray:
    """Which map pixels (side, side), at places x, y (image px), would not be background if not the person."""
    if person.box_source != BoxSource.ANNOTATOR:
        return np.ones(x.shape, dtype=bool)
    unknown = np.zeros(x.shape, dtype=bool)
    for left, top, width, height in [] if other_boxes is None else other_boxes.tolist():
        # A box covers its pixels up to their edges.
        left, top = left - 0.5, top - 0.5
        unknown |= (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    if person.image.ignore_regions:
        unknown |= _in_regions(person.image.ignore_regions, crop_from_image, len(x))
    return unknown


def _in_regions(regions: Sequence[np.ndarray], crop_from_image: np.ndarray, side: int) -> np.ndarray:
    """Which map pixels (side, side) of a crop lie in one of the polygons (K, 2) x, y image px."""
    drawn = np.zeros((side, side), dtype=np.uint8)
    # cv2 takes fixed point coordinates, here in 1/16 px; far corners would overflow it.
    for region in regions:
        corners = (apply_affine(crop_from_image, region) - (STRIDE - 1) / 2) / STRIDE
        fixed = np.round(corners.clip(-1e6, 1e6) * 16).astype(np.int32)
        cv2.fillPoly(drawn, [fixed], 1, shift=4)
    return drawn > 0
