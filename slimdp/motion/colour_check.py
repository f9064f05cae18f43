"""Whether a label shows the same colours where it lands as where it was put.

Where flow takes a thin limb for the wall beside it, there and back alike, the forward-backward check sees
nothing wrong; but the wall has other colours than the limb. Of labels that DIS moved frame by frame over 6 to
36 frames of ten rendered clips (check at 5 px), 69 % were within 10 cm of the truth; a limit of 12 keeps 70 %
of these and 19 % of the others, so that 89 % are right.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from flow_cache.images import read_image
from slimdp.config import ConfigError

#: The places that are compared lie about the label and so far from it, px of a 256 px crop of the person.
RADIUS_PX = 2.5
#: Standard deviation of the blur before, px of the same.
BLUR_PX = 1.3
#: Of the differences in L, a and b (L 0..255, as OpenCV has 8 bits): light changes sooner than colour.
LAB_WEIGHTS = np.array([0.5, 1.0, 1.0])
_PLACES = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], dtype=np.float64)
#: Blurred images that are kept: the frame of the labels, and those they go to.
_KEPT_IMAGES = 4
#: Whether labels at points of frame 0 (N, 2) px look alike where they land (N, 2); (N,) bool.
Alike = Callable[[np.ndarray, np.ndarray], np.ndarray]


class ColourCheck:
    """Compares the colours about labels with those where they land.

    Args:
        limit: the largest mean difference over nine places, in Lab of 8 bits, lightness counted half.

    Raises ConfigError for a limit that is not positive.
    """

    def __init__(self, limit: float) -> None:
        if not limit > 0:
            raise ConfigError(f"a colour limit of {limit}, but a positive number is wanted")
        self._limit = limit
        self._blurred = lru_cache(maxsize=_KEPT_IMAGES)(blurred_lab)

    def between(self, file_0: Path, file_1: Path, crop_px: float) -> Alike:
        """The check of labels from one image to another; `crop_px` is a px of a 256 px crop in image px.

        Raises ImageError for an image that cannot be read.
        """
        lab_0, lab_1 = (self._blurred(file, BLUR_PX * crop_px) for file in (file_0, file_1))

        def alike(points_0: np.ndarray, points_1: np.ndarray) -> np.ndarray:
            offsets = RADIUS_PX * crop_px * _PLACES
            differences = [
                np.linalg.norm(
                    (read_at(lab_0, points_0 + each) - read_at(lab_1, points_1 + each)) * LAB_WEIGHTS, axis=1
                )
                for each in offsets
            ]
            return np.asarray(np.mean(differences, axis=0) <= self._limit)

        return alike


def blurred_lab(file: Path, sigma_px: float) -> np.ndarray:
    """An image in Lab of 8 bits, (H, W, 3) float32, blurred."""
    lab = cv2.cvtColor(read_image(file), cv2.COLOR_RGB2LAB).astype(np.float32)
    return cv2.GaussianBlur(lab, (0, 0), sigma_px)


def read_at(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image (H, W, C) float32 read bilinearly at points (N, 2) x, y px: (N, C); its border goes on."""
    x, y = points.astype(np.float32).T[:, None]
    if not x.size:
        return np.zeros((0, image.shape[2]))
    read = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read[0], dtype=np.float64)
