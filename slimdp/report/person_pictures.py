"""One person as the labels tell it and as a network does, in pictures of one size."""

from __future__ import annotations

import numpy as np

from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine, crop_image
from slimdp.data.images import load_image
from slimdp.evaluation.paste import nearest_pixels
from slimdp.geometry import apply_affine, invert_affine
from slimdp.report.drawing import PART_COLOURS, colour_of_unit, draw_dots, overlay_parts, overlay_uv
from slimdp.report.panels import error_colours
from slimdp.structures import PersonAnnotation, PersonPrediction

#: Columns of the pictures; in the first one the labels show the picture, and a network its errors.
TRUE_TITLES = ("image", "part", "u", "v")
FOUND_TITLES = ("error", "part", "u", "v")
_MARGIN = 0.1


class PersonView:
    """A person's picture, cut out around the box, and what is drawn upon it.

    Args:
        person: with points.
        size: side of the pictures, px.

    Raises:
        ImageError: the picture is missing or damaged.
    """

    def __init__(self, person: PersonAnnotation, size: int = 256) -> None:
        affine = crop_affine(person.box, CropSettings(size=size, margin=_MARGIN))
        self.person, self._size = person, size
        self._crop = crop_image(load_image(person.image.file), affine, size)
        self._points = apply_affine(affine, person.points)
        row, column = np.mgrid[:size, :size]
        view_px = np.stack([column.ravel(), row.ravel()], axis=1).astype(np.float64)
        self._image_px = apply_affine(invert_affine(affine), view_px)
        self._radius = max(1.5, size / 110)

    def true_pictures(self) -> list[np.ndarray]:
        """TRUE_TITLES: the picture, then its points by part, u and v; each (S, S, 3) uint8 RGB."""
        colours = [PART_COLOURS[self.person.part], *(colour_of_unit(each) for each in self.person.uv.T)]
        return [
            self._crop,
            *(draw_dots(self._crop, self._points, each, self._radius) for each in colours),
        ]

    def found_pictures(self, prediction: PersonPrediction, errors_m: np.ndarray) -> list[np.ndarray]:
        """FOUND_TITLES: the points by their errors (N,) metres, then part, u and v where the network sees the
        person; each (S, S, 3) uint8 RGB."""
        pixels, inside = nearest_pixels(prediction, self._image_px)
        column, row = pixels.reshape(self._size, self._size, 2).transpose(2, 0, 1)
        seen = inside.reshape(row.shape) & prediction.foreground[row, column]
        uv = prediction.uv[:, row, column].astype(np.float32)
        return [
            draw_dots(self._crop, self._points, error_colours(errors_m), self._radius),
            overlay_parts(self._crop, prediction.part[row, column], seen),
            *(overlay_uv(self._crop, uv, seen, channel=channel) for channel in (0, 1)),
        ]
