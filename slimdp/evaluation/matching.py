"""Which detections of an image are right: greedy matching, by all rules of docs/evaluation.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.evaluation.pairs import ImagePairs

#: Similarities that a match needs, T of them.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: The S similarities that people are matched by.
SIMILARITIES = ("gps", "gpsm", "iou")
#: The A ranges of area, px^2, both ends included, that truths are counted in.
AREAS = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
#: Overlap of boxes from which a detection that matches nobody takes over whether its truth counts.
SAME_BOX = 0.8
#: A perfect similarity is 1, but for rounding.
_NEARLY_ONE = 1 - 1e-10


@dataclass(frozen=True)
class ImageMatches:
    """What became of the D detections of one image, best first, by similarity, range of area, threshold."""

    score: np.ndarray  # (D,)
    matched: np.ndarray  # (S, A, T, D) bool
    ignored: np.ndarray  # (S, A, T, D) bool: neither right nor wrong
    counted: np.ndarray  # (A,) truths that are to be found


def match(pairs: ImagePairs) -> ImageMatches:
    """Match detections, best first, each with the most similar truth that is free.

    A truth is ignored where it has no dense pose or its area is out of range. A detection takes an ignored
    truth only if no other is similar enough, and is ignored with it. A crowd is never used up. Of equally
    similar truths the last counts.
    """
    detections, truths = pairs.gps.shape
    truth_ignored = pairs.ignored | _outside(pairs.truth_area)  # (A, G)
    shape = (len(SIMILARITIES), len(AREAS), len(THRESHOLDS), detections)
    matched = np.zeros(shape, dtype=bool)
    # Where every truth is ignored, or there is none, so is whatever is detected.
    ignored = np.broadcast_to(truth_ignored.all(axis=1)[:, None, None], shape).copy()
    if detections and truths:
        _match_greedily(pairs, truth_ignored, matched, ignored)
    ignored |= ~matched & _outside(pairs.detection_area)[:, None]
    return ImageMatches(pairs.score, matched, ignored, (~truth_ignored).sum(axis=1))


def _match_greedily(
    pairs: ImagePairs, truth_ignored: np.ndarray, matched: np.ndarray, ignored: np.ndarray
) -> None:
    """Both passes over the detections of an image, all similarities, areas and thresholds at once."""
    order = np.argsort(truth_ignored, axis=1, kind="stable")  # (A, G): those that count come first
    truth_ignored = np.take_along_axis(truth_ignored, order, axis=1)
    crowd = pairs.crowd[order]  # (A, G)
    similarity = np.stack([pairs.gps, pairs.gpsm, pairs.iou])[:, :, order]  # (S, D, A, G)
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
        overlap = pairs.box_iou[d][order]  # (A, G)
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
