"""How far annotators place points from the truth (DensePose, 2.2; Slim DensePose, table 2, "Human").

Truth is known where pictures are rendered: the same people with exact points, or the maps of part, u and v
under the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from slimdp.structures import PersonAnnotation
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
    """Pair annotated points with those of the truth: of the same person, the nearest within a tolerance.

    Args:
        annotated: whose points are measured; a person is known by image id and annotation id.
        truth: other people in it are not looked at.
        tolerance_px: image px, the largest distance of a pair.

    Raises:
        ValueError: an annotated person whom the truth lacks, or no pair at all.
    """
    people = {(person.image.id, person.id): person.with_uv_points() for person in truth}
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    owners: list[int] = []
    unmatched = 0
    for index, person in enumerate(p.with_uv_points() for p in tracked(annotated, "annotators", "people")):
        if not len(person.part):
            continue
        other = people.get((person.image.id, person.id))
        if other is None:
            raise ValueError(
                f"the truth has no annotation {person.id} of image {person.image.id} "
                f"({person.image.file_name}); both files must name the same people by the same ids"
            )
        if not len(other.part):
            unmatched += len(person.part)
            continue
        distance_px, nearest = cKDTree(other.points).query(person.points)
        near = distance_px <= tolerance_px
        unmatched += int((~near).sum())
        pairs.append((_places(person)[near], _places(other)[nearest[near]]))
        owners.append(index)
    return _joined(pairs, owners, unmatched)


def pair_with_maps(annotated: Sequence[PersonAnnotation], folder: str | Path) -> TruePoints:
    """Pair annotated points with the maps of rendered pictures, each with the pixel that it lies in.

    Args:
        annotated: whose points are measured.
        folder: a rendered set: iuv/NAME.png holds the truth of images/NAME.jpg (docs/rendered_sets.md).

    Raises:
        ValueError: no map of a picture, or one of another size or with other contents; no points at all.
    """
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    owners: list[int] = []
    shown: tuple[str, np.ndarray] = ("", np.zeros(0))
    for index, person in enumerate(p.with_uv_points() for p in tracked(annotated, "annotators", "people")):
        if not len(person.part):
            continue
        if shown[0] != person.image.file_name:  # people of a picture stand together
            shown = (person.image.file_name, read_true_map(person, Path(folder)))
        limit = np.array([person.image.width, person.image.height]) - 1
        column, row = np.clip(np.floor(person.points + 0.5), 0, limit).astype(np.int64).T
        pixel = shown[1][row, column]
        pairs.append((_places(person), pixel / [1.0, 255.0, 255.0]))
        owners.append(index)
    return _joined(pairs, owners, unmatched=0)


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
    groups = PeopleGroups.of(
        [float(person.box[2] * person.box[3]) for person in annotated],
        [person.image.video for person in annotated],
    )
    return report_points(errors, groups, thresholds_cm, seed=seed, part_names=part_names)


def annotators_in_percent(report: PointReport) -> dict[str, Any]:
    """{"annotators": {"5cm": ...}, "intervals": ..., "parts": ...}: what `slimdp annotators --out` writes."""
    found = report.all.as_json()
    intervals = None if found["intervals"] is None else found["intervals"]["full"]
    parts = {name: scores.as_json()["full"] for name, scores in report.parts.items()}
    return {"annotators": found["full"], "intervals": intervals, "count": found["count"], "parts": parts}


def read_annotators(path: str | Path) -> dict[str, float]:
    """{"5cm": ...} in percent, from what `annotators_in_percent` was written to.

    Raises:
        ValueError: another kind of file. FileNotFoundError: none.
    """
    content = read_json(path, "file of annotators' scores")
    scores = content.get("annotators") if isinstance(content, Mapping) else None
    if not isinstance(scores, dict) or not all(isinstance(value, (int, float)) for value in scores.values()):
        raise ValueError(f"{path} holds no scores of annotators; write them with: slimdp annotators --out")
    return {str(name): float(value) for name, value in scores.items()}


def _places(person: PersonAnnotation) -> np.ndarray:
    """Part, u and v of a person's points, (N, 3) float64."""
    return np.column_stack([person.part, person.uv]).astype(np.float64)


