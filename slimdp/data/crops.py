"""The square crop of a person that the network sees, and its coarse part masks at the network's maps.

Crop px = A @ (x, y, 1) of image px, pixel centres at integers: a crop of S px has its centre at (S - 1) / 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from slimdp.config import CropSettings
from slimdp.data.box_frame import FRAME, sample_coarse
from slimdp.geometry import affine_zoom, apply_affine, crop_from_map, invert_affine, map_from_crop
from slimdp.structures import IGNORE, BoxSource, PersonAnnotation

#: Colour of the crop where the image has no pixels: the mean of ImageNet's pictures.
BORDER_RGB = (124, 116, 104)
#: Crops that shrink the image are averaged by whole factors first, until less than a factor of 2 is left. If
#: that still shrinks to less than this, it is smoothed too: bilinear sampling would alias fine stripes.
_SHARP = 0.6
BACKGROUND = 0


def crop_side(box: np.ndarray, settings: CropSettings) -> float:
    """Side of the square around a box (4,) xywh, image px: the longer side and a margin at each end."""
    return float(max(box[2], box[3])) * (1 + 2 * settings.margin)


def crop_affine(
    box: np.ndarray,
    settings: CropSettings,
    scale: float = 1.0,
    rotation_deg: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
) -> np.ndarray:
    """Image px -> crop px, (2, 3) float64, for the square around a box (4,) x, y, width, height, image px.

    The content is zoomed (2 shows the person twice as large) and turned, counter-clockwise as it is seen,
    about the centre of the box, and moved right and down by shares of the crop; `flip` mirrors the finished
    crop left to right. Raises ValueError for a box without size, or a scale that is not positive.
    """
    if not (box[2] > 0 and box[3] > 0 and scale > 0):
        raise ValueError(f"a crop of box {np.asarray(box).tolist()} at scale {scale}: all must be positive")
    zoom = scale * settings.size / crop_side(box, settings)
    angle = np.deg2rad(rotation_deg)
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])  # y points down
    # The box covers pixels x .. x + width - 1, so the middle of its pixel centres is half a pixel less.
    box_centre = np.array([box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2])
    crop_centre = (settings.size - 1) / 2 + settings.size * np.array(shift)
    affine = np.column_stack([linear, crop_centre - linear @ box_centre])
    if flip:
        affine[0] *= -1
        affine[0, 2] += settings.size - 1
    return affine


def crop_image(image: np.ndarray, affine: np.ndarray, size: int) -> np.ndarray:
    """Cut a crop out of an image, smoothly and without aliasing.

    (H, W, 3) uint8 RGB and an affine (2, 3) of image px -> crop px give (size, size, 3) uint8 RGB, BORDER_RGB
    outside the image.
    """
    zoom, last, most = affine_zoom(affine), size - 1, np.array([image.shape[1], image.shape[0]])
    # What the crop looks at, and neighbours that shrinking and bilinear sampling read: two shrunken pixels.
    margin = 2 * max(1.0, 1 / zoom)
    corners = apply_affine(invert_affine(affine), np.array([[0, 0], [last, 0], [0, last], [last, last]]))
    left, top = np.floor(corners.min(axis=0) - margin).clip(0, most).astype(int).tolist()
    right, bottom = (np.ceil(corners.max(axis=0) + margin) + 1).clip(0, most).astype(int).tolist()
    if left == right or top == bottom:
        return np.full((size, size, 3), BORDER_RGB, dtype=np.uint8)
    # At most what shrinks the whole part to a pixel: for a box of a million px it would be padded to that.
    factor = min(max(1, int(1 / zoom + 1e-9)), max(right - left, bottom - top))
    if factor > 1:
        # Whole factors are what OpenCV averages fast: 0.6 times the size takes it 20 times as long as half.
        # The last squares are looked at only where the image ends within them.
        right, bottom = right + (left - right) % factor, bottom + (top - bottom) % factor
    part = image[top:bottom, left:right]
    if factor > 1:
        down, across = -part.shape[0] % factor, -part.shape[1] % factor
        if down or across:
            part = cv2.copyMakeBorder(part, 0, down, 0, across, cv2.BORDER_REPLICATE)
        small = (part.shape[1] // factor, part.shape[0] // factor)
        part = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
    if zoom * factor < _SHARP:
        part = cv2.GaussianBlur(part, (3, 3), 0)
    # Pixel x of the shrunken part averages `factor` px from factor x on, and has its centre between them.
    image_from_part = np.array([left, top]) + (factor - 1) / 2
    crop_from_part = np.column_stack([factor * affine[:, :2], affine[:, :2] @ image_from_part + affine[:, 2]])
    return cv2.warpAffine(
        part, crop_from_part, (size, size),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER_RGB,
    )  # fmt: skip


def coarse_target(
    person: PersonAnnotation,
    crop_from_image: np.ndarray,
    size: int,
    stride: int,
    other_boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Coarse labels at the map pixels of a crop, read from the nearest pixel of the annotated mask.

    DensePose's annotators saw one box at a time and labelled one person in it: inside the box all others
    are background, by the mask. Outside, the box holds the whole person, so what is there is background
    too, but for the boxes of other people and the image's ignore regions, which may show anybody: they get
    IGNORE. Without a mask the whole box is IGNORE. A rough box (`BoxSource`) says nothing of what is outside
    it: all of that is IGNORE. Labels are not mirrored: a mirrored crop needs `flip_coarse`.

    The crop is an affine (2, 3), image px -> crop px, and its side, px; `stride` is crop px to a map px,
    `other_boxes` (K, 4) xywh image px are those of the other people in the image. Returns
    (size / stride, size / stride) uint8: 0..C, or IGNORE.
    """
    x, y = map_centres(crop_from_image, size, stride)
    coarse = person.coarse  # drawn at each look
    if coarse is None:
        coarse = np.full((FRAME, FRAME), IGNORE, dtype=np.uint8)
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    label, inside = (flat.reshape(x.shape) for flat in sample_coarse(coarse, person.box, places, BACKGROUND))
    rough = person.box_source != BoxSource.ANNOTATOR
    boxes = np.zeros((0, 4)) if other_boxes is None else other_boxes
    may_show_anybody = rough | unlabelled_map(
        boxes, person.image.ignore_regions, crop_from_image, size, stride
    )
    label[may_show_anybody & ~inside] = IGNORE
    return label


