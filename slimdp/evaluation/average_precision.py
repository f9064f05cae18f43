"""Average precision and recall over a set of images, as COCO accumulates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.evaluation.matching import AREAS, SIMILARITIES, THRESHOLDS, ImageMatches

#: Recalls that precision is read at, R of them.
RECALLS = np.linspace(0, 1, 101)
#: Score -> (whether of precision, threshold or None for all, range of area).
_SCORES = {
    "AP": (True, None, "all"),
    "AP50": (True, 0.5, "all"),
    "AP75": (True, 0.75, "all"),
    "APm": (True, None, "medium"),
    "APl": (True, None, "large"),
    "AR": (False, None, "all"),
    "AR50": (False, 0.5, "all"),
    "AR75": (False, 0.75, "all"),
    "ARm": (False, None, "medium"),
    "ARl": (False, None, "large"),
}


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
