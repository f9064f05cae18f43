"""How far from the truth, along the body, the annotated points are found (Slim DensePose, 5.1, table 2).

Two forms: "full", where a pixel that the network calls background is wrong, and "localization", where the
best of the parts counts everywhere. f(t) is the share of points with an error strictly below t, over all
points of all people, and AUC_a = (1/a) * integral of f from 0 to a its mean up to a (DensePose, 2.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from slimdp.evaluation.ground_truth import EvaluationSet, ImageTruth
from slimdp.evaluation.metric import MetricSettings, Predicted, Score, ScoreKind
from slimdp.evaluation.predictions import nearest_pixels
from slimdp.geometry import box_overlaps
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface.layout import Surface

#: Error of a point that was not found.
NOT_FOUND = np.inf
#: Of the tables of Slim DensePose, centimetres.
THRESHOLDS_CM = (5.0, 10.0, 20.0)
#: Areas under the curve up to here, metres (DensePose, 2.3).
AUC_LIMITS_M = {"auc10": 0.10, "auc30": 0.30}
FORMS = ("full", "localization")
#: Overlap of boxes from which somebody who was found is taken for an annotated person.
SAME_PERSON = 0.5
#: Percent by form and name: {"full": {"5cm": ..., "auc10": ...}, "localization": {...}}.
PointScores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class PointErrors:
    """Geodesic errors of P points, metres; NOT_FOUND (infinite) where a point has no answer."""

    full_m: np.ndarray  # (P,) float64
    localization_m: np.ndarray  # (P,) float64
    part: np.ndarray  # (P,) int64, the true part
    person: np.ndarray  # (P,) int64, index into the people that were scored

    def where(self, chosen: np.ndarray) -> PointErrors:
        """The points that a mask (P,) bool chooses."""
        return PointErrors(*(values[chosen] for values in vars(self).values()))

    def of_form(self, form: str) -> np.ndarray:
        """(P,) metres of one of FORMS."""
        return self.full_m if form == "full" else self.localization_m

    @staticmethod
    def joined(each: Sequence[PointErrors]) -> PointErrors:
        """The points of several, one after the other."""
        return PointErrors(*map(np.concatenate, zip(*(vars(errors).values() for errors in each))))


class PointMetric:
    """Points within a distance: "points.full.10cm", "points.localization.auc30", percent."""

    def __init__(self, settings: MetricSettings) -> None:
        self._settings = settings
        self._people: dict[int, PersonAnnotation] = {}  # by place in the file, those with (u, v) points
        self._place_of: dict[tuple[int, int], int] = {}  # image id and annotation id -> place
        self._samples: dict[int, _PointSamples] = {}
        self._detected = False  # people whom a network found by itself are among the predictions
        self._overlaps: list[_Overlap] = []  # of these with annotated people
        self._images: set[int] = set()
        self._annotated = 0

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """Thresholds are any positive number of centimetres."""
        _, _, rest = name.partition(".")
        form, _, score = rest.partition(".")
        if form not in FORMS or not (score in AUC_LIMITS_M or _threshold_cm(score)):
            return None
        title = f"AUC{score.removeprefix('auc')}" if score in AUC_LIMITS_M else score.replace("cm", " cm")
        return ScoreKind(title if form == "localization" else f"{title}, full")

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Read a prediction at the crop's pixel nearest to each point; those outside the crop are not found.

        People whom a network found by itself (`annotation_id` below 0) answer for the annotated people whose
        boxes they overlap, once all are there (`errors`). Raises ValueError for people or predictions that
        are there twice.
        """
        if truth.image.id not in self._images:
            self._images.add(truth.image.id)
            self._add_people(truth)
        for prediction in predicted.people:
            if not isinstance(prediction, DensePoseInstance):
                raise ValueError("DensePose results do not say which annotated person they mean: no points")
            if prediction.annotation_id < 0:
                self._add_detection(prediction, truth)
                continue
            place = self._place_of.get((prediction.image_id, prediction.annotation_id))
            if place is None:
                continue
            if place in self._samples:
                whose = f"image {prediction.image_id}, annotation {prediction.annotation_id}"
                raise ValueError(f"two predictions for {whose}; the scores need exactly one a person")
            self._samples[place] = _sample_points(prediction, self._people[place])

    def compute(self) -> dict[str, Score]:
        """Scores of the errors at the thresholds that the wanted names have."""
        found = [_threshold_cm(name.split(".", 2)[2]) for name in self._settings.scores]
        thresholds = dict.fromkeys(t for t in found if t is not None) or THRESHOLDS_CM
        scores = summarize(self.errors(), tuple(thresholds))
        return {
            f"points.{form}.{name}": Score(value)
            for form, by_name in scores.items()
            for name, value in by_name.items()
        }

    def errors(self) -> PointErrors:
        """The errors of all points, person by person in the order of the file.

        Of the people whom a network found, each answers for one annotated person, the largest overlap of
        boxes first, `SAME_PERSON` at least; the points of those who are left are not found. Raises ValueError
        if nobody has points, or people with points have no prediction and `missing` is
        "raise".
        """
        places = sorted(self._people)
        if not places:
            nobody = f"none of the {self._annotated} people has annotated points"
            raise ValueError(f"{nobody}: there is nothing to score")
        samples_of = {**_assigned(self._overlaps), **self._samples}
        absent = [place for place in places if place not in samples_of]
        if absent and self._settings.missing == "raise" and not self._detected:
            first = self._people[absent[0]]
            raise ValueError(
                f"no prediction for {len(absent)} of {len(places)} people with points, first image "
                f"{first.image.id} ({first.image.file_name}), annotation {first.id}; predict them all, or "
                'count their points as wrong with missing="wrong"'
            )
        people = [self._people[place] for place in places]
        samples = [
            samples_of.get(place) or _unseen(len(person.part)) for place, person in zip(places, people)
        ]
        part, uv, found, foreground = (np.concatenate(each) for each in zip(*samples))
        true_part = np.concatenate([person.part for person in people]).astype(np.int64)
        true_uv = np.concatenate([person.uv for person in people])
        localization_m = np.full(len(found), NOT_FOUND)
        if found.any():  # all people together: surfaces are fastest on large arrays
            localization_m[found] = self._settings.surface.distance_between(
                part[found], uv[found], true_part[found], true_uv[found]
            )
        full_m = np.where(foreground, localization_m, NOT_FOUND)
        person = np.repeat(places, [len(person.part) for person in people])
        return PointErrors(full_m, localization_m, true_part, person)

    def _add_detection(self, prediction: DensePoseInstance, truth: ImageTruth) -> None:
        self._detected = True
        for place in truth.places:
            person = self._people.get(place)
            if person is None:
                continue
            overlap = float(box_overlaps(prediction.box[None], person.box[None])[0, 0])
            if overlap >= SAME_PERSON:
                key = (prediction.image_id, prediction.annotation_id)
                samples = _sample_points(prediction, person)
                self._overlaps.append(_Overlap(overlap, prediction.score, key, place, samples))

    def _add_people(self, truth: ImageTruth) -> None:
        self._annotated += len(truth.people)
        for place, person in zip(truth.places, truth.people):
            person = person.with_uv_points()
            if not len(person.part):
                continue
            key = (person.image.id, person.id)
            if key in self._place_of:
                raise ValueError(
                    f"image {key[0]} ({person.image.file_name}) has two annotations with id {key[1]}"
                )
            self._people[place], self._place_of[key] = person, place


