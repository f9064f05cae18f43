"""Predictions beside the truth, person by person."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from slimdp.data.crops import crop_image
from slimdp.data.images import load_image
from slimdp.evaluation.localization import point_errors
from slimdp.evaluation.predictions import PredictionFile
from slimdp.geometry import apply_affine
from slimdp.report.drawing import (
    GREY,
    contact_sheet,
    draw_dots,
    draw_points,
    overlay_parts,
    overlay_uv,
    text_strip,
)
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface import Surface

#: Upper limit of an error, metres, and the colour of a point below it.
ERROR_COLOURS = (
    (0.05, (40, 170, 80)),
    (0.10, (250, 225, 60)),
    (0.20, (245, 130, 30)),
    (np.inf, (200, 20, 45)),
)
ERROR_NAMES = ("under 5 cm", "under 10 cm", "under 20 cm", "more, or not found")
TITLES = ("image", "predicted parts", "predicted u", "true points, by part", "error on the surface")
#: Crops smaller than this are enlarged by a whole factor, px.
_CELL = 256


def prediction_panel(
    people: Sequence[PersonAnnotation], predictions: PredictionFile, surface: Surface, count: int
) -> np.ndarray:
    """A sheet of at most `count` people, evenly spread over those with points: a row each.

    Columns: the crop; the predicted parts, then u, where the network sees the person; the annotated points
    in the colours of their parts; the same points by geodesic error, localization only.

    Returns:
        (H, W, 3) uint8 RGB.

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
    chosen = np.unique(np.linspace(0, len(drawable) - 1, count).round().astype(int))
    rows = []
    for person in (drawable[index] for index in chosen):
        rows.append(_row(person, predictions.read(person.image.id, person.id), surface))
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
        prediction: part (S, S) 1..24, uv (2, S, S), foreground (S, S) bool.
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


def _row(person: PersonAnnotation, prediction: DensePoseInstance, surface: Surface) -> list[np.ndarray]:
    crop = crop_image(load_image(person.image.file), prediction.crop_from_image, prediction.part.shape[0])
    maps = (prediction.part, prediction.uv, prediction.foreground)
    errors_m = point_errors([prediction], [person], surface).localization_m
    points = apply_affine(prediction.crop_from_image, person.points)
    return draw_row(crop, maps, points, person.part, errors_m)


def error_legend(width: int) -> np.ndarray:
    """One line (20, width, 3): a dot and its meaning, for each range of errors."""
    share = width // len(ERROR_COLOURS)
    cells = []
    for i, ((_, colour), name) in enumerate(zip(ERROR_COLOURS, ERROR_NAMES)):
        cell = text_strip(name, share if i else width - share * (len(ERROR_COLOURS) - 1))
        inked = np.flatnonzero((cell < 128).any(axis=(0, 2)))
        left = inked[0] if inked.size else cell.shape[1] // 2
        cells.append(draw_dots(cell, np.array([[left - 10, 9.5]]), np.array([colour], np.uint8), radius=4))
    return np.concatenate(cells, axis=1)
