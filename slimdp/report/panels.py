"""Predictions beside the truth, person by person.

Images are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np

from flow_cache.images import read_image
from slimdp.config import CropSettings
from slimdp.data.box_frame import sample_coarse
from slimdp.data.crops import crop_affine, crop_image
from slimdp.evaluation.points import point_errors
from slimdp.evaluation.predictions import PredictionFile, nearest_pixels
from slimdp.geometry import apply_affine, invert_affine
from slimdp.report.drawing import (
    GREY,
    PART_COLOURS,
    colour_of_unit,
    contact_sheet,
    draw_dots,
    draw_points,
    evenly_spread,
    left_of_text,
    overlay_parts,
    overlay_uv,
    text_strip,
)
from slimdp.structures import IGNORE, DensePoseInstance, PersonAnnotation
from slimdp.surface import Surface

#: Upper limit of an error, metres, and the colour of a point below it.
ERROR_COLOURS = (
    (0.05, (40, 170, 80)), (0.10, (250, 225, 60)), (0.20, (245, 130, 30)), (np.inf, (200, 20, 45)),
)  # fmt: skip
ERROR_NAMES = ("under 5 cm", "under 10 cm", "under 20 cm", "more, or not found")
TITLES = ("image", "predicted parts", "predicted u", "true points, by part", "error on the surface")
#: Crops smaller than this are enlarged by a whole factor, px.
_CELL = 256
#: Columns of a `PersonView`; in the first one the labels show the image, and a network its errors.
TRUE_TITLES = ("image", "part", "u", "v")
FOUND_TITLES = ("error", "part", "u", "v")
_VIEW_MARGIN = 0.1
#: Share of the colour where a network sees the person, and where the labels alone do.
_SEEN, _UNSEEN = 0.6, 0.3


def prediction_panel(
    people: Sequence[PersonAnnotation], predictions: PredictionFile, surface: Surface, count: int
) -> np.ndarray:
    """A sheet of at most `count` people, evenly spread over those with points: a row each.

    Columns: the crop; the predicted parts, then u, where the network sees the person; the annotated points
    in the colours of their parts; the same points by geodesic error, localization only.

    Raises:
        ValueError: nobody has points and a prediction, or `count` is not positive.
        ImageError: a picture is missing or damaged.
    """
    if count < 1:
        raise ValueError(f"count = {count}, but at least one person is wanted")
    people = [person.with_uv_points() for person in people]
    drawable = [p for p in people if len(p.part) and (p.image.id, p.id) in predictions]
    if not drawable:
        raise ValueError(f"none of {len(people)} people has points and a prediction in {predictions.path}")
    rows = []
    for person in evenly_spread(drawable, count):
        found = predictions.read(person.image.id, person.id)
        crop = crop_image(read_image(person.image.file), found.crop_from_image, found.part.shape[0])
        errors_m = point_errors([found], [person], surface).localization_m
        points = apply_affine(found.crop_from_image, person.points)
        rows.append(draw_row(crop, (found.part, found.uv, found.foreground), points, person.part, errors_m))
    return panel(rows)


def error_colours(errors_m: np.ndarray) -> np.ndarray:
    """Colours (N, 3) uint8 RGB of errors (N,) in metres: green under 5 cm, yellow 10, orange 20, else red.

    NaN, where nothing is known to measure from, is grey.
    """
    limits_m = [limit_m for limit_m, _ in ERROR_COLOURS[:-1]]
    colours = np.array([colour for _, colour in ERROR_COLOURS], dtype=np.uint8)
    return np.where(np.isnan(errors_m)[:, None], GREY, colours[np.digitize(errors_m, limits_m)])


def draw_row(
    crop: np.ndarray,
    prediction: tuple[np.ndarray, np.ndarray, np.ndarray],
    points: np.ndarray,
    part: np.ndarray,
    errors_m: np.ndarray | None,
) -> list[np.ndarray]:
    """One person's pictures, in the order of TITLES, small crops enlarged.

    Args:
        crop: (S, S, 3) uint8 RGB.
        prediction: part (S, S) 1..P, uv (2, S, S), foreground (S, S) bool.
        points: (N, 2) x, y crop px, annotated.
        part: (N,) their parts.
        errors_m: (N,) their geodesic errors, metres, NaN without (u, v); None where they cannot be measured.
    """
    zoom = max(1, _CELL // len(crop))
    crop = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    found_part, uv, foreground = (maps.repeat(zoom, axis=-1).repeat(zoom, axis=-2) for maps in prediction)
    # Pixel centres at integers: the centre of an enlarged pixel moves by half of what it grew.
    points = (points + 0.5) * zoom - 0.5
    return [
        crop,
        overlay_parts(crop, found_part, foreground),
        overlay_uv(crop, uv, foreground),
        draw_points(crop, points, part, radius=2.5),
        crop if errors_m is None else draw_dots(crop, points, error_colours(errors_m), radius=2.5),
    ]


def panel(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Rows of `draw_row` as one sheet (H, W, 3) with titles and the meaning of the errors' colours."""
    sheet = contact_sheet(rows, TITLES)
    return np.concatenate([sheet, error_legend(sheet.shape[1])])