def point_errors(
    predictions: Iterable[DensePoseInstance],
    people: Sequence[PersonAnnotation],
    surface: Surface,
    missing: Literal["raise", "wrong"] = "raise",
) -> PointErrors:
    """Geodesic error of every annotated point of people, whose points with (u, v) are the truth.

    A person is known by image id and annotation id; predictions may be in any order, and those of people
    without points are not used. `missing` "wrong" counts all points of a person without a prediction as not
    found. Raises ValueError for people without one, people or predictions given twice, or no points at all.
    """
    metric = PointMetric(MetricSettings(surface, missing=missing))
    truths = EvaluationSet.of(people).by_image
    for truth in truths.values():
        metric.update(truth, Predicted())
    for prediction in predictions:
        if prediction.image_id in truths:
            metric.update(truths[prediction.image_id], Predicted((prediction,)))
    return metric.errors()


def summarize(
    errors: PointErrors, thresholds_cm: Sequence[float] = THRESHOLDS_CM
) -> dict[str, dict[str, float]]:
    """Ratios and areas of errors that were measured, percent: {"full": {"5cm": ..., "auc10": ...}, ...}.

    Raises ValueError for no errors, or thresholds that `checked_thresholds` refuses.
    """
    thresholds = checked_thresholds(thresholds_cm)
    return {
        form: {threshold_name(t): 100 * ratio_within(errors.of_form(form), t / 100) for t in thresholds}
        | {name: 100 * auc(errors.of_form(form), limit_m) for name, limit_m in AUC_LIMITS_M.items()}
        for form in FORMS
    }


