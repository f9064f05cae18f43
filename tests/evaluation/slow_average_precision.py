"""Average precision of people from the rules alone: one detection, truth and threshold at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
AREAS = {"all": (0.0, 1e10), "medium": (1024.0, 9216.0), "large": (9216.0, 1e10)}


@dataclass
class SlowTruth:
    area: float
    ignored: bool  # without dense pose
    crowd: bool


@dataclass
class SlowDetection:
    score: float
    area: float
    gps: list[float]  # with each truth of the image
    iou: list[float]
    box_iou: list[float]


@dataclass
class SlowImage:
    truths: list[SlowTruth]
    detections: list[SlowDetection]


def slow_scores(images: list[SlowImage]) -> dict[str, dict[str, float | None]]:
    return {name: _of_similarity(images, name) for name in ("gps", "gpsm", "iou")}


def _of_similarity(images: list[SlowImage], name: str) -> dict[str, float | None]:
    ap: dict[str, list[float] | None] = {}
    ar: dict[str, list[float] | None] = {}
    for area in AREAS:
        ap[area], ar[area] = _of_area(images, name, area)

    def mean(values: list[float] | None) -> float | None:
        return None if values is None else 100 * sum(values) / len(values)

    def at(values: list[float] | None, index: int) -> float | None:
        return None if values is None else 100 * values[index]

    return {
        "AP": mean(ap["all"]), "AP50": at(ap["all"], 0), "AP75": at(ap["all"], 5),
        "APm": mean(ap["medium"]), "APl": mean(ap["large"]),
        "AR": mean(ar["all"]), "AR50": at(ar["all"], 0), "AR75": at(ar["all"], 5),
        "ARm": mean(ar["medium"]), "ARl": mean(ar["large"]),
    }  # fmt: skip


def _of_area(images: list[SlowImage], name: str, area: str) -> tuple[list[float] | None, list[float] | None]:
    """Average precision, and recall, at each threshold; None where nothing is to be found."""
    to_find = 0
    ranked: list[tuple[float, list[bool], list[bool]]] = []
    for image in images:
        found, rows = _match(image, name, area)
        to_find += found
        ranked += rows
    if to_find == 0:
        return None, None
    ranked.sort(key=lambda row: -row[0])  # stable: of equal scores the earlier stays first
    precisions, recalls = [], []
    for t in range(len(THRESHOLDS)):
        right = wrong = 0
        curve: list[tuple[float, float]] = []  # recall, precision
        for _, matched, ignored in ranked:
            if not ignored[t]:
                right, wrong = right + matched[t], wrong + (not matched[t])
            curve.append((right / to_find, right / (right + wrong) if right + wrong else 0.0))
        recalls.append(curve[-1][0] if curve else 0.0)
        total = 0.0
        for k in range(101):
            # COCO steps by 0.01 in floating point: recall 7 / 20 is short of its 35th step.
            beyond = [precision for recall, precision in curve if recall >= k * 0.01]
            total += max(beyond, default=0.0)
        precisions.append(total / 101)
    return precisions, recalls


def _match(image: SlowImage, name: str, area: str) -> tuple[int, list[tuple[float, list[bool], list[bool]]]]:
    """How many truths count; and of the 20 best detections score, matched and ignored by threshold."""
    low, high = AREAS[area]
    ignored_truth = [t.ignored or not low <= t.area <= high for t in image.truths]
    order = [g for g, flag in enumerate(ignored_truth) if not flag]
    order += [g for g, flag in enumerate(ignored_truth) if flag]
    best = sorted(image.detections, key=lambda d: -d.score)[:20]
    all_ignored = all(ignored_truth)
    matched = [[False] * len(THRESHOLDS) for _ in best]
    ignored = [[all_ignored] * len(THRESHOLDS) for _ in best]
    used: set[int] = set()
    for t, threshold in enumerate(THRESHOLDS):
        used = set()
        for d, detection in enumerate(best):
            needed, choice = min(threshold, 1 - 1e-10), None
            for g in order:
                if g in used and not image.truths[g].crowd:
                    continue
                if choice is not None and not ignored_truth[choice] and ignored_truth[g]:
                    break
                value = _similarity(detection, g, name)
                if value == 0 or value < needed:
                    continue
                needed, choice = value, g
            if choice is not None:
                used.add(choice)
                matched[d][t], ignored[d][t] = True, ignored_truth[choice]
    for d, detection in enumerate(best):  # `used` is that of the last threshold
        if matched[d][-1]:
            continue
        needed, choice = 0.8, None
        for g in order:
            if (g in used and not image.truths[g].crowd) or detection.box_iou[g] < needed:
                continue
            needed, choice = detection.box_iou[g], g
        if choice is not None:
            ignored[d] = [ignored_truth[choice]] * len(THRESHOLDS)
            if ignored_truth[choice]:
                matched[d][-1] = True
                used.add(choice)
    for d, detection in enumerate(best):
        if not low <= detection.area <= high:
            ignored[d] = [flag or not hit for flag, hit in zip(ignored[d], matched[d])]
    rows = [(best[d].score, matched[d], ignored[d]) for d in range(len(best))]
    return ignored_truth.count(False), rows


def _similarity(detection: SlowDetection, g: int, name: str) -> float:
    if name == "gps":
        return detection.gps[g]
    if name == "iou":
        return detection.iou[g]
    return math.sqrt(detection.gps[g] * detection.iou[g])
