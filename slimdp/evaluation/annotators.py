"""How far annotators place points from the truth (DensePose, 2.2; Slim DensePose, table 2, "Human").

Truth is known where pictures are rendered: the same people with exact points, or the maps of part, u and v
under the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from flow_cache.images import read_image
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import tracked
from slimdp.evaluation.point_report import PeopleGroups, PointReport, report_points
from slimdp.evaluation.points import NOT_FOUND, THRESHOLDS_CM, PointErrors
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import BodySurface, Surface
from slimdp.surface.people import PEOPLE

#: A point and its truth lie at the same pixel: boxes of 256 px frames round places by less.
TOLERANCE_PX = 1.0
#: Points count for a place by a Gaussian of their distance along the body, of this deviation, metres.
SIGMA_M = 0.03
#: Points farther than so many deviations do not count.
_REACH = 3.0


@dataclass(frozen=True)
class TruePoints:
    """Annotated points with their truth, P of them; `person` is an index into the annotators' people."""

    person: np.ndarray  # (P,) int64
    part: np.ndarray  # (P,) int64, the annotators' answer
    uv: np.ndarray  # (P, 2)
    true_part: np.ndarray  # (P,) int64, 0..P; 0: nobody is at the point
    true_uv: np.ndarray  # (P, 2)
    unmatched: int  # annotated points without a truth, which are not among the P


def pair_with_annotations(
    annotated: Sequence[PersonAnnotation],
    truth: Sequence[PersonAnnotation],
    tolerance_px: float = TOLERANCE_PX,
) -> TruePoints:
    """Pair annotated points with those of the truth: of the same person, the nearest in reach.

    The tolerance is in image px. A person is known by image id and annotation id; other people in the truth
    are not looked at. Raises ValueError for an annotated person whom the truth lacks, or without any pair.
    """
    people = {(person.image.id, person.id): person.with_uv_points() for person in truth}

    def nearest(person: PersonAnnotation) -> tuple[np.ndarray, np.ndarray]:
        other = people.get((person.image.id, person.id))
        if other is None:
            absent = f"annotation {person.id} of image {person.image.id} ({person.image.file_name})"
            remedy = "both files must name the same people by the same ids"
            raise ValueError(f"the truth has no {absent}; {remedy}")
        distance_px, index = cKDTree(other.points).query(person.points)
        # Of a truth without points the distance is infinite, and the index one past its end.
        return distance_px <= tolerance_px, np.pad(_places(other), ((0, 1), (0, 0)))[index]

    return _paired(annotated, nearest)


def pair_with_maps(annotated: Sequence[PersonAnnotation], folder: str | Path) -> TruePoints:
    """Pair annotated points with the maps of a folder of rendered pictures, each with the pixel it lies in.

    iuv/NAME.png holds the truth of images/NAME.jpg (docs/rendered_sets.md). Raises ValueError for no map of
    a picture, or one of another size or with other contents, and without any point.
    """
    shown: dict[str, np.ndarray] = {}

    def pixels(person: PersonAnnotation) -> tuple[np.ndarray, np.ndarray]:
        if person.image.file_name not in shown:  # people of a picture stand together
            shown.clear()
            shown[person.image.file_name] = read_true_map(
                person.image, len(person.layout.parts), Path(folder)
            )
        limit = np.array([person.image.width, person.image.height]) - 1
        column, row = np.clip(np.floor(person.points + 0.5), 0, limit).astype(np.int64).T
        pixel = shown[person.image.file_name][row, column]
        return np.ones(len(pixel), dtype=bool), pixel / [1.0, 255.0, 255.0]

    return _paired(annotated, pixels)


def _paired(
    annotated: Sequence[PersonAnnotation],
    truth_of: Callable[[PersonAnnotation], tuple[np.ndarray, np.ndarray]],
) -> TruePoints:
    """Annotated points with what `truth_of` a person says: whether each has a truth, and which (N, 3)."""
    answers, truths, owners = [np.zeros((0, 3))], [np.zeros((0, 3))], [np.zeros(0, dtype=np.int64)]
    unmatched = 0
    for index, person in enumerate(p.with_uv_points() for p in tracked(annotated, "annotators", "people")):
        if len(person.part):
            known, truth = truth_of(person)
            answers.append(_places(person)[known])
            truths.append(truth[known])
            owners.append(np.full(known.sum(), index))
            unmatched += int((~known).sum())
    answer, truth = np.concatenate(answers), np.concatenate(truths)
    if not len(answer):
        raise ValueError(f"no annotated point has a truth to compare with ({unmatched} have none near them)")
    part, true_part = answer[:, 0].astype(np.int64), truth[:, 0].astype(np.int64)
    return TruePoints(np.concatenate(owners), part, answer[:, 1:], true_part, truth[:, 1:], unmatched)


def _places(person: PersonAnnotation) -> np.ndarray:
    """Part, u and v of a person's points, (N, 3) float64."""
    return np.column_stack([person.part, person.uv]).astype(np.float64)


def annotator_errors(points: TruePoints, surface: Surface) -> PointErrors:
    """Geodesic errors of annotated points, by their true part; where nobody is, by the annotated part.

    Both forms of the scores are the same: annotators say of each point where it is.
    """
    there = points.true_part > 0
    errors_m = np.full(len(there), NOT_FOUND)
    errors_m[there] = surface.distance_between(
        points.part[there], points.uv[there], points.true_part[there], points.true_uv[there]
    )
    part = np.where(there, points.true_part, points.part)
    return PointErrors(errors_m, errors_m, part, points.person)