def table_row(scores: Mapping[str, float]) -> dict[str, float]:
    """{"5cm": ..., "10cm": ...} of one form, to two digits, without areas: a row of a table of results."""
    return {name: round(value, 2) for name, value in scores.items() if name not in AUC_LIMITS_M}


def checked_thresholds(thresholds_cm: Sequence[float]) -> tuple[float, ...]:
    """Thresholds, centimetres; raises ValueError unless there are some, each positive and there once."""
    thresholds = tuple(float(t) for t in thresholds_cm)
    if not thresholds or not all(0 < t < np.inf for t in thresholds):
        raise ValueError(f"thresholds {list(thresholds)} cm, but positive numbers are wanted")
    names = [threshold_name(t) for t in thresholds]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the threshold {name} is there twice")
    return thresholds


def threshold_name(threshold_cm: float) -> str:
    """What a threshold is called in scores: "5cm", "7.5cm"."""
    return f"{threshold_cm:g}cm"


def ratio_within(errors_m: np.ndarray, threshold_m: float) -> float:
    """Ratio of correct points f(t): the share of errors (P,) strictly below t, in 0..1 (DensePose, 2.3)."""
    return float((_checked(errors_m) < threshold_m).mean())


def auc(errors_m: np.ndarray, limit_m: float) -> float:
    """AUC_a = (1/a) * integral of f(t) from 0 to a, in 0..1 (DensePose, 2.3), exactly.

    A point with error e is correct from t = e on, so it adds (a - e) / a, and nothing if e exceeds a.
    """
    if not limit_m > 0:
        raise ValueError(f"limit_m = {limit_m}, but a positive number of metres is wanted")
    return float(np.clip(1 - _checked(errors_m) / limit_m, 0, None).mean())


def _checked(errors_m: np.ndarray) -> np.ndarray:
    errors_m = np.asarray(errors_m, dtype=np.float64)
    if not errors_m.size:
        raise ValueError("no errors: a ratio over no points has no value")
    if np.isnan(errors_m).any() or errors_m.min() < 0:
        raise ValueError("errors are NaN or negative, but metres of at least 0 are wanted")
    return errors_m


def _threshold_cm(name: str) -> float | None:
    """The threshold that `threshold_name` calls so."""
    try:
        threshold_cm = float(name.removesuffix("cm"))
    except ValueError:
        return None
    return threshold_cm if 0 < threshold_cm < np.inf and threshold_name(threshold_cm) == name else None


class _PointSamples(NamedTuple):
    """A prediction at N points; `part` and `uv` count only where `found`."""

    part: np.ndarray  # (N,) from 1 on
    uv: np.ndarray  # (N, 2) float32
    found: np.ndarray  # (N,) bool: inside the crop
    foreground: np.ndarray  # (N,) bool


class _Overlap(NamedTuple):
    """Somebody who was found, over an annotated person."""

    overlap: float
    score: float
    key: tuple[int, int]  # image id and annotation id of who was found
    place: int  # of the annotated person in the file
    samples: _PointSamples


def _assigned(overlaps: Sequence[_Overlap]) -> dict[int, _PointSamples]:
    """Place -> the answer of who was found there: the largest overlap first, everybody once."""
    taken: set[tuple[int, int]] = set()
    found: dict[int, _PointSamples] = {}
    for each in sorted(overlaps, key=lambda each: (-each.overlap, -each.score, each.key, each.place)):
        if each.key not in taken and each.place not in found:
            taken.add(each.key)
            found[each.place] = each.samples
    return found


def _unseen(points: int) -> _PointSamples:
    nowhere = np.zeros(points, dtype=bool)
    return _PointSamples(np.ones(points, dtype=np.int64), np.zeros((points, 2), np.float32), nowhere, nowhere)


def _sample_points(prediction: DensePoseInstance, person: PersonAnnotation) -> _PointSamples:
    pixels, found = nearest_pixels(prediction, person.points)
    column, row = pixels.T
    part, uv = prediction.part[row, column], prediction.uv[:, row, column].T
    return _PointSamples(
        part.astype(np.int64), uv.astype(np.float32), found, prediction.foreground[row, column]
    )
