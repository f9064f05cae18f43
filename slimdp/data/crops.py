"""The square crop of a person that the network sees.

Crop px = A @ (x, y, 1) of image px, pixel centres at integers: a crop of S px has its centre at (S - 1) / 2.
"""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.config import CropSettings
from slimdp.geometry import apply_affine, invert_affine

#: Colour of the crop where the image has no pixels: the mean of ImageNet's pictures.
BORDER_RGB = (124, 116, 104)
#: Crops that shrink the image to less than this are averaged first: bilinear sampling alone would alias.
_SHRINK = 0.8


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
    """Image px -> crop px for the square around a box.

    Args:
        box: (4,) x, y, width, height, image px.
        settings: size of the crop and margin around the box.
        scale: zoom about the centre of the box; 2 shows the person twice as large.
        rotation_deg: turns the content counter-clockwise as it is seen, about the centre of the box.
        shift: moves the content right and down, as a share of the crop.
        flip: mirrors the finished crop left to right.

    Returns:
        (2, 3) float64.

    Raises:
        ValueError: a box without size, or a scale that is not positive.
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

    Args:
        image: (H, W, 3) uint8 RGB.
        affine: (2, 3), image px -> crop px.
        size: side of the crop, px.

    Returns:
        (size, size, 3) uint8 RGB; BORDER_RGB outside the image.
    """
    zoom = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    part, part_from_image = _region(image, affine, size)
    if part.size and zoom < _SHRINK:
        part, small_from_part = _shrink(part, zoom)
        part_from_image = small_from_part @ part_from_image
    if not part.size:
        return np.full((size, size, 3), BORDER_RGB, dtype=np.uint8)
    crop_from_part = np.vstack([affine, [0, 0, 1]]) @ np.linalg.inv(part_from_image)
    return cv2.warpAffine(
        part,
        crop_from_part[:2],
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER_RGB,
    )


def _region(image: np.ndarray, affine: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that a crop looks at, a view of the image, and the (3, 3) from image px to its px."""
    last = size - 1
    corners = apply_affine(invert_affine(affine), np.array([[0, 0], [last, 0], [0, last], [last, last]]))
    # Room for the neighbours that shrinking and bilinear sampling read: two pixels of the shrunken image.
    margin = 2 * max(1.0, 1 / float(np.sqrt(abs(np.linalg.det(affine[:, :2])))))
    limit = np.array([image.shape[1], image.shape[0]])
    x0, y0 = np.floor(corners.min(axis=0) - margin).clip(0, limit).astype(int)
    x1, y1 = np.ceil(corners.max(axis=0) + margin + 1).clip(0, limit).astype(int)
    return image[y0:y1, x0:x1], np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)


def _shrink(image: np.ndarray, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """The image averaged down by about `zoom`, and the (3, 3) from its px to the small one's."""
    height, width = image.shape[:2]
    small_width, small_height = max(1, round(width * zoom)), max(1, round(height * zoom))
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA)
    # Areas map onto areas: (x + 0.5) scales, with pixel centres at integers.
    zoom_x, zoom_y = small_width / width, small_height / height
    matrix = np.array([[zoom_x, 0, (zoom_x - 1) / 2], [0, zoom_y, (zoom_y - 1) / 2], [0, 0, 1.0]])
    return small, matrix
