"""Pictures with what is annotated, or predicted, drawn on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from slimdp.data.images import load_image
from slimdp.evaluation import PredictionFile, paste_prediction
from slimdp.report.drawing import PART_COLOURS, contact_sheet, draw_points, overlay_parts
from slimdp.structures import COARSE_PARTS, PersonAnnotation
from slimdp.surface.parts import COARSE_OF_PART

#: A sheet is about this many px wide.
_WIDTH = 1400
MOST_COLUMNS = 20


def people_sheet(
    people: Sequence[PersonAnnotation], predictions: PredictionFile | None, count: int, columns: int = 2
) -> np.ndarray:
    """A sheet of at most `count` pictures, evenly spread over those with people.

    Args:
        people: whose boxes and labels are drawn: points in the colours of their parts, those without (u, v)
            half as large; outlines of the coarse masks; keypoints as crosses, hidden ones half as large.
        predictions: if given, the predicted parts are laid over the pictures, in place of the labels.
        count: pictures at most.
        columns: pictures a row.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: there is nobody, or `count` or `columns` is not positive.
        ImageError: a picture is missing or damaged.
    """
    if not people:
        raise ValueError("there is nobody to draw")
    if count < 1 or not 1 <= columns <= MOST_COLUMNS:
        raise ValueError(
            f"{count} pictures in {columns} columns: 1 or more in 1 to {MOST_COLUMNS} columns are wanted"
        )
    pictures: dict[int, list[PersonAnnotation]] = {}
    for person in people:
        pictures.setdefault(person.image.id, []).append(person)
    if predictions is not None and not any((p.image.id, p.id) in predictions for p in people):
        raise ValueError(
            f"{predictions.path} has nobody of these {len(people)} people; is it of another file?"
        )
    every = list(pictures.values())
    chosen = np.unique(np.linspace(0, len(every) - 1, count).round().astype(int))
    cells = [_picture(every[index], predictions, _WIDTH // columns) for index in chosen]
    height, width = (max(cell.shape[axis] for cell in cells) for axis in (0, 1))
    cells = [_padded(cell, height, width) for cell in cells]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return contact_sheet(rows, None)


def _picture(
    people: Sequence[PersonAnnotation], predictions: PredictionFile | None, drawn_width: int
) -> np.ndarray:
    image = load_image(people[0].image.file)
    height, width = image.shape[:2]
    zoom = drawn_width / width
    for person in people:
        if predictions is not None and (person.image.id, person.id) in predictions:
            part, _ = paste_prediction(predictions.read(person.image.id, person.id), width, height)
            image = overlay_parts(image, part, part > 0)
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    drawn = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=interpolation)
    for person in people:
        if predictions is None:
            points, radius = (person.points + 0.5) * zoom - 0.5, max(2, drawn_width // 250)
            _draw_outlines(drawn, person, zoom)
            _draw_keypoints(drawn, person, zoom, radius)
            for chosen, size in ((~person.has_uv, radius / 2), (person.has_uv, radius)):
                drawn = draw_points(drawn, points[chosen], person.part[chosen], radius=size)
        x, y, w, h = np.rint(person.box * zoom).astype(int).tolist()
        cv2.rectangle(drawn, (x, y), (x + w, y + h), (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def _draw_outlines(drawn: np.ndarray, person: PersonAnnotation, zoom: float) -> None:
    """Draw the outlines of the coarse masks, in place, in the colour of the first of their parts."""
    if person.coarse is None:
        return
    left, top = np.rint(person.box[:2] * zoom).astype(int).tolist()
    size = np.maximum(np.rint(person.box[2:] * zoom).astype(int), 1).tolist()
    coarse = cv2.resize(person.coarse, size, interpolation=cv2.INTER_NEAREST)
    for label in range(1, COARSE_PARTS + 1):
        there = (coarse == label).astype(np.uint8)
        outlines, _ = cv2.findContours(there, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(left, top))
        colour = PART_COLOURS[np.flatnonzero(label == COARSE_OF_PART)[0]].tolist()
        cv2.drawContours(drawn, outlines, -1, colour, 1, cv2.LINE_AA)


def _draw_keypoints(drawn: np.ndarray, person: PersonAnnotation, zoom: float, radius: int) -> None:
    """Draw a white cross with a dark rim for each, in place."""
    for x, y, visibility in person.keypoints if person.keypoints is not None else ():
        if visibility > 0:
            place = np.rint((np.array([x, y]) + 0.5) * zoom - 0.5).astype(int).tolist()
            arm = 4 * radius if visibility > 1 else 2 * radius
            for colour, thickness in (((20, 20, 20), 3), ((255, 255, 255), 1)):
                cv2.drawMarker(drawn, place, colour, cv2.MARKER_TILTED_CROSS, arm, thickness, cv2.LINE_AA)


def _padded(cell: np.ndarray, height: int, width: int) -> np.ndarray:
    """A cell on white, for rows of one height."""
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    canvas[: cell.shape[0], : cell.shape[1]] = cell
    return canvas