def _joined(pairs: list[tuple[np.ndarray, np.ndarray]], owners: list[int], unmatched: int) -> TruePoints:
    count = [len(answer) for answer, _ in pairs]
    if not sum(count):
        raise ValueError(f"no annotated point has a truth to compare with ({unmatched} have none near them)")
    answer, truth = np.concatenate([a for a, _ in pairs]), np.concatenate([t for _, t in pairs])
    return TruePoints(
        person=np.repeat(owners, count),
        part=answer[:, 0].astype(np.int64),
        uv=answer[:, 1:],
        true_part=truth[:, 0].astype(np.int64),
        true_uv=truth[:, 1:],
        unmatched=unmatched,
    )


def read_true_map(person: PersonAnnotation, folder: Path) -> np.ndarray:
    """Part, 255 u, 255 v (H, W, 3) uint8 under a person's picture of a rendered set; ValueError without."""
    image, parts = person.image, len(person.layout.parts)
    inside = Path(image.file_name.removeprefix("images/")).with_suffix(".png")
    path = folder / "iuv" / inside
    if not path.is_file():
        raise ValueError(f"{path}: no map of {image.file_name}; --truth wants the folder of a rendered set")
    pixels = read_image(path)
    if pixels.shape[:2] != (image.height, image.width) or pixels[..., 0].max() > parts:
        raise ValueError(
            f"{path}: {pixels.shape[1]} x {pixels.shape[0]} px, parts to {pixels[..., 0].max()}, but "
            f"{image.width} x {image.height} px and parts 0..{parts} are wanted"
        )
    return pixels


def mean_error_map(
    surface: BodySurface, part: np.ndarray, uv: np.ndarray, errors_m: np.ndarray, sigma_m: float = SIGMA_M
) -> np.ndarray:
    """Mean error at the vertices of a body, of points whose true places are known.

    DensePose interpolates the errors of each picture and averages the pictures; here the points of all are
    averaged at once, with weights exp(-d^2 / (2 sigma^2)), d along the body from the vertex to the one next
    to the point.

    Args:
        surface: the body.
        part: (P,) true part, 1..parts.
        uv: (P, 2) true coordinates.
        errors_m: (P,) metres; points that were not found (infinite) are left out.
        sigma_m: deviation of the weights, metres.

    Returns:
        (V,) float64 metres; NaN where no point is near.

    Raises:
        ValueError: no point, a sigma that is not positive, or arrays of different lengths.
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
    """Means of values at vertices, with weights exp(-d^2 / (2 sigma^2)), d along the body, up to 3 sigma.

    Args:
        surface: the body.
        vertex: (P,) where the values are; a vertex may have several.
        values: (P, C).
        sigma_m: deviation of the weights, metres.

    Returns:
        (V, C) float64; NaN where no value is near.
    """
    vertices = len(surface.vertices)
    count = np.bincount(vertex, minlength=vertices).astype(float)
    totals = np.stack([np.bincount(vertex, weights=column, minlength=vertices) for column in values.T], 1)
    held = np.flatnonzero(count)
    # A way along the body is no shorter than the straight one.
    near = cKDTree(surface.vertices[held]).query_ball_point(surface.vertices, _REACH * sigma_m)
    place = np.repeat(np.arange(len(near)), [len(others) for others in near])
    source = held[np.concatenate([np.asarray(others, dtype=np.int64) for others in near])]
    distance_m = surface.vertex_distance(place, source)
    weight = np.where(distance_m <= _REACH * sigma_m, np.exp(-(distance_m**2) / (2 * sigma_m**2)), 0.0)
    weights = np.bincount(place, weights=weight * count[source], minlength=vertices)
    means = np.full(totals.shape, np.nan)
    for column, total in enumerate(totals.T):
        summed = np.bincount(place, weights=weight * total[source], minlength=vertices)
        np.divide(summed, weights, out=means[:, column], where=weights > 0)
    return means
