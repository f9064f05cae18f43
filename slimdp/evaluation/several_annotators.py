"""Several annotators who labelled the same people: how far they are apart, and their labels made one.

Nobody need know the truth. Labels of one place are those of one person, by image id and annotation id, whose
points lie within a tolerance of the first annotator's who has it. Of a place that nobody gave (u, v) the part
alone is known: there is no distance to tell, and a merged file keeps the part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from slimdp.data.box_frame import FRAME, beyond_box, frame_pixel_centres, sample_coarse
from slimdp.data.write import Outlines
from slimdp.evaluation.annotators import TOLERANCE_PX
from slimdp.evaluation.points import PointErrors
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation
from slimdp.surface import Surface


@dataclass(frozen=True)
class SharedPoints:
    """The points of several annotators, N of them, each of one place of one person."""

    person: np.ndarray  # (N,) int64, an index into `people`
    place: np.ndarray  # (N,) int64: points with one number are of the same place
    annotator: np.ndarray  # (N,) int64, an index into the annotators
    point: np.ndarray  # (N,) int64, which of the person's points it is, in that annotator's file
    part: np.ndarray  # (N,) int64
    uv: np.ndarray  # (N, 2); NaN where the part alone is known
    people: tuple[Mapping[int, PersonAnnotation], ...]  # by annotator, of each person

    @property
    def places(self) -> int:
        """How many places there are, labelled by one annotator or more."""
        return int(self.place.max(initial=-1)) + 1

    @property
    def places_by_part(self) -> int:
        """How many of these places nobody gave (u, v): their part alone is known."""
        return self.places - len(np.unique(self.place[self.has_uv]))

    @property
    def has_uv(self) -> np.ndarray:
        """(N,) bool: which points have (u, v), and not the part alone."""
        return ~np.isnan(self.uv).any(axis=1)  # type: ignore[no-any-return]


def share_points(
    annotators: Sequence[Sequence[PersonAnnotation]], tolerance_px: float = TOLERANCE_PX
) -> SharedPoints:
    """Find the places that annotators have in common; a place takes at most one point of each annotator.

    Points with (u, v) are matched first, so that those of a part alone change nothing in their distances.
    Raises ValueError for fewer than two annotators, or where none of them has a point.
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
        taken: dict[int, list[int]] = {annotator: [] for annotator in known}
        for wanted in (True, False):  # with (u, v), then by part alone
            for annotator, person in known.items():
                chosen = np.flatnonzero(person.has_uv == wanted)
                place = _places_of(person.points[chosen], here, tolerance_px, taken[annotator])
                taken[annotator] += place
                rows += [
                    (index, places + at, annotator, point, person.part[point])
                    for at, point in zip(place, chosen)
                ]
                uv.append(person.uv[chosen])
        places += len(here)
    if not rows:
        raise ValueError("nobody has a point")
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