def error_legend(width: int) -> np.ndarray:
    """One line (20, width, 3): a dot and its meaning, for each range of errors."""
    share = width // len(ERROR_COLOURS)
    cells = []
    for i, ((_, colour), name) in enumerate(zip(ERROR_COLOURS, ERROR_NAMES)):
        cell = text_strip(name, share if i else width - share * (len(ERROR_COLOURS) - 1))
        place = np.array([[left_of_text(cell) - 10, 9.5]])
        cells.append(draw_dots(cell, place, np.array([colour], np.uint8), radius=4))
    return np.concatenate(cells, axis=1)


class PersonView:
    """The picture of a person with points, cut out around the box, `size` px a side, and what is drawn upon
    it; raises ImageError where it is missing or damaged."""

    def __init__(self, person: PersonAnnotation, size: int = 256) -> None:
        affine = crop_affine(person.box, CropSettings(size=size, margin=_VIEW_MARGIN))
        self.person, self._size = person, size
        self._crop = crop_image(read_image(person.image.file), affine, size)
        self._points = apply_affine(affine, person.points)
        view_px = np.mgrid[:size, :size][::-1].reshape(2, -1).T.astype(np.float64, order="C")  # x, y
        self._image_px = apply_affine(invert_affine(affine), view_px)
        self._radius = max(1.5, size / 110)

    def true_images(self) -> list[np.ndarray]:
        """TRUE_TITLES: the picture, then its points by part, u and v; each (S, S, 3) uint8 RGB."""
        colours = [PART_COLOURS[self.person.part], *(colour_of_unit(each) for each in self.person.uv.T)]
        return [self._crop, *(draw_dots(self._crop, self._points, each, self._radius) for each in colours)]

    def found_images(self, prediction: DensePoseInstance, errors_m: np.ndarray) -> list[np.ndarray]:
        """FOUND_TITLES: the points by their errors (N,) metres, then part, u and v, strong where the network
        sees the person and faint where the labels alone do; each (S, S, 3) uint8 RGB."""
        column, row, inside = self._pixels(*nearest_pixels(prediction, self._image_px))
        part, uv = prediction.part[row, column], prediction.uv[:, row, column].astype(np.float32)
        seen = inside & prediction.foreground[row, column]
        parts, *channels = [self._crop] * 3
        for mask, alpha in ((inside & self._body & ~seen, _UNSEEN), (seen, _SEEN)):
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
    places = np.mgrid[:height, :width][::-1].reshape(2, -1).T.astype(np.float64, order="C")  # x, y
    label = sample_coarse(person.coarse, person.box, places, outside=0)[0]
    return ((label > 0) & (label != IGNORE)).reshape(height, width)
