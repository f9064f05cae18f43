"""From a file of predictions and one of annotations to all scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flow_cache.runtime.progress import tracked
from slimdp.evaluation.average_precision import accumulate
from slimdp.evaluation.densepose_results import ResultFileError, ResultReader, count_entries
from slimdp.evaluation.detected import as_detections
from slimdp.evaluation.ground_truth import GroundTruthFile, read_truths, read_truths_and_people
from slimdp.evaluation.groups import PeopleGroups
from slimdp.evaluation.instances import Detection
from slimdp.evaluation.localization import PointReader
from slimdp.evaluation.matching import match
from slimdp.evaluation.pairs import compare
from slimdp.evaluation.point_report import PointReport, report_points
from slimdp.evaluation.predictions import PredictionFile
from slimdp.evaluation.ratios import THRESHOLDS_CM, PointErrors, checked_thresholds
from slimdp.evaluation.similarity import kappa_by_part
from slimdp.surface.interface import Surface


@dataclass(frozen=True)
class Evaluation:
    """What a file of predictions scores."""

    points: PointReport | None  # None: a file of DensePose results does not say whom a detection means
    errors: PointErrors | None  # what `points` was counted from
    groups: PeopleGroups | None  # of the people of these errors
    instances: dict[str, dict[str, float | None]]  # "gps", "gpsm", "iou" -> "AP", ... in percent
    kappa: str
    surface: str

    def in_percent(self) -> dict[str, Any]:
        """As scores.json holds it."""
        points = {} if self.points is None else {"points": self.points.in_percent()}
        return {**points, **self.instances, "kappa": self.kappa, "surface": self.surface}


def evaluate_files(
    predictions: str | Path,
    annotations: str | Path,
    surface: Surface,
    kappa: str = "per-part",
    missing: Literal["raise", "wrong"] = "raise",
    thresholds_cm: Sequence[float] = THRESHOLDS_CM,
    seed: int = 0,
) -> Evaluation:
    """Score a file of predictions; no picture is looked at.

    Args:
        predictions: a .json of DensePose results, of any system, or else a predictions.h5.
        annotations: DensePose-COCO or PoseTrack JSON.
        surface: what part, u and v speak of, in both files.
        kappa: "per-part", as published AP has it, or "paper" (`kappa_by_part`).
        missing: as for `point_errors`; results are never asked for everybody.
        thresholds_cm: of the ratios of points.
        seed: of the bootstrap of their intervals.

    Raises:
        ValueError: another kappa; impossible thresholds; a file that is damaged, or people or points that are
            missing or there twice (AnnotationError, ResultFileError, JsonListError, PredictionFileError say
            where).
        FileNotFoundError: no predictions there.
    """
    kappa_by_part(kappa, surface.layout)  # raises where there is none
    checked_thresholds(thresholds_cm)
    if Path(predictions).suffix == ".json":
        # Maps are decoded while the truths are read.
        with ResultReader(predictions, surface.layout) as results:
            truths = read_truths(annotations, surface.layout)
            detections = results.detections(truths.images, truths.category_ids or None)
            said = tracked(detections, "compare with the truths", "detections", count_entries(predictions))
            instances = score_instances(said, truths, surface, kappa)
        return Evaluation(None, None, None, instances, kappa, surface.name)
    truths, people = read_truths_and_people(annotations, surface.layout)
    reader = PointReader(people)
    with PredictionFile(predictions) as file:
        surface.layout.check_same_labels(file.layout, f"surface {surface.name}", str(file.path))
        foreign = [key for key in file.keys() if key[0] not in truths.images]  # noqa: SIM118
        if foreign:
            raise ResultFileError(
                f"{file.path}: annotation {foreign[0][1]} of image {foreign[0][0]}: {truths.path} has no "
                "such image"
            )
        predicted = tracked(file, "compare with the truths", "people", len(file))
        instances = score_instances(as_detections(reader.watch(predicted)), truths, surface, kappa)
    errors = reader.errors(surface, missing)
    groups = PeopleGroups.of(
        [truths.areas[person.image.id, person.id] for person in people],
        [person.image.video for person in people],
    )
    report = report_points(errors, groups, thresholds_cm, seed=seed, part_names=surface.layout.part_names)
    return Evaluation(report, errors, groups, instances, kappa, surface.name)


def score_instances(
    detections: Iterable[Detection], truths: GroundTruthFile, surface: Surface, kappa: str = "per-part"
) -> dict[str, dict[str, float | None]]:
    """Average precision and recall by GPS, GPSm and the overlap of masks (docs/evaluation.md).

    Returns:
        {"gps": {"AP": ..., "AP50": ..., ...}, "gpsm": ..., "iou": ...} in percent, None where there is no
        truth of that size.

    Raises:
        ValueError: no truth has dense pose, so that nothing can be found.
    """
    if all(truth.points is None for truth in truths.truths):
        raise ValueError(
            f"{truths.path}: none of {len(truths.truths)} people has dense pose (dp_x): nothing to score"
        )
    images = compare(detections, truths, surface, kappa_by_part(kappa, surface.layout))
    return accumulate([match(pairs) for pairs in tracked(images, "match", "images")]).in_percent()
