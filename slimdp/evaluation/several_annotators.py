"""Several annotators who labelled the same people: how far they are apart, and their labels made one.

Nobody need know the truth. Labels of one place are those of one person, by image id and annotation id, whose
points lie within a tolerance of the first annotator's who has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from slimdp.evaluation.annotators import TOLERANCE_PX
from slimdp.evaluation.points import PointErrors
from slimdp.structures import PersonAnnotation
from slimdp.surface import Surface


@dataclass(frozen=True)
class SharedPoints:
    """The points of several annotators, N of them, each of one place of one person."""

    person: np.ndarray  # (N,) int64, an index into `people`
    place: np.ndarray  # (N,) int64: points with one number are of the same place
    annotator: np.ndarray  # (N,) int64, an index into the annotators
    point: np.ndarray  # (N,) int64, which of the person's points it is, in that annotator's file
    part: np.ndarray  # (N,) int64
    uv: np.ndarray  # (N, 2)
    people: tuple[Mapping[int, PersonAnnotation], ...]  # by annotator, of each person

    @property
    def places(self) -> int:
        """How many places there are, labelled by one annotator or more."""
        return int(self.place.max(initial=-1)) + 1


def share_points(
    annotators: Sequence[Sequence[PersonAnnotation]], tolerance_px: float = TOLERANCE_PX
) -> SharedPoints:
    """Find the places that annotators have in common; a place takes at most one point of each annotator.

    Raises ValueError for fewer than two annotators, or where none of them has a point with (u, v).
    """
    if len(annotators) < 2:
        raise ValueError(f"{len(annotators)} annotators, but two or more are wanted")
    by_key: dict[tuple[int, int], dict[int, PersonAnnotation]] = {}
    for annotator, people in enumerate(annotators):
        for person in people:
            by_key.setdefault((person.image.id, person.id), {})[annotator] = person
    rows, uv, places = [], [], 0
    for index, known in enumerate(by_key.values()):
        here: list[np.ndarray] = []  # the first point of each place of this person, px
        for annotator, person in known.items():
            chosen = np.flatnonzero(person.has_uv)
            place = _places_of(person.points[chosen], here, tolerance_px)
            rows += [
                (index, places + at, annotator, point, person.part[point]) for at, point in zip(place, chosen)
            ]
            uv.append(person.uv[chosen])
        places += len(here)
    if not rows:
        raise ValueError("nobody has a point with (u, v)")
    person, place_of, annotator_of, point, part = np.array(rows, dtype=np.int64).T
    return SharedPoints(
        person,
        place_of,
        annotator_of,
        point,
        part,
        np.concatenate(uv).astype(np.float64),
        tuple(by_key.values()),
    )


def _places_of(points: np.ndarray, here: list[np.ndarray], tolerance_px: float) -> list[int]:
    """The place of each point (N, 2): one of `here`, nearest pairs first, or a new one, which is added."""
    place = [-1] * len(points)
    if here and len(points):
        near = cKDTree(points).sparse_distance_matrix(
            cKDTree(np.stack(here)), tolerance_px, output_type="ndarray"
        )
        taken: set[int] = set()
        for each in near[np.argsort(near["v"], kind="stable")]:
            if place[each["i"]] < 0 and int(each["j"]) not in taken:
                place[each["i"]] = int(each["j"])
                taken.add(int(each["j"]))
    for index, point in enumerate(points):
        if place[index] < 0:
            place[index] = len(here)
            here.append(point)
    return place


def disagreement(shared: SharedPoints, surface: Surface) -> PointErrors:
    """Geodesic distances, metres, between every two annotators at each place that both labelled.

    As errors: of the first one's part, and the person; raises ValueError where no two share a place.
    """
    one, other = _pairs(shared)
    if not len(one):
        raise ValueError("no two annotators labelled the same place; did they label the same file?")
    distance_m = surface.distance_between(
        shared.part[one], shared.uv[one], shared.part[other], shared.uv[other]
    )
    return PointErrors(distance_m, distance_m, shared.part[one], shared.person[one])


def places_of_pairs(shared: SharedPoints) -> tuple[np.ndarray, np.ndarray]:
    """Part (K,) and uv (K, 2) of the first annotator, of the rows of `disagreement`."""
    one, _ = _pairs(shared)
    return shared.part[one], shared.uv[one]


def pairs_of(shared: SharedPoints, first: int, second: int) -> np.ndarray:
    """Which rows (K,) bool of `disagreement` are between two annotators."""
    one, other = _pairs(shared)
    return np.isin(shared.annotator[one], (first, second)) & np.isin(shared.annotator[other], (first, second))


def _pairs(shared: SharedPoints) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two annotators at one place, in the order of places."""
    one, other = [], []
    order = np.lexsort((shared.annotator, shared.place))
    starts = np.flatnonzero(np.diff(shared.place[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        a, b = np.triu_indices(len(rows), 1)
        one.append(rows[a])
        other.append(rows[b])
    return np.concatenate(one).astype(np.int64), np.concatenate(other).astype(np.int64)


def merged_people(shared: SharedPoints, surface: Surface, apart_m: float = np.inf) -> list[PersonAnnotation]:
    """Everybody once, each place with one label: that of whoever is nearest to all others (the medoid).

    A label of one annotator stays as it is. A mean of (u, v) would lie nowhere in particular where two parts
    meet; the medoid is always somebody's answer, and one of three who errs does not move it. Of two answers
    the first annotator's counts. Places whose annotators are more than `apart_m` metres apart, in the mean of
    the distances to the medoid, are left out. Box, masks and keypoints are the first annotator's.
    """
    order = np.lexsort((shared.annotator, shared.place))
    starts = np.flatnonzero(np.diff(shared.place[order], prepend=-1))
    chosen: dict[int, list[tuple[int, int]]] = {}
    for rows in np.split(order, starts[1:]):
        row, spread_m = _medoid(shared, rows, surface)
        if spread_m <= apart_m:
            chosen.setdefault(int(shared.person[row]), []).append(
                (int(shared.annotator[row]), int(shared.point[row]))
            )
    return [_with_labels(known, chosen.get(index, [])) for index, known in enumerate(shared.people)]


def _medoid(shared: SharedPoints, rows: np.ndarray, surface: Surface) -> tuple[int, float]:
    """The row of those at one place that is nearest to all, and its mean distance to the others, metres."""
    if len(rows) == 1:
        return int(rows[0]), 0.0
    a, b = (each.ravel() for each in np.meshgrid(rows, rows, indexing="ij"))
    distance = surface.distance_between(shared.part[a], shared.uv[a], shared.part[b], shared.uv[b])
    distance = np.triu(distance.reshape(len(rows), -1), 1)  # there and back differ by rounding
    total = (distance + distance.T).sum(axis=1)
    best = int(total.argmin())
    return int(rows[best]), float(total[best] / (len(rows) - 1))


def _with_labels(
    known: Mapping[int, PersonAnnotation], chosen: Sequence[tuple[int, int]]
) -> PersonAnnotation:
    """The first annotator's person with points of any, (annotator, point)."""
    first = known[min(known)]
    empty = first.with_points(np.zeros(len(first.points), dtype=bool))
    fields = ("points", "part", "uv", "source", "step")
    picked: dict[str, Any] = {
        name: np.array([getattr(known[annotator], name)[point] for annotator, point in chosen])
        for name in fields
    }
    return replace(empty, confidence=None, **picked) if chosen else replace(empty, confidence=None)


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one kind of points, in centimetres; of those that are finite, but for `lost`."""

    name: str
    count: int
    median_cm: float
    mean_cm: float
    worst_cm: float  # 95 % are nearer
    lost: int  # with an infinite error: nobody is there

    def named(self, name: str) -> ErrorRow:
        """The same under another name."""
        return replace(self, name=name)


def error_rows(errors: PointErrors, part_names: Sequence[str]) -> list[ErrorRow]:
    """Errors of all points and by part, as centimetres; parts without points are left out."""
    rows = [_error_row("all", errors.full_m)]
    for label, name in enumerate(part_names):
        mine = errors.part == label
        if label and mine.any():
            rows.append(_error_row(name, errors.full_m[mine]))
    return rows


def _error_row(name: str, error_m: np.ndarray) -> ErrorRow:
    found = 100 * error_m[np.isfinite(error_m)]
    lost = len(error_m) - len(found)
    if not len(found):
        return ErrorRow(name, len(error_m), np.nan, np.nan, np.nan, lost)
    numbers = float(np.median(found)), float(found.mean()), float(np.percentile(found, 95))
    return ErrorRow(name, len(error_m), *numbers, lost)
