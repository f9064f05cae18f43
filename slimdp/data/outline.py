"""Which pixels of a crop show the person, as the annotation says, and crops of the person alone."""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.config import CropSettings
from slimdp.data.box_frame import sample_coarse
from slimdp.data.crops import BACKGROUND, BORDER_RGB
from slimdp.geometry import apply_affine, invert_affine
from slimdp.structures import IGNORE, PersonAnnotation


def has_outline(person: PersonAnnotation) -> bool:
    """Whether coarse parts or a mask say where the person is."""
    return person.has_coarse or person.mask is not None


def require_kept_background(crop: CropSettings) -> None:
    """Refuse crops of a network that sees people without their background, where nobody has an outline.

    Such a network answers anything at all where it sees a background. Raises ValueError.
    """
    if crop.background != "kept":
        raise ValueError(
            f"the network was trained with crop.background = {crop.background!r} (a teacher): it can only be "
            "asked about people whose outlines are annotated, by slimdp predict"
        )


def outline_in_crop(person: PersonAnnotation, crop_from_image: np.ndarray, size: int) -> np.ndarray:
    """The person's pixels in a crop of `size` px, by coarse parts, or else the mask: (size, size) bool.

    Pixels of the coarse mask without a known label are none of the person's. Raises ValueError for a person
    without either (`has_outline`).
    """
    coarse = person.coarse
    if coarse is not None:
        row, column = np.mgrid[0:size, 0:size]
        centres = np.stack([column.ravel(), row.ravel()], axis=1)
        places = apply_affine(invert_affine(crop_from_image), centres)
        label, _ = sample_coarse(coarse, person.box, places, BACKGROUND)
        return ((label != BACKGROUND) & (label != IGNORE)).reshape(size, size)
    if person.mask is None:
        raise ValueError(
            f"{person.image.file_name} annotation {person.id}: no coarse parts (dp_masks) and no mask "
            "(segmentation) say where the person is"
        )
    mask = person.mask.astype(np.uint8)
    return cv2.warpAffine(mask, crop_from_image, (size, size), flags=cv2.INTER_NEAREST) > 0


def hide_background(image: np.ndarray, person: PersonAnnotation, crop_from_image: np.ndarray) -> None:
    """Paint a crop (S, S, 3) uint8 RGB grey, in place, wherever the annotation does not see the person.

    DensePose, 3.4 and figure 8: the figure-ground oracle of the teacher. Errors as of `outline_in_crop`.
    """
    image[~outline_in_crop(person, crop_from_image, len(image))] = BORDER_RGB
