"""Average precision and recall of people by GPS, GPSm and IoU, by all rules of docs/evaluation.md.

The detections of an image are matched with its truths greedily; precision and recall are accumulated over all
images as COCO does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.evaluation.ground_truth import ImageTruth
from slimdp.evaluation.metric import MetricSettings, Predicted, Score, ScoreKind
from slimdp.evaluation.predictions import as_detection
from slimdp.evaluation.similarity import ImageComparison, ImageSimilarities, kappa_by_part, similarities
from slimdp.structures import DensePoseInstance

#: Similarities that a match needs, T of them.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: The S similarities that people are matched by.
SIMILARITIES = ("gps", "gpsm", "iou")
_TITLES = {"gps": "GPS", "gpsm": "GPSm", "iou": "IoU"}
#: The A ranges of area, px^2, both ends included, that truths are counted in.
AREAS = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
#: Overlap of boxes from which a detection that matches nobody takes over whether its truth counts.
SAME_BOX = 0.8
#: A perfect similarity is 1, but for rounding.
_NEARLY_ONE = 1 - 1e-10
#: Recalls that precision is read at, R of them.
RECALLS = np.linspace(0, 1, 101)
_RANGES = {
    "": (None, "all"),
    "50": (0.5, "all"),
    "75": (0.75, "all"),
    "m": (None, "medium"),
    "l": (None, "large"),
}
#: Score -> (whether of precision, threshold or None for all, range of area).
_SCORES = {kind + end: (kind == "AP", *_RANGES[end]) for kind in ("AP", "AR") for end in _RANGES}


class AveragePrecision:
    """How well people are found, and their surface with them: "gps.AP", "gpsm.AP50", "iou.ARm", percent."""

    def __init__(self, settings: MetricSettings) -> None:
        self._settings = settings
        self._images: dict[int, ImageComparison] = {}
        self._people = 0
        self._dense = 0
        #: People with dense pose whom regions to be ignored cover, and who do not count.
        self.covered = 0

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """One of SIMILARITIES, and a score: AP, AP50, AP75, APm, APl, or AR likewise."""
        similarity, _, score = name.partition(".")
        if similarity not in SIMILARITIES or score not in _SCORES:
            return None
        return ScoreKind(f"{score} {_TITLES[similarity]}", everyone=True)

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Compare detections, or predictions as their results would have them, with the truths of the image.

        Of equal scores the earlier detection counts as better.
        """
        image = self._images.get(truth.image.id)
        if image is None:
            image = self._images[truth.image.id] = ImageComparison(truth)
            self._people += len(truth.instances) + len(truth.covered)
            self._dense += sum(instance.points is not None for instance in truth.instances)
            self.covered += sum(instance.points is not None for instance in truth.covered)
        for person in predicted.people:
            image.add(as_detection(person) if isinstance(person, DensePoseInstance) else person)

    def compute(self) -> dict[str, Score]:
        """All of them; None where there is no truth of that size."""
        return {
            f"{similarity}.{name}": Score(value)
            for similarity, scores in self.by_similarity().items()
            for name, value in scores.items()
        }

    def by_similarity(self) -> dict[str, dict[str, float | None]]:
        """{"gps": {"AP": ..., "AP50": ..., ...}, "gpsm": ..., "iou": ...} in percent.

        None where there is no truth of that size, or regions to be ignored cover all that have dense pose.
        Raises ValueError if no truth has it, so that nothing can be found.
        """
        if not self._dense and not self.covered:
            nobody = f"none of {self._people} people has dense pose (dp_x)"
            raise ValueError(f"{self._settings.file}: {nobody}: nothing to score")
        return accumulate([match(image) for image in self.similarities()]).in_percent()

    def require_truths(self) -> None:
        """Raise ValueError where regions to be ignored cover all who have dense pose: no score is left."""
        if self.covered and not self._dense:
            all_of_them = f"all {self.covered}" if self.covered > 1 else "the only one"
            where = f"{all_of_them} of {self._people} people with dense pose (dp_x)"
            raise ValueError(f"{self._settings.file}: regions to be ignored cover {where}: nothing to score")

    def similarities(self) -> list[ImageSimilarities]:
        """What is matched, for every image in the order of the ids."""
        surface = self._settings.surface
        return similarities(self._images, surface, kappa_by_part(self._settings.kappa, surface.layout))


@dataclass(frozen=True)
class ImageMatches:
    """What became of the D detections of one image, best first, by similarity, range of area, threshold."""

    score: np.ndarray  # (D,)
    matched: np.ndarray  # (S, A, T, D) bool
    ignored: np.ndarray  # (S, A, T, D) bool: neither right nor wrong
    counted: np.ndarray  # (A,) truths that are to be found


def match(image: ImageSimilarities) -> ImageMatches:
    """Match detections, best first, each with the most similar truth that is free.

    A truth is ignored where it has no dense pose or its area is out of range. A detection takes an ignored
    truth only if no other is similar enough, and is ignored with it. A crowd is never used up. Of equally
    similar truths the last counts.
    """
    detections, truths = image.gps.shape
    truth_ignored = image.ignored | _outside(image.truth_area)  # (A, G)
    shape = (len(SIMILARITIES), len(AREAS), len(THRESHOLDS), detections)
    matched = np.zeros(shape, dtype=bool)
    # Where every truth is ignored, or there is none, so is whatever is detected.
    ignored = np.broadcast_to(truth_ignored.all(axis=1)[:, None, None], shape).copy()
    if detections and truths:
        _match_greedily(image, truth_ignored, matched, ignored)
    ignored |= ~matched & _outside(image.detection_area)[:, None]
    return ImageMatches(image.score, matched, ignored, (~truth_ignored).sum(axis=1))