def map_centres(crop_from_image: np.ndarray, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the centres of a crop's map pixels lie: x and y (side, side), image px, rows first."""
    (a, b, c), (d, e, f) = invert_affine(crop_from_image).tolist()
    centres = crop_from_map(np.arange(size // stride), stride)
    return a * centres + (b * centres + c)[:, None], d * centres + (e * centres + f)[:, None]


def unlabelled_map(
    boxes: np.ndarray, regions: Sequence[np.ndarray], crop_from_image: np.ndarray, size: int, stride: int
) -> np.ndarray:
    """The map pixels of a crop whose centres lie in a box or a region, (size / stride, size / stride) bool.

    Boxes (K, 4) x, y, width, height and regions, polygons (C, 2) x, y, in image px; the crop is as of
    `coarse_target`.
    """
    x, y = map_centres(crop_from_image, size, stride)
    covered = np.zeros(x.shape, dtype=bool)
    for left, top, width, height in boxes.tolist():
        # A box covers its pixels up to their edges.
        left, top = left - 0.5, top - 0.5
        covered |= (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    drawn = np.zeros(x.shape, dtype=np.uint8)
    for region in regions:
        corners = map_from_crop(apply_affine(crop_from_image, region), stride)
        # cv2 takes fixed point coordinates, here in 1/16 px; far corners would overflow it.
        cv2.fillPoly(drawn, [np.round(corners.clip(-1e6, 1e6) * 16).astype(np.int32)], 1, shift=4)
    return covered | (drawn > 0)
