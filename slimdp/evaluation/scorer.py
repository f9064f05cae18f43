"""From predictions to scores: one way for files, a network under training, and the rows of a study.

scores.json is written here.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import listed
from slimdp.evaluation.agreement import ForegroundOverlap, PartAgreement
from slimdp.evaluation.average_precision import SIMILARITIES, AveragePrecision
from slimdp.evaluation.densepose_results import Detection, ResultFileError, ResultReader, count_entries
from slimdp.evaluation.ground_truth import EvaluationSet, read_truths
from slimdp.evaluation.keypoints import KeypointErrors, KeypointMetric
from slimdp.evaluation.metric import Metric, MetricSettings, Predicted, Score, ScoreKind, SecondsAnImage
from slimdp.evaluation.point_report import PeopleGroups, PointReport, report_points
from slimdp.evaluation.points import FORMS, THRESHOLDS_CM, PointErrors, PointMetric, checked_thresholds
from slimdp.evaluation.predictions import PredictionFile
from slimdp.evaluation.similarity import kappa_by_part
from slimdp.registry import lookup
from slimdp.settings_file import ConfigError
from slimdp.structures import DensePoseInstance
from slimdp.surface.layout import Surface

_Kind = TypeVar("_Kind")
#: The first word of a score's name -> the metric that gives it.
METRICS: dict[str, type[Metric]] = {
    "points": PointMetric,
    "keypoints": KeypointMetric,
    "parts": PartAgreement,
    "overlap": ForegroundOverlap,
    "gps": AveragePrecision,
    "gpsm": AveragePrecision,
    "iou": AveragePrecision,
    "seconds_an_image": SecondsAnImage,
}
#: What the tables of Slim DensePose hold, in both forms, and the areas under the curve.
POINT_SCORES = tuple(
    f"points.{form}.{score}" for form in FORMS for score in ("5cm", "10cm", "20cm", "auc10", "auc30")
)


def describe_score(name: str) -> ScoreKind:
    """The kind of a score; raises ConfigError, with the choices, where no metric gives it."""
    kind = _metric_of(name).describe(name)
    if kind is None:
        known = (*POINT_SCORES, *(f"{similarity}.AP" for similarity in SIMILARITIES))
        raise ConfigError(f"no score {name!r}; such as: {listed(known, name)}")
    return kind


def _metric_of(name: str) -> type[Metric]:
    metric: type[Metric] = lookup("slimdp.metrics", name.partition(".")[0], "score")
    return metric


class Scorer:
    """Gives the truths and the predictions of a set to metrics, image by image.

    Scores are names, of any metrics; part, u and v of truths and predictions speak of the surface. `kappa` is
    that of GPS: "per-part", as published AP has it, or "paper" (`kappa_by_part`). People with points and no
    prediction "raise", or count their points as "wrong". Raises ConfigError for a score that no metric gives.
    """

    def __init__(
        self,
        scores: Sequence[str],
        truths: EvaluationSet,
        surface: Surface,
        kappa: str = "per-part",
        missing: Literal["raise", "wrong"] = "raise",
    ) -> None:
        self._scores, self._truths = tuple(scores), truths
        kinds = [describe_score(name) for name in scores]
        self._everyone = any(kind.everyone for kind in kinds)
        wanted: dict[type[Metric], list[str]] = {}
        for name in scores:
            wanted.setdefault(_metric_of(name), []).append(name)
        self.metrics = tuple(
            metric(MetricSettings(surface, tuple(names), kappa, missing, truths.file))
            for metric, names in wanted.items()
        )
        for metric in self.metrics:
            for truth in truths.by_image.values():
                metric.update(truth, Predicted())

    @property
    def people(self) -> tuple[Any, ...]:
        """Who must be predicted: everyone, or those with points where the scores ask for no others."""
        return self._truths.people if self._everyone else self._truths.with_points()

    def take(
        self,
        predictions: Iterable[DensePoseInstance | Detection],
        timed: bool = False,
        images: Iterable[int] = (),
    ) -> None:
        """Give predictions on as they come, in any order.

        Args:
            predictions: of people, or of whom somebody found.
            timed: they are made meanwhile, so tell how fast.
            images: ids of those that are looked at, of which the time counts though nobody is found there.

        Raises ValueError for a prediction of an image that is not in the set, or one that cannot be scored.
        """
        looked_at = [self._truths.by_image[image] for image in images]
        begin = time.perf_counter()
        for predicted in predictions:
            seconds = time.perf_counter() - begin if timed else None
            truth = self._truths.by_image.get(predicted.image_id)
            if truth is None:
                image = f"image {predicted.image_id}"
                if isinstance(predicted, DensePoseInstance):
                    image = f"annotation {predicted.annotation_id} of {image}"
                raise ResultFileError(f"{image}: {self._truths.file} has no such image")
            for metric in self.metrics:
                metric.update(truth, Predicted((predicted,), seconds))
            if not looked_at:
                looked_at = [truth]
            begin = time.perf_counter()
        if timed and looked_at:  # from the last prediction to the end nobody more was found
            rest = time.perf_counter() - begin
            for metric in self.metrics:
                for number, truth in enumerate(looked_at):
                    metric.update(truth, Predicted(seconds=0.0 if number else rest))

    def compute(self) -> dict[str, Score]:
        """The scores that were asked for, by name; raises ValueError where there is no truth."""
        found = {name: score for metric in self.metrics for name, score in metric.compute().items()}
        if missing := [name for name in self._scores if name not in found]:
            raise ValueError(f"{missing[0]!r} is described by its metric, which does not compute it")
        return {name: found[name] for name in self._scores}

    def metric(self, kind: type[_Kind]) -> _Kind:
        """The metric of a class, which gives one of the scores."""
        return next(metric for metric in self.metrics if isinstance(metric, kind))


@dataclass(frozen=True)
class Evaluation:
    """What a file of predictions scores."""

    points: PointReport | None  # None: a file of DensePose results does not say whom a detection means
    errors: PointErrors | None  # what `points` was counted from
    groups: PeopleGroups | None  # of the people of these errors
    instances: dict[str, dict[str, float | None]]  # "gps", "gpsm", "iou" -> "AP", ... in percent
    kappa: str
    surface: str
    others: Mapping[str, float | None] = field(default_factory=dict)  # scores that were asked for by name
    covered: int = 0  # people with dense pose in regions to be ignored, who do not count in `instances`

    def as_json(self) -> dict[str, Any]:
        """As scores.json holds it."""
        points = {} if self.points is None else {"points": self.points.as_json()}
        others = {"scores": dict(self.others)} if self.others else {}
        return {**points, **self.instances, **others, "kappa": self.kappa, "surface": self.surface}


def evaluate_files(
    predictions: str | Path,
    annotations: str | Path,
    surface: Surface,
    kappa: str = "per-part",
    missing: Literal["raise", "wrong"] = "raise",
    thresholds_cm: Sequence[float] = THRESHOLDS_CM,
    seed: int = 0,
    scores: Sequence[str] = (),
    images_dir: str | Path = "",
) -> Evaluation:
    """Score a file of predictions; no picture is looked at, but for its size where the annotations lack it.

    The file is a .json of DensePose results, of any system, or else a predictions.h5; annotations are
    DensePose-COCO or PoseTrack JSON. Surface, kappa and missing are as for `Scorer`; results are never asked
    for everybody. The seed is that of the bootstrap of intervals, `scores` are more of them by name. Of
    `images_dir`, the folder of the pictures, only those sizes are read.

    Raises:
        ValueError: another kappa; a score that no metric gives; impossible thresholds; a file that is
            damaged, or people or points that are missing or there twice, or, of results, all in regions to
            be ignored (AnnotationError, ResultFileError,
            JsonListError, PredictionFileError say where).
        FileNotFoundError: no predictions there.
    """
    kappa_by_part(kappa, surface.layout)  # raises where there is none
    checked_thresholds(thresholds_cm)
    names = [*(f"{similarity}.AP" for similarity in SIMILARITIES), *scores]
    report, errors, groups = None, None, None
    if Path(predictions).suffix == ".json":
        # Maps are decoded while the truths are read.
        with ResultReader(predictions, surface.layout) as results:
            truths = read_truths(annotations, images_dir, people=bool(scores), layout=surface.layout)
            scorer = Scorer(names, truths, surface, kappa)
            detections = results.detections(truths.images, truths.category_ids or None)
            count = count_entries(predictions)
            scorer.take(tracked(detections, "compare with the truths", "detections", count))
        scorer.metric(AveragePrecision).require_truths()
    else:
        truths = read_truths(annotations, images_dir, layout=surface.layout)
        with PredictionFile(predictions) as file:
            names = ["points.localization.10cm", *names]
            scorer = Scorer(names, truths, surface, kappa, _missing_of(file, missing))
            surface.layout.check_same_labels(file.layout, f"surface {surface.name}", str(file.path))
            scorer.take(tracked(file, "compare with the truths", "people", len(file)))
        errors = scorer.metric(PointMetric).errors()
        groups = PeopleGroups.of(truths.areas, [person.image.video for person in truths.people])
        report = report_points(errors, groups, thresholds_cm, seed, surface.layout.part_names)
    found = scorer.compute() if scores else {}
    others = {name: found[name].value for name in scores}
    precision = scorer.metric(AveragePrecision)
    instances = precision.by_similarity()
    return Evaluation(report, errors, groups, instances, kappa, surface.name, others, precision.covered)


def evaluate_keypoints(
    predictions: str | Path,
    annotations: str | Path,
    surface: Surface,
    missing: Literal["raise", "wrong"] = "raise",
    images_dir: str | Path = "",
) -> KeypointErrors:
    """Score a predictions.h5 at the keypoints of an annotation file; no picture is looked at.

    The annotations are COCO, DensePose-COCO or PoseTrack JSON with keypoints; `missing` "wrong" counts the
    keypoints of people without a prediction as not found; `images_dir` is as for `evaluate_files`. Raises
    ValueError for files that are damaged, of another kind or of other images, nobody with keypoints, and
    people not predicted.
    """
    if Path(predictions).suffix == ".json":
        unknown = f"{predictions} holds DensePose results, which do not say which annotated person they mean"
        raise ConfigError(f"{unknown}; --keypoints needs a predictions.h5")
    truths = read_truths(annotations, images_dir, layout=surface.layout)
    with PredictionFile(predictions) as file:
        scorer = Scorer(["keypoints.20cm"], truths, surface, missing=_missing_of(file, missing))
        surface.layout.check_same_labels(file.layout, f"surface {surface.name}", str(file.path))
        scorer.take(tracked(file, "compare with the keypoints", "people", len(file)))
    return scorer.metric(KeypointMetric).errors()


def evaluate_scores(
    predictions: str | Path,
    annotations: str | Path,
    surface: Surface,
    scores: Sequence[str],
    missing: Literal["raise", "wrong"] = "raise",
    images_dir: str | Path = "",
) -> dict[str, float | None]:
    """Scores of a predictions.h5 by name, and no others: the people need no points.

    `images_dir` is as for `evaluate_files`. Raises ValueError as that, and where nobody has what a score
    compares.
    """
    truths = read_truths(annotations, images_dir, layout=surface.layout)
    with PredictionFile(predictions) as file:
        scorer = Scorer(scores, truths, surface, missing=_missing_of(file, missing))
        surface.layout.check_same_labels(file.layout, f"surface {surface.name}", str(file.path))
        scorer.take(tracked(file, "compare with the truths", "people", len(file)))
    return {name: score.value for name, score in scorer.compute().items()}


def _missing_of(file: PredictionFile, missing: Literal["raise", "wrong"]) -> Literal["raise", "wrong"]:
    """How people without a prediction count. A file of nobody is of a network that looks for people and has
    found none, for nobody in boxes is no file: they are not found."""
    return missing if len(file) else "wrong"


def write_scores(path: str | Path, scores: Mapping[str, Any]) -> None:
    """Write scores as JSON, whole or not at all; raises ValueError for a number that is not finite."""
    if not_finite := list(_not_finite(scores)):
        raise ValueError(f"{path} is not written, for scores are not finite: {', '.join(not_finite)}")
    write_text(path, json.dumps(scores, indent=2, allow_nan=False) + "\n")


def _not_finite(value: Any, name: str = "") -> Iterator[str]:
    """The names of the numbers in scores that JSON cannot hold: "errors.left hand.mean_cm"."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _not_finite(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _not_finite(each, f"{name}.{index}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield name
