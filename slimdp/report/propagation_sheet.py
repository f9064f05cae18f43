"""A contact sheet of carried labels: a row a person, a column a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from slimdp.config import CropSettings
from slimdp.data import crop_affine, crop_image, load_image
from slimdp.data.box_frame import sample_coarse
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion import PointStatus, TransferResult
from slimdp.report.drawing import GREY, contact_sheet, draw_dots, draw_points, text_strip
from slimdp.structures import IGNORE, PersonAnnotation

#: Colours of the crosses of dropped labels.
CROSSES = {
    PointStatus.INCONSISTENT: ("fails the check", (230, 30, 40)),
    PointStatus.ELSEWHERE: ("something else shows", (255, 150, 0)),
    PointStatus.OUTSIDE: ("outside", (60, 60, 60)),
}
#: What a label may be coloured by.
COLOURED_BY = ("part", "u")
_WIDTH = 2000  # of a sheet, px, about
_CELLS = (256, 192, 128)  # sides to choose from, px


def spread_people(people: Sequence[PersonAnnotation], count: int) -> set[tuple[int, int]]:
    """At most `count` people, evenly spread over a sequence: their image ids and annotation ids."""
    if count < 1:
        raise ValueError(f"{count} rows of a sheet, but 1 or more are wanted")
    if not people:
        return set()
    chosen = np.unique(np.linspace(0, len(people) - 1, count).round().astype(int)).tolist()
    return {(people[index].image.id, people[index].id) for index in chosen}


def propagation_sheet(moves: Iterable[TransferResult], coloured_by: str = "part") -> np.ndarray:
    """Draw where the labels of some people went.

    Each row is a labelled person, its own frame under "labelled"; each other cell is the same frame as the
    step that stands over it. Dots are labels that were kept; crosses are dropped ones, where they would have
    landed. The person's outline in the coarse mask is drawn white, and hatched where the mask does not know.
    Grey dots passed every check, but too few did and the person was dropped.

    Args:
        moves: as `propagate` tells them to `observe`.
        coloured_by: part, or u.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no moves, or another `coloured_by`. ImageError: a picture is missing or damaged.
    """
    if coloured_by not in COLOURED_BY:
        raise ValueError(f"coloured by {coloured_by!r}, but one of {', '.join(COLOURED_BY)} is wanted")
    rows: dict[tuple[int, int], dict[int, TransferResult]] = {}
    for move in moves:
        rows.setdefault((move.person_0.image.id, move.person_0.id), {})[move.step] = move
    if not rows:
        raise ValueError("nobody was carried anywhere: there is nothing to draw")
    steps = sorted({0, *(step for row in rows.values() for step in row)})
    size = next((cell for cell in _CELLS if cell * len(steps) <= _WIDTH), _CELLS[-1])
    cells = [_row(rows[key], steps, size, coloured_by) for key in sorted(rows)]
    titles = [f"{step:+d}" if step else "labelled" for step in steps]
    sheet = contact_sheet(cells, titles)
    return np.concatenate([sheet, _legend(sheet.shape[1])])


def _row(
    moves: dict[int, TransferResult], steps: Sequence[int], size: int, coloured_by: str
) -> list[np.ndarray]:
    person_0 = next(iter(moves.values())).person_0
    cells = []
    for step in steps:
        if step == 0:
            cells.append(_labelled_cell(person_0, size, coloured_by))
        elif step in moves:
            cells.append(_carried_cell(moves[step], size, coloured_by))
        else:
            cells.append(np.full((size + 20, size, 3), 245, dtype=np.uint8))
    return cells


def _labelled_cell(person: PersonAnnotation, size: int, coloured_by: str) -> np.ndarray:
    affine = crop_affine(person.box, CropSettings(size=size))
    crop = crop_image(load_image(person.image.file), affine, size)
    crop = _draw_person(crop, affine, person, coloured_by)
    return _with_words(crop, f"{person.image.file_name[-24:]}: {len(person.points)}")


def _carried_cell(move: TransferResult, size: int, coloured_by: str) -> np.ndarray:
    affine = crop_affine(_frame_of(move), CropSettings(size=size))
    crop = crop_image(load_image(move.image_1.file), affine, size)
    kept = move.status == PointStatus.KEPT
    if move.person_1 is not None:
        crop = _draw_person(crop, affine, move.person_1, coloured_by)
        words = f"{kept.sum()} of {len(kept)} kept"
    else:
        grey = np.broadcast_to(GREY, (int(kept.sum()), 3))
        crop = draw_dots(crop, apply_affine(affine, move.points_1[kept]), grey, _radius(size))
        words = f"dropped ({kept.sum()} of {len(kept)})"
    for status, (_, colour) in CROSSES.items():
        landed = (move.status == status) & np.isfinite(move.points_1).all(axis=1)
        _draw_crosses(crop, apply_affine(affine, move.points_1[landed]), colour)
    hops = f", {move.hops} hops" if move.hops > 1 else ""
    return _with_words(crop, words + hops)


def _frame_of(move: TransferResult) -> np.ndarray:
    """A box (4,) xywh of the size that the labelled person's has, where the person is now."""
    box_0 = move.person_0.box
    if move.person_1 is not None:
        box_1 = move.person_1.box
        middle = box_1[:2] + box_1[2:] / 2
    else:
        known = np.isfinite(move.points_1).all(axis=1)
        motion = np.zeros(2)
        if known.any():
            motion = np.median(move.points_1[known] - move.person_0.points[known], axis=0)
        middle = box_0[:2] + box_0[2:] / 2 + motion
    return np.concatenate([middle - box_0[2:] / 2, box_0[2:]])


def _draw_person(
    crop: np.ndarray, affine: np.ndarray, person: PersonAnnotation, coloured_by: str
) -> np.ndarray:
    if person.coarse is not None:
        crop = _draw_mask(crop, affine, person.coarse, person.box)
    uv = person.uv if coloured_by == "u" else None
    points = apply_affine(affine, person.points)
    return draw_points(crop, points, person.part, uv, _radius(len(crop)))


def _draw_mask(crop: np.ndarray, affine: np.ndarray, coarse: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The outline of the body in white, and a hatch over what is not known."""
    size = len(crop)
    y, x = np.mgrid[0:size, 0:size]
    pixels = apply_affine(invert_affine(affine), np.stack([x.ravel(), y.ravel()], axis=1))
    label = sample_coarse(coarse, box, pixels, outside=0)[0].reshape(size, size)
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


def _radius(size: int) -> float:
    return size / 110


def _with_words(crop: np.ndarray, words: str) -> np.ndarray:
    return np.concatenate([crop, text_strip(words, crop.shape[1])])


def _legend(width: int) -> np.ndarray:
    """One line (20, width, 3): a cross and its meaning, then the hatch."""
    names = [*(name for name, _ in CROSSES.values()), "hatched: the mask does not know"]
    shares = np.diff(np.linspace(0, width, len(names) + 1).astype(int)).tolist()
    cells = []
    for name, share, colour in zip(names, shares, [*(c for _, c in CROSSES.values()), None], strict=True):
        cell = text_strip(name, share)
        if colour is not None:
            inked = np.flatnonzero((cell < 128).any(axis=(0, 2)))
            left = inked[0] if inked.size else share // 2
            _draw_crosses(cell, np.array([[left - 10, 9]]), colour)
        cells.append(cell)
    return np.concatenate(cells, axis=1)