def _match_greedily(
    image: ImageSimilarities, truth_ignored: np.ndarray, matched: np.ndarray, ignored: np.ndarray
) -> None:
    """Both passes over the detections of an image, all similarities, areas and thresholds at once."""
    order = np.argsort(truth_ignored, axis=1, kind="stable")  # (A, G): those that count come first
    truth_ignored = np.take_along_axis(truth_ignored, order, axis=1)
    crowd = image.crowd[order]  # (A, G)
    similarity = np.stack([image.gps, image.gpsm, image.iou])[:, :, order]  # (S, D, A, G)
    area, place = np.arange(len(order)), np.arange(order.shape[1])
    needed = np.minimum(THRESHOLDS, _NEARLY_ONE)[:, None]
    taken = np.zeros((*matched.shape[:3], len(place)), dtype=bool)  # (S, A, T, G)
    for d in range(matched.shape[-1]):
        value = similarity[:, d, :, None]  # (S, A, 1, G)
        similar = (value >= needed) & (value > 0) & (~taken | crowd[:, None])
        counting = similar & ~truth_ignored[:, None]
        candidates = np.where(counting.any(axis=-1, keepdims=True), counting, similar)
        best = _last_best(value, candidates)  # (S, A, T)
        hit = candidates.any(axis=-1)
        matched[..., d] = hit
        ignored[..., d] = np.where(hit, truth_ignored[area[:, None], best], ignored[..., d])
        taken |= hit[..., None] & (best[..., None] == place)
    last_taken = taken[:, :, -1]  # a view: the second pass looks at the last threshold only
    for d in range(matched.shape[-1]):
        overlap = image.box_iou[d][order]  # (A, G)
        same = (overlap >= SAME_BOX) & (~last_taken | crowd)  # (S, A, G)
        best = _last_best(overlap, same)  # (S, A)
        hit = ~matched[:, :, -1, d] & same.any(axis=-1)
        flag = truth_ignored[area, best]
        ignored[..., d] = np.where(hit[..., None], flag[..., None], ignored[..., d])
        matched[:, :, -1, d] |= hit & flag
        last_taken |= (hit & flag)[..., None] & (best[..., None] == place)


def _last_best(value: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Index of the largest value among the candidates along the last axis, the last one of equals."""
    masked = np.where(candidates, value, -1.0)
    return masked.shape[-1] - 1 - masked[..., ::-1].argmax(axis=-1)


def _outside(area: np.ndarray) -> np.ndarray:
    """(A, N) whether areas (N,) px^2 are out of each range."""
    low, high = np.array(list(AREAS.values())).T
    return (area < low[:, None]) | (area > high[:, None])


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall by similarity, range of area and threshold; NaN where no truth counts."""

    precision: np.ndarray  # (S, A, T, R) in 0..1: the best at this recall or beyond
    recall: np.ndarray  # (S, A, T) in 0..1: what all detections together reach

    def in_percent(self) -> dict[str, dict[str, float | None]]:
        """{"gps": {"AP": ..., "AP50": ..., "ARl": ...}, "gpsm": ..., "iou": ...}.

        None where no truth is in the range of area: there is nothing to find.
        """
        return {
            name: {
                score: _mean(self.precision[index] if precise else self.recall[index], threshold, area)
                for score, (precise, threshold, area) in _SCORES.items()
            }
            for index, name in enumerate(SIMILARITIES)
        }


def accumulate(images: Sequence[ImageMatches]) -> PrecisionRecall:
    """Rank the detections of all images by score; of equal ones, those of the earlier image come first."""
    shape = (len(SIMILARITIES), len(AREAS), len(THRESHOLDS))
    counted = np.zeros(len(AREAS)) + sum(image.counted for image in images)
    nothing = np.zeros((*shape, 0), dtype=bool)
    order = np.argsort(-np.concatenate([np.zeros(0), *(image.score for image in images)]), kind="stable")
    matched = np.concatenate([nothing, *(image.matched for image in images)], axis=-1)[..., order]
    ignored = np.concatenate([nothing, *(image.ignored for image in images)], axis=-1)[..., order]
    precision, recall = np.full((*shape, len(RECALLS)), np.nan), np.full(shape, np.nan)
    for where in np.ndindex(shape):
        truths = counted[where[1]]
        if truths:
            right = np.cumsum(matched[where] & ~ignored[where])
            wrong = np.cumsum(~matched[where] & ~ignored[where])
            precision[where], recall[where] = _curve(right, wrong, truths)
    return PrecisionRecall(precision, recall)


def _curve(right: np.ndarray, wrong: np.ndarray, truths: float) -> tuple[np.ndarray, float]:
    """Precision (R,) at RECALLS, and the recall of all N detections, from running counts (N,)."""
    precision = np.zeros(len(RECALLS))
    if not len(right):
        return precision, 0.0
    recall = right / truths
    at_best = np.maximum.accumulate((right / np.maximum(right + wrong, 1))[::-1])[::-1]
    first = np.searchsorted(recall, RECALLS, side="left")
    reached = first < len(recall)
    precision[reached] = at_best[first[reached]]
    return precision, float(recall[-1])


def _mean(values: np.ndarray, threshold: float | None, area: str) -> float | None:
    """Mean in percent of values (A, T, ...) over what is not fixed."""
    chosen = values[list(AREAS).index(area)]
    if threshold is not None:
        chosen = chosen[int(np.argmin(np.abs(THRESHOLDS - threshold)))]
    return None if np.isnan(chosen).any() else float(100 * chosen.mean())