def _places_of(
    points: np.ndarray, here: list[np.ndarray], tolerance_px: float, not_these: Collection[int]
) -> list[int]:
    """The place of each point (N, 2): one of `here`, nearest pairs first, or a new one, which is added.

    Places that already have a point of this annotator are `not_these`.
    """
    place = [-1] * len(points)
    if here and len(points):
        near = cKDTree(points).sparse_distance_matrix(
            cKDTree(np.stack(here)), tolerance_px, output_type="ndarray"
        )
        taken = set(not_these)
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

    As errors: of the first one's part, and the person; none where no two share a place.
    """
    one, other = _pairs(shared)
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
    """Rows with (u, v) of two annotators at one place, in the order of places."""
    one, other = [], []
    for rows in _rows_by_place(shared, shared.has_uv):
        a, b = np.triu_indices(len(rows), 1)
        one.append(rows[a])
        other.append(rows[b])
    return np.concatenate(one).astype(np.int64), np.concatenate(other).astype(np.int64)


def _rows_by_place(shared: SharedPoints, wanted: np.ndarray) -> list[np.ndarray]:
    """The wanted rows (N,) bool of each place that has some, in the order of annotators."""
    order = np.lexsort((shared.annotator, shared.place))
    order = order[wanted[order]]
    starts = np.flatnonzero(np.diff(shared.place[order], prepend=-1))
    return np.split(order, starts[1:])


def merged_people(shared: SharedPoints, surface: Surface, apart_m: float = np.inf) -> list[PersonAnnotation]:
    """Everybody once, each place with one label: that of whoever is nearest to all others (the medoid).

    A label of one annotator stays as it is. A mean of (u, v) would lie nowhere in particular where two parts
    meet; the medoid is always somebody's answer, and one of three who errs does not move it. Of two answers
    the first annotator's counts. Places whose annotators are more than `apart_m` metres apart, in the mean of
    the distances to the medoid, are left out. A place that nobody gave (u, v) has the part that most of its
    annotators named, of equals the first annotator's; whoever names the part alone does not count elsewhere.

    Masks, with the box that they lie over, are those of the first annotator who has some, and so are
    keypoints and track. A box that leaves out somebody's point grows to hold that annotator's box too; what
    the masks show in the new part of it is not known (IGNORE).
    """
    chosen: dict[int, list[tuple[int, int]]] = {}
    has_uv = shared.has_uv
    for rows in _rows_by_place(shared, np.ones(len(has_uv), dtype=bool)):
        known = rows[has_uv[rows]]
        row, spread_m = _medoid(shared, known, surface) if len(known) else (_of_most(shared, rows), 0.0)
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


def _of_most(shared: SharedPoints, rows: np.ndarray) -> int:
    """The first row of those at one place whose part most of them name."""
    part = shared.part[rows]
    return int(rows[(part[:, None] == part).sum(axis=1).argmax()])


def _with_labels(
    known: Mapping[int, PersonAnnotation], chosen: Sequence[tuple[int, int]]
) -> PersonAnnotation:
    """The person with points of any annotator, (annotator, point), and all else of the first who has it."""
    people = [known[annotator] for annotator in sorted(known)]
    first = next(filter(_shows_masks, people), people[0])
    marked = next(filter(_has_keypoints, people), people[0])
    person = replace(
        first.with_points(np.zeros(len(first.points), dtype=bool)),
        image=people[0].image,
        track=next((each.track for each in people if each.track is not None), None),
        keypoints=marked.keypoints,
        keypoint_names=marked.keypoint_names,
        confidence=None,
    )
    if not chosen:
        return person
    fields = ("points", "part", "uv", "source", "step")
    picked: dict[str, Any] = {
        name: np.array([getattr(known[annotator], name)[point] for annotator, point in chosen])
        for name in fields
    }
    beyond = beyond_box(picked["points"], person.box)
    if beyond.any():
        person = _grown(person, [known[annotator].box for (annotator, _), out in zip(chosen, beyond) if out])
    trust = [known[annotator].confidence for annotator, _ in chosen]
    if any(each is not None for each in trust):  # who says nothing is sure
        of_points = (1.0 if each is None else each[point] for each, (_, point) in zip(trust, chosen))
        picked["confidence"] = np.array(list(of_points), dtype=np.float32)
    return replace(person, **picked)


def _shows_masks(person: PersonAnnotation) -> bool:
    return person.coarse is not None and bool(person.coarse.any())


def _has_keypoints(person: PersonAnnotation) -> bool:
    return person.keypoints is not None and bool((person.keypoints[:, 2] > 0).any())


def _grown(person: PersonAnnotation, boxes: Sequence[np.ndarray]) -> PersonAnnotation:
    """A person in the smallest box that holds theirs and others (4,) xywh, px; masks stay where they are."""
    every = np.stack([person.box, *boxes])
    low, high = every[:, :2].min(axis=0), (every[:, :2] + every[:, 2:]).max(axis=0)
    box = np.concatenate([low, high - low])
    if person.coarse is None:
        return replace(person, box=box)
    centres = frame_pixel_centres(box).reshape(-1, 2)
    coarse, _ = sample_coarse(person.coarse, person.box, centres, outside=IGNORE)
    return replace(person, box=box, coarse=coarse.reshape(FRAME, FRAME))


def require_same_pictures(annotators: Sequence[Sequence[ImageRecord]], names: Sequence[str]) -> None:
    """Raise ValueError where two files, by their names, have one image id for different pictures."""
    known: dict[int, tuple[str, str]] = {}
    for name, images in zip(names, annotators):
        for image in images:
            first, picture = known.setdefault(image.id, (name, image.file_name))
            if picture != image.file_name:
                raise ValueError(
                    f"image id {image.id} is {picture} in {first}, but {image.file_name} in {name}: "
                    "annotators of the same people begin with one file, so that its ids are theirs"
                )


def merged_images(annotators: Sequence[Sequence[ImageRecord]]) -> list[ImageRecord]:
    """Every picture once, by its id, as the first annotator has it; labelled if anybody labelled it.

    Regions to be ignored are those of the first annotator who has some.
    """
    by_id: dict[int, ImageRecord] = {}
    for image in chain.from_iterable(annotators):
        known = by_id.get(image.id, image)
        by_id[image.id] = replace(
            known,
            labelled=known.labelled or image.labelled,
            ignore_regions=known.ignore_regions or image.ignore_regions,
        )
    return list(by_id.values())


def merged_outlines(annotators: Sequence[Outlines]) -> Outlines:
    """Everybody's outline, of the first annotator who has one, and the area that stands beside it.

    Without an outline, or an area beside it, the area is that of the first who has one.
    """
    merged: dict[tuple[int, int], dict[str, Any]] = {}
    for person in dict.fromkeys(chain.from_iterable(annotators)):
        files = [outlines[person] for outlines in annotators if person in outlines]
        files.sort(key=lambda fields: not fields.get("segmentation"))  # stable: the first who has one
        merged[person] = {}
        for fields in reversed(files):
            merged[person] |= {name: value for name, value in fields.items() if value or name == "area"}
    return merged


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one kind of points, in centimetres; of those that are finite, None without one."""

    name: str
    count: int
    median_cm: float | None
    mean_cm: float | None
    worst_cm: float | None  # 95 % are nearer
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
        return ErrorRow(name, len(error_m), None, None, None, lost)
    numbers = float(np.median(found)), float(found.mean()), float(np.percentile(found, 95))
    return ErrorRow(name, len(error_m), *numbers, lost)
