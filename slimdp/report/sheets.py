"""Sheets of images with labels, predictions, detections or propagated labels drawn on them.

Images are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from flow_cache import PointStatus
from flow_cache.images import read_image
from slimdp.config import CropSettings
from slimdp.data import crop_affine, crop_image
from slimdp.data.box_frame import sample_coarse
from slimdp.evaluation import Detection, PredictionFile, paste_prediction
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion import TransferResult
from slimdp.report.drawing import (
    GREY,
    PART_COLOURS,
    contact_sheet,
    draw_dots,
    draw_points,
    evenly_spread,
    left_of_text,
    overlay_parts,
    overlay_uv,
    text_strip,
)
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation

#: About how wide a sheet of labelled images is, one image with detections, a sheet of propagated labels, px.
_PEOPLE_WIDTH, _DETECTIONS_WIDTH, _PROPAGATION_WIDTH = 1400, 640, 2000
MOST_COLUMNS = 20
#: Columns of a sheet of detections.
TITLES = ("parts", "u", "v")
#: Colours of the crosses of dropped labels.
CROSSES = {
    PointStatus.INCONSISTENT: ("fails the check", (230, 30, 40)),
    PointStatus.ELSEWHERE: ("something else shows", (255, 150, 0)),
    PointStatus.OUTSIDE: ("outside", (60, 60, 60)),
}
#: What a propagated label may be coloured by.
COLOURED_BY = ("part", "u")
_CELLS = (256, 192, 128)  # sides of a cell of propagated labels to choose from, px
_RADII = 110  # of its dots, along a side


def people_sheet(
    people: Sequence[PersonAnnotation], predictions: PredictionFile | None, count: int, columns: int = 2
) -> np.ndarray:
    """A sheet of at most `count` pictures, evenly spread over those with people.

    Args:
        people: whose boxes and labels are drawn: points in the colours of their parts, those without (u, v)
            half as large; outlines of the coarse masks; keypoints as crosses, hidden ones half as large.
        predictions: if given, the predicted parts are laid over the pictures, in place of the labels.
        columns: pictures a row.

    Raises:
        ValueError: there is nobody, or `count` or `columns` is not positive.
        ImageError: a picture is missing or damaged.
    """
    if not people:
        raise ValueError("there is nobody to draw")
    if count < 1 or not 1 <= columns <= MOST_COLUMNS:
        wanted = f"1 or more in 1 to {MOST_COLUMNS} columns are wanted"
        raise ValueError(f"{count} pictures in {columns} columns: {wanted}")
    images: dict[int, list[PersonAnnotation]] = {}
    for person in people:
        images.setdefault(person.image.id, []).append(person)
    if predictions is not None and not any((p.image.id, p.id) in predictions for p in people):
        raise ValueError(
            f"{predictions.path} has nobody of these {len(people)} people; is it of another file?"
        )
    chosen = evenly_spread(list(images.values()), count)
    cells = [_people_cell(each, predictions, _PEOPLE_WIDTH // columns) for each in chosen]
    largest = np.max([cell.shape for cell in cells], axis=0)
    canvases = list(np.full((len(cells) + -len(cells) % columns, *largest), 255, dtype=np.uint8))
    for canvas, cell in zip(canvases, cells):  # on white, for rows of one height
        canvas[: cell.shape[0], : cell.shape[1]] = cell
    return contact_sheet([canvases[start : start + columns] for start in range(0, len(cells), columns)])


def _people_cell(
    people: Sequence[PersonAnnotation], predictions: PredictionFile | None, drawn_width: int
) -> np.ndarray:
    image = read_image(people[0].image.file)
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
    for label in range(1, 1 + len(person.layout.coarse_parts)):
        there = (coarse == label).astype(np.uint8)
        outlines, _ = cv2.findContours(there, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(left, top))
        colour = PART_COLOURS[np.flatnonzero(label == person.layout.coarse_of_part)[0]].tolist()
        cv2.drawContours(drawn, outlines, -1, colour, 1, cv2.LINE_AA)


def _draw_keypoints(drawn: np.ndarray, person: PersonAnnotation, zoom: float, radius: int) -> None:
    """Draw a white cross with a dark rim for each, in place."""
    for x, y, visibility in person.keypoints if person.keypoints is not None else ():
        if visibility > 0:
            place = np.rint((np.array([x, y]) + 0.5) * zoom - 0.5).astype(int).tolist()
            arm = 4 * radius if visibility > 1 else 2 * radius
            for colour, thickness in (((20, 20, 20), 3), ((255, 255, 255), 1)):
                cv2.drawMarker(drawn, place, colour, cv2.MARKER_TILTED_CROSS, arm, thickness, cv2.LINE_AA)


def results_sheet(
    detections: Iterable[Detection], images: Mapping[int, ImageRecord], count: int, least_score: float = 0.0
) -> np.ndarray:
    """A sheet of at most `count` pictures, those that come first: their detections by part, u and v.

    Where people overlap, the one with the higher score is seen.

    Args:
        images: by id, with the file of each picture.
        least_score: detections with a lower score are not drawn.

    Raises:
        ValueError: nobody to draw, or `count` is not positive.
        ImageError: a picture is missing or damaged.
    """
    if count < 1:
        raise ValueError(f"count = {count}, but at least one picture is wanted")
    drawn: dict[int, list[Detection]] = {}
    for detection in detections:
        room = detection.image_id in drawn or len(drawn) < count
        if detection.score >= least_score and room:
            drawn.setdefault(detection.image_id, []).append(detection)
    if not drawn:
        raise ValueError(f"there is nobody with a score of {least_score:g} or more to draw")
    return contact_sheet([_detections_row(images[image], group) for image, group in drawn.items()], TITLES)


def _detections_row(image: ImageRecord, detections: list[Detection]) -> list[np.ndarray]:
    picture = read_image(image.file)
    iuv = np.zeros((3, *picture.shape[:2]), dtype=np.uint8)
    detections = sorted(detections, key=lambda detection: detection.score)
    for detection in detections:
        _paste(iuv, detection)
    part, uv = iuv[0], iuv[1:] / 255
    coordinates = [overlay_uv(picture, uv, part > 0, channel=channel) for channel in (0, 1)]
    zoom = _DETECTIONS_WIDTH / picture.shape[1]
    views = (overlay_parts(picture, part, part > 0), *coordinates)
    return [_with_boxes(view, detections, zoom) for view in views]


def _paste(iuv: np.ndarray, detection: Detection) -> None:
    """Lay a detection's map over one of the whole image, (3, H, W), where it sees a person."""
    x, y = (int(value) for value in detection.box[:2])
    y1, x1 = min(y + detection.iuv.shape[1], iuv.shape[1]), min(x + detection.iuv.shape[2], iuv.shape[2])
    y0, x0 = max(y, 0), max(x, 0)
    if y0 < y1 and x0 < x1:
        found = detection.iuv[:, y0 - y : y1 - y, x0 - x : x1 - x]
        below = iuv[:, y0:y1, x0:x1]
        below[:] = np.where(found[0] > 0, found, below)