def report_annotators(
    errors: PointErrors,
    annotated: Sequence[PersonAnnotation],
    thresholds_cm: Sequence[float] = THRESHOLDS_CM,
    seed: int = 0,
    part_names: Sequence[str] = PEOPLE.part_names,
) -> PointReport:
    """Scores of annotators as of predictions, all sizes taken from the boxes."""
    areas_px2 = [float(person.box[2] * person.box[3]) for person in annotated]
    groups = PeopleGroups.of(areas_px2, [person.image.video for person in annotated])
    return report_points(errors, groups, thresholds_cm, seed, part_names)


def annotators_in_percent(report: PointReport) -> dict[str, Any]:
    """{"annotators": {"5cm": ...}, "intervals": ..., "parts": ...}: what `slimdp annotators --out` writes."""
    found = report.all.as_json()
    intervals = None if found["intervals"] is None else found["intervals"]["full"]
    parts = {name: scores.as_json()["full"] for name, scores in report.parts.items()}
    return {"annotators": found["full"], "intervals": intervals, "count": found["count"], "parts": parts}


def read_annotators(path: str | Path) -> dict[str, float]:
    """{"5cm": ...} in percent, from what `annotators_in_percent` was written to; ValueError of others."""
    content = read_json(path, "file of annotators' scores")
    scores = content.get("annotators") if isinstance(content, Mapping) else None
    if not isinstance(scores, dict) or not all(isinstance(value, (int, float)) for value in scores.values()):
        raise ValueError(f"{path} holds no scores of annotators; write them with: slimdp annotators --out")
    return {str(name): float(value) for name, value in scores.items()}


def read_true_map(image: ImageRecord, parts: int, folder: Path) -> np.ndarray:
    """Part 0..`parts`, 255 u, 255 v (H, W, 3) uint8 under a picture of a rendered set; ValueError without."""
    path = folder / "iuv" / Path(image.file_name.removeprefix("images/")).with_suffix(".png")
    if not path.is_file():
        raise ValueError(f"{path}: no map of {image.file_name}; --truth wants the folder of a rendered set")
    pixels = read_image(path)
    if pixels.shape[:2] != (image.height, image.width) or pixels[..., 0].max() > parts:
        found = f"{pixels.shape[1]} x {pixels.shape[0]} px, parts to {pixels[..., 0].max()}"
        wanted = f"{image.width} x {image.height} px and parts 0..{parts} are wanted"
        raise ValueError(f"{path}: {found}, but {wanted}")
    return pixels


def mean_error_map(
    surface: BodySurface, part: np.ndarray, uv: np.ndarray, errors_m: np.ndarray, sigma_m: float = SIGMA_M
) -> np.ndarray:
    """Mean error (V,), metres, at the vertices of a body, of P points; NaN where no point is near.

    DensePose interpolates the errors of each picture and averages the pictures; here the points of all are
    averaged at once (`smooth_on_body`, sigma in metres), each at the vertex next to its true part (P,),
    1..parts, and uv (P, 2). Points that were not found, with infinite errors_m (P,), are left out. Raises
    ValueError for no point, a sigma that is not positive, or arrays of different lengths.
    """
    if not sigma_m > 0:
        raise ValueError(f"sigma_m = {sigma_m}, but a positive number of metres is wanted")
    if not len(part) == len(uv) == len(errors_m):
        raise ValueError(f"{len(part)} parts, {len(uv)} uv and {len(errors_m)} errors; wanted equally many")
    found = np.isfinite(errors_m)
    if not found.any():
        raise ValueError("no error that is finite: nothing to average")
    vertex = nearest_corner(surface, np.asarray(part)[found], np.asarray(uv)[found])
    return smooth_on_body(surface, vertex, errors_m[found, None], sigma_m)[:, 0]


def nearest_corner(surface: BodySurface, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The vertex (P,) next to each place of parts (P,) at (u, v) (P, 2), of the face that holds it."""
    face, weights = surface.locate(part, uv)
    return surface.faces[face, weights.argmax(axis=1)]


def smooth_on_body(
    surface: BodySurface, vertex: np.ndarray, values: np.ndarray, sigma_m: float
) -> np.ndarray:
    """Means (V, C) of values (P, C) at vertices (P,), of which one may have several; NaN where none is near.

    Weights are exp(-d^2 / (2 sigma^2)), d along the body, up to 3 sigma.
    """
    vertices = len(surface.vertices)
    columns = [np.ones(len(vertex)), *values.T]
    count, *totals = [np.bincount(vertex, weights=column, minlength=vertices) for column in columns]
    held = np.flatnonzero(count)
    # A way along the body is no shorter than the straight one.
    near = cKDTree(surface.vertices[held]).query_ball_point(surface.vertices, _REACH * sigma_m)
    place = np.repeat(np.arange(len(near)), [len(others) for others in near])
    source = held[np.concatenate([np.asarray(others, dtype=np.int64) for others in near])]
    distance_m = surface.vertex_distance(place, source)
    weight = np.where(distance_m <= _REACH * sigma_m, np.exp(-(distance_m**2) / (2 * sigma_m**2)), 0.0)
    weights, *sums = [
        np.bincount(place, weights=weight * total[source], minlength=vertices) for total in (count, *totals)
    ]
    with np.errstate(invalid="ignore"):  # 0 / 0: no value is near
        return np.stack(sums, 1) / weights[:, None]
