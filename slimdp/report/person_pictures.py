"""One person as the labels tell it and as a network does, in pictures of one size."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from slimdp.config import CropSettings
from slimdp.data.box_frame import sample_coarse
from slimdp.data.crops import crop_affine, crop_image
from slimdp.data.images import load_image
from slimdp.evaluation.paste import nearest_pixels
from slimdp.geometry import apply_affine, invert_affine
from slimdp.report.drawing import PART_COLOURS, colour_of_unit, draw_dots, overlay_parts, overlay_uv
from slimdp.report.panels import error_colours
from slimdp.structures import IGNORE, DensePoseInstance, PersonAnnotation

#: Columns of the pictures; in the first one the labels show the picture, and a network its errors.
TRUE_TITLES = ("image", "part", "u", "v")
FOUND_TITLES = ("error", "part", "u", "v")
_MARGIN = 0.1
#: Share of the colour where a network sees the person, and where the labels alone do.
_SEEN, _UNSEEN = 0.6, 0.3


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

    def found_pictures(self, prediction: DensePoseInstance, errors_m: np.ndarray) -> list[np.ndarray]:
        """FOUND_TITLES: the points by their errors (N,) metres, then part, u and v, strong where the network
        sees the person and faint where the labels alone do; each (S, S, 3) uint8 RGB."""
        column, row, inside = self._pixels(*nearest_pixels(prediction, self._image_px))
        part, uv = prediction.part[row, column], prediction.uv[:, row, column].astype(np.float32)
        seen = inside & prediction.foreground[row, column]
        layers = ((inside & self._body & ~seen, _UNSEEN), (seen, _SEEN))
        parts, *channels = [self._crop] * 3
        for mask, alpha in layers:
            parts = overlay_parts(parts, part, mask, alpha)
            channels = [overlay_uv(each, uv, mask, alpha, axis) for axis, each in enumerate(channels)]
        errors = draw_dots(self._crop, self._points, error_colours(errors_m), self._radius)
        return [errors, parts, *channels]

    def _pixels(self, pixels: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column, row and whether they count, each (S, S), of pixels (S * S, 2)."""
        column, row = pixels.reshape(self._size, self._size, 2).transpose(2, 0, 1)
        return column, row, inside.reshape(self._size, self._size)

    @cached_property
    def _body(self) -> np.ndarray:
        """(S, S) bool: which pixels of the view are annotated as the person."""
        body = body_pixels(self.person)
        if body is None:
            return np.zeros((self._size, self._size), dtype=bool)
        pixels = np.floor(self._image_px + 0.5).astype(np.int64)
        within = np.all((pixels >= 0) & (pixels < np.array(body.shape[::-1])), axis=1)
        column, row, inside = self._pixels(np.where(within[:, None], pixels, 0), within)
        return inside & body[row, column]


def body_pixels(person: PersonAnnotation) -> np.ndarray | None:
    """Which pixels (H, W) bool of the picture are annotated as the person, by coarse masks, else by the
    outline; None where there is neither."""
    if person.coarse is None:
        return person.mask
    height, width = person.image.height, person.image.width
    row, column = np.mgrid[:height, :width]
    places = np.stack([column.ravel(), row.ravel()], axis=1).astype(np.float64)
    label = sample_coarse(person.coarse, person.box, places, outside=0)[0]
    return ((label > 0) & (label != IGNORE)).reshape(height, width)