def _with_boxes(view: np.ndarray, detections: list[Detection], zoom: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    drawn = cv2.resize(view, None, fx=zoom, fy=zoom, interpolation=interpolation)
    height, width = drawn.shape[:2]
    for detection in detections:
        corners = np.rint([detection.box[:2] * zoom, (detection.box[:2] + detection.box[2:]) * zoom])
        (x0, y0), (x1, y1) = np.clip(corners, -9, (width + 9, height + 9)).astype(int).tolist()
        cv2.rectangle(drawn, (x0, y0), (x1, y1), (255, 255, 255), 1, cv2.LINE_AA)
        label = text_strip(f"{detection.score:.2f}", 40, 18)
        place = drawn[max(y0, 0) : max(y0, 0) + 18, max(x0, 0) : max(x0, 0) + 40]
        place[:] = label[: place.shape[0], : place.shape[1]]
    return drawn


def spread_people(people: Sequence[PersonAnnotation], count: int) -> set[tuple[int, int]]:
    """At most `count` people, evenly spread over a sequence: their image ids and annotation ids."""
    if count < 1:
        raise ValueError(f"{count} rows of a sheet, but 1 or more are wanted")
    return {(person.image.id, person.id) for person in evenly_spread(people, count)}


def propagation_sheet(results: Iterable[TransferResult], coloured_by: str = "part") -> np.ndarray:
    """Draw where the labels of some people went.

    Each row is a labelled person, its own frame under "labelled"; each other cell is the same frame as the
    step that stands over it. Dots are labels that were kept; crosses are dropped ones, where they would have
    landed. The person's outline in the coarse mask is drawn white, and hatched where the mask does not know.
    Grey dots passed every check, but too few did and the person was dropped.

    Args:
        results: as `propagate` tells them to `observe`.
        coloured_by: part, or u.

    Raises:
        ValueError: no results, or another `coloured_by`. ImageError: a picture is missing or damaged.
    """
    if coloured_by not in COLOURED_BY:
        raise ValueError(f"coloured by {coloured_by!r}, but one of {', '.join(COLOURED_BY)} is wanted")
    rows: dict[tuple[int, int], dict[int, TransferResult]] = {}
    for result in results:
        rows.setdefault((result.person_0.image.id, result.person_0.id), {})[result.step] = result
    if not rows:
        raise ValueError("nobody was propagated anywhere: there is nothing to draw")
    steps = sorted({0, *(step for row in rows.values() for step in row)})
    size = next((cell for cell in _CELLS if cell * len(steps) <= _PROPAGATION_WIDTH), _CELLS[-1])
    empty = np.full((size + 20, size, 3), 245, dtype=np.uint8)
    cells = []
    for _, of_person in sorted(rows.items()):
        person_0 = next(iter(of_person.values())).person_0
        row = {step: _propagated_cell(result, size, coloured_by) for step, result in of_person.items()}
        row[0] = _labelled_cell(person_0, size, coloured_by)
        cells.append([row.get(step, empty) for step in steps])
    sheet = contact_sheet(cells, [f"{step:+d}" if step else "labelled" for step in steps])
    return np.concatenate([sheet, _legend(sheet.shape[1])])


def _labelled_cell(person: PersonAnnotation, size: int, coloured_by: str) -> np.ndarray:
    affine = crop_affine(person.box, CropSettings(size=size))
    crop = crop_image(read_image(person.image.file), affine, size)
    crop = _draw_person(crop, affine, person, coloured_by)
    words = f"{person.image.file_name[-24:]}: {len(person.points)}"
    return np.concatenate([crop, text_strip(words, size)])


def _propagated_cell(result: TransferResult, size: int, coloured_by: str) -> np.ndarray:
    affine = crop_affine(_frame_of(result), CropSettings(size=size))
    crop = crop_image(read_image(result.image_1.file), affine, size)
    kept = result.status == PointStatus.KEPT
    if result.person_1 is not None:
        crop = _draw_person(crop, affine, result.person_1, coloured_by)
        words = f"{kept.sum()} of {len(kept)} kept"
    else:
        grey = np.broadcast_to(GREY, (int(kept.sum()), 3))
        crop = draw_dots(crop, apply_affine(affine, result.points_1[kept]), grey, size / _RADII)
        words = f"dropped ({kept.sum()} of {len(kept)})"
    for status, (_, colour) in CROSSES.items():
        landed = (result.status == status) & np.isfinite(result.points_1).all(axis=1)
        _draw_crosses(crop, apply_affine(affine, result.points_1[landed]), colour)
    hops = f", {result.hops} hops" if result.hops > 1 else ""
    return np.concatenate([crop, text_strip(words + hops, size)])


def _frame_of(result: TransferResult) -> np.ndarray:
    """A box (4,) xywh of the size that the labelled person's has, where the person is now."""
    box_0, known = result.person_0.box, np.isfinite(result.points_1).all(axis=1)
    box = box_0 if result.person_1 is None else result.person_1.box
    middle = box[:2] + box[2:] / 2
    if result.person_1 is None and known.any():
        middle = middle + np.median(result.points_1[known] - result.person_0.points[known], axis=0)
    return np.concatenate([middle - box_0[2:] / 2, box_0[2:]])


def _draw_person(
    crop: np.ndarray, affine: np.ndarray, person: PersonAnnotation, coloured_by: str
) -> np.ndarray:
    if person.coarse is not None:
        crop = _draw_mask(crop, affine, person.coarse, person.box)
    points, uv = apply_affine(affine, person.points), person.uv if coloured_by == "u" else None
    return draw_points(crop, points, person.part, uv, len(crop) / _RADII)


def _draw_mask(crop: np.ndarray, affine: np.ndarray, coarse: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The outline of the body in white, and a hatch over what is not known."""
    y, x = np.mgrid[: len(crop), : len(crop)]
    pixels = apply_affine(invert_affine(affine), np.stack([x.ravel(), y.ravel()], axis=1))
    label = sample_coarse(coarse, box, pixels, outside=0)[0].reshape(x.shape)
    body = ((label > 0) & (label != IGNORE)).astype(np.uint8)
    rim = (body - cv2.erode(body, np.ones((3, 3), np.uint8))).astype(bool)
    hatch = (label == IGNORE) & ((x + y) % 6 < 2)
    crop = crop.copy()
    crop[rim] = 255
    crop[hatch] = np.round(0.35 * crop[hatch] + 0.65 * np.array((255, 60, 255)))
    return crop


def _draw_crosses(crop: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw crosses at points (N, 2) crop px into `crop`."""
    for x, y in np.rint(points[(np.abs(points) < 1e4).all(axis=1)]).astype(int).tolist():
        cv2.drawMarker(crop, (x, y), (255, 255, 255), cv2.MARKER_TILTED_CROSS, 6, 2, cv2.LINE_AA)
        cv2.drawMarker(crop, (x, y), colour, cv2.MARKER_TILTED_CROSS, 6, 1, cv2.LINE_AA)


def _legend(width: int) -> np.ndarray:
    """One line (20, width, 3): a cross and its meaning, then the hatch."""
    entries = [*CROSSES.values(), ("hatched: the mask does not know", None)]
    shares = np.diff(np.linspace(0, width, len(entries) + 1).astype(int)).tolist()
    cells = []
    for (name, colour), share in zip(entries, shares, strict=True):
        cell = text_strip(name, share)
        if colour is not None:
            _draw_crosses(cell, np.array([[left_of_text(cell) - 10, 9]]), colour)
        cells.append(cell)
    return np.concatenate(cells, axis=1)
