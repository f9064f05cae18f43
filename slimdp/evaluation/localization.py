"""How far from the truth, along the body, the annotated points are found (Slim DensePose, 5.1, table 2).

Two forms: "full", where a pixel that the network calls background is wrong, and "localization", where the
best of all parts counts everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from slimdp.evaluation.paste import nearest_pixels
from slimdp.evaluation.ratios import NOT_FOUND, THRESHOLDS_CM, PointErrors, PointScores, summarize
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface import Surface


def score_points(
    predictions: Iterable[DensePoseInstance],
    people: Sequence[PersonAnnotation],
    surface: Surface,
    thresholds_cm: Sequence[float] = THRESHOLDS_CM,
    missing: Literal["raise", "wrong"] = "raise",
) -> PointScores:
    """Score predictions against annotated points; arguments and errors as for `point_errors`."""
    return summarize(point_errors(predictions, people, surface, missing), thresholds_cm)


def point_errors(
    predictions: Iterable[DensePoseInstance],
    people: Sequence[PersonAnnotation],
    surface: Surface,
    missing: Literal["raise", "wrong"] = "raise",
) -> PointErrors:
    """Geodesic error of every annotated point.

    The prediction is read at the crop's pixel nearest to the point; a point outside the crop is not found.

    Args:
        predictions: in any order; those of people without points are not used.
        people: whose points with (u, v) are the truth; a person is known by image id and annotation id.
        surface: the body that parts, u and v speak of.
        missing: "raise", or "wrong" to count all points of a person without a prediction as not found.

    Raises:
        ValueError: people without a prediction, people or predictions given twice, or no points at all.
    """
    reader = PointReader(people)
    for _ in reader.watch(predictions):
        pass
    return reader.errors(surface, missing)


class PointReader:
    """Reads predictions at the annotated points while they pass by, so that a file is unpacked once for all
    that is measured; arguments and errors as for `point_errors`."""

    def __init__(self, people: Sequence[PersonAnnotation]) -> None:
        self._people = [person.with_uv_points() for person in people]
        self._index_of = _people_with_points(self._people)
        self._readings: dict[int, _Reading] = {}

    def watch(self, predictions: Iterable[DensePoseInstance]) -> Iterator[DensePoseInstance]:
        """Give predictions on, each once it was read."""
        for prediction in predictions:
            index = self._index_of.get((prediction.image_id, prediction.annotation_id))
            if index is not None:
                if index in self._readings:
                    raise ValueError(
                        f"two predictions for image {prediction.image_id}, annotation "
                        f"{prediction.annotation_id}; the scores need exactly one a person"
                    )
                self._readings[index] = _read_points(prediction, self._people[index])
            yield prediction

    def errors(self, surface: Surface, missing: Literal["raise", "wrong"] = "raise") -> PointErrors:
        """The errors, once all predictions have passed by."""
        people, indices = self._people, self._index_of.values()
        absent = [index for index in indices if index not in self._readings]
        if absent and missing == "raise":
            first = people[absent[0]]
            raise ValueError(
                f"no prediction for {len(absent)} of {len(indices)} people with points, first image "
                f"{first.image.id} ({first.image.file_name}), annotation {first.id}; predict them all, or "
                'count their points as wrong with missing="wrong"'
            )
        nobody = {index: _Reading.of_nobody(len(people[index].part)) for index in absent}
        readings = self._readings | nobody
        return _measure([(index, people[index], readings[index]) for index in indices], surface)


@dataclass(frozen=True)
class _Reading:
    """A prediction at N points; `part` and `uv` count only where `found`."""

    part: np.ndarray  # (N,) 1..parts
    uv: np.ndarray  # (N, 2) float32
    found: np.ndarray  # (N,) bool: inside the crop
    foreground: np.ndarray  # (N,) bool

    @staticmethod
    def of_nobody(points: int) -> _Reading:
        nowhere = np.zeros(points, dtype=bool)
        return _Reading(np.ones(points, dtype=np.int64), np.zeros((points, 2), np.float32), nowhere, nowhere)


def _people_with_points(people: Sequence[PersonAnnotation]) -> dict[tuple[int, int], int]:
    """(image id, annotation id) -> index, for the people with points."""
    index_of: dict[tuple[int, int], int] = {}
    for index, person in enumerate(people):
        if not len(person.part):
            continue
        key = (person.image.id, person.id)
        if key in index_of:
            raise ValueError(
                f"image {key[0]} ({person.image.file_name}) has two annotations with id {key[1]}"
            )
        index_of[key] = index
    if not index_of:
        raise ValueError(f"none of the {len(people)} people has annotated points: there is nothing to score")
    return index_of


def _read_points(prediction: DensePoseInstance, person: PersonAnnotation) -> _Reading:
    pixels, found = nearest_pixels(prediction, person.points)
    column, row = pixels.T
    return _Reading(
        part=prediction.part[row, column].astype(np.int64),
        uv=prediction.uv[:, row, column].T.astype(np.float32),
        found=found,
        foreground=prediction.foreground[row, column],
    )


def _measure(rows: list[tuple[int, PersonAnnotation, _Reading]], surface: Surface) -> PointErrors:
    """Errors of all people's points, measured together: surfaces are fastest on large arrays."""
    true_part = np.concatenate([person.part for _, person, _ in rows]).astype(np.int64)
    true_uv = np.concatenate([person.uv for _, person, _ in rows])
    found = np.concatenate([reading.found for _, _, reading in rows])
    foreground = np.concatenate([reading.foreground for _, _, reading in rows])
    part = np.concatenate([reading.part for _, _, reading in rows])[found]
    uv = np.concatenate([reading.uv for _, _, reading in rows])[found]
    localization_m = np.full(len(found), NOT_FOUND)
    if found.any():
        localization_m[found] = surface.distance_between(part, uv, true_part[found], true_uv[found])
    return PointErrors(
        full_m=np.where(foreground, localization_m, NOT_FOUND),
        localization_m=localization_m,
        part=true_part,
        person=np.repeat([index for index, _, _ in rows], [len(person.part) for _, person, _ in rows]),
    )
