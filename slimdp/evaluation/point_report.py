"""Scores of points with their intervals: of all, and of parts, sizes and videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slimdp.evaluation.bootstrap import RESAMPLES, cluster_credit, ratio_intervals
from slimdp.evaluation.groups import PeopleGroups
from slimdp.evaluation.ratios import (
    AUC_LIMITS_M,
    THRESHOLDS_CM,
    PointErrors,
    PointScores,
    checked_thresholds,
    summarize,
    threshold_name,
)
from slimdp.surface.people import PEOPLE

FORMS = ("full", "localization")
#: Where a curve is told by default: to 30 cm, every 0.25.
CURVE_CM = tuple(0.25 * step for step in range(1, 121))
Interval = tuple[float, float]


@dataclass(frozen=True)
class GroupScores:
    """Scores of some points, and the interval of each in percent; None where one cluster alone has points."""

    scores: PointScores
    intervals: Mapping[str, Mapping[str, Interval]] | None  # form -> "5cm" -> lower, upper

    def in_percent(self) -> dict[str, Any]:
        """{"full": {...}, "localization": {...}, "intervals": {...}, "count": points}."""
        forms = self.scores.in_percent()["points"]
        return {**forms, "intervals": self.intervals, "count": self.scores.points}


@dataclass(frozen=True)
class PointReport:
    """Scores of all points and of groups of them, groups without points left out."""

    all: GroupScores
    parts: Mapping[str, GroupScores]  # by the name of the true part
    sizes: Mapping[str, GroupScores]  # small, medium, large
    videos: Mapping[str, GroupScores]
    drawn: str  # what the bootstrap drew

    def in_percent(self) -> dict[str, Any]:
        """As scores.json holds it under "points"."""
        groups = {"parts": self.parts, "sizes": self.sizes, "videos": self.videos}
        listed = {
            kind: {name: scores.in_percent() for name, scores in members.items()}
            for kind, members in groups.items()
        }
        return {**self.all.in_percent(), "resampled": self.drawn, **listed}


@dataclass(frozen=True)
class PointCurve:
    """f(t) of one form, in percent."""

    thresholds_cm: np.ndarray  # (T,)
    ratio: np.ndarray  # (T,)
    interval: np.ndarray  # (2, T) lower and upper end, NaN where there is none


def report_points(
    errors: PointErrors,
    groups: PeopleGroups,
    thresholds_cm: Sequence[float] = THRESHOLDS_CM,
    resamples: int = RESAMPLES,
    seed: int = 0,
    part_names: Sequence[str] = PEOPLE.part_names,
) -> PointReport:
    """Score points, all and in groups, with bootstrap intervals (`ratio_intervals`, 95 %).

    Args:
        errors: of P points.
        groups: of the people that they belong to; clusters of the bootstrap are videos, or people of stills.
        thresholds_cm: of the ratios.
        resamples: of the bootstrap.
        seed: of the bootstrap; the same seed draws the same clusters.
        part_names: of the labels, background first.

    Raises:
        ValueError: no points, or thresholds that `checked_thresholds` refuses.
    """
    thresholds = checked_thresholds(thresholds_cm)
    size, video = np.array(groups.sizes)[errors.person], np.array(groups.videos, dtype=object)[errors.person]
    chosen: dict[tuple[str, str], np.ndarray] = {("all", ""): np.ones(len(errors.part), dtype=bool)}
    chosen |= {("parts", part_names[part]): errors.part == part for part in np.unique(errors.part)}
    chosen |= {("sizes", name): size == name for name in ("small", "medium", "large") if name in size}
    names = dict.fromkeys(name for name in video.tolist() if name is not None)
    chosen |= {("videos", name): video == name for name in names}
    members = {key: errors.where(mask) for key, mask in chosen.items()}
    intervals = _intervals(list(members.values()), groups, thresholds, resamples, seed)
    scored: dict[str, dict[str, GroupScores]] = {"all": {}, "parts": {}, "sizes": {}, "videos": {}}
    for ((kind, name), points), interval in zip(members.items(), intervals):
        scored[kind][name] = GroupScores(summarize(points, thresholds), interval)
    return PointReport(
        scored["all"][""], scored["parts"], scored["sizes"], scored["videos"], drawn=groups.drawn
    )


def point_curves(
    errors: PointErrors,
    groups: PeopleGroups,
    thresholds_cm: Sequence[float] = CURVE_CM,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, PointCurve]:
    """The curve f(t) of both forms with intervals (DensePose, 2.3).

    Arguments and errors as for `report_points`.
    """
    thresholds = checked_thresholds(thresholds_cm)
    found = {}
    for form in FORMS:
        errors_m = _of_form(errors, form)
        credit, points = _sums(errors_m, groups.clusters()[errors.person], thresholds, {})
        found[form] = PointCurve(
            np.array(thresholds),
            100 * credit.sum(axis=0) / points.sum(axis=0),
            100 * ratio_intervals(credit, points, np.random.default_rng(seed), resamples),
        )
    return found


def _of_form(errors: PointErrors, form: str) -> np.ndarray:
    return errors.full_m if form == "full" else errors.localization_m


def _sums(
    errors_m: np.ndarray, cluster: np.ndarray, thresholds_cm: Sequence[float], limits_m: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Credit and points, both (C, K), of the clusters that have points."""
    held, cluster = np.unique(cluster, return_inverse=True)
    thresholds_m = [t / 100 for t in thresholds_cm]
    credit = cluster_credit(errors_m, cluster, len(held), thresholds_m, list(limits_m.values()))
    points = np.bincount(cluster, minlength=len(held)).astype(float)
    return credit, np.broadcast_to(points[:, None], credit.shape)


def _intervals(
    members: Sequence[PointErrors],
    groups: PeopleGroups,
    thresholds_cm: Sequence[float],
    resamples: int,
    seed: int,
) -> list[dict[str, dict[str, Interval]] | None]:
    """The intervals of each group, in percent; the first holds all points. One draw serves all groups."""
    cluster_of = groups.clusters()
    held = np.unique(cluster_of[members[0].person])
    names = [*(threshold_name(t) for t in thresholds_cm), *AUC_LIMITS_M]
    thresholds_m, limits_m = [t / 100 for t in thresholds_cm], list(AUC_LIMITS_M.values())
    credit, points = [], []
    for errors in members:
        cluster = np.searchsorted(held, cluster_of[errors.person])
        for form in FORMS:
            credit.append(cluster_credit(_of_form(errors, form), cluster, len(held), thresholds_m, limits_m))
            count = np.bincount(cluster, minlength=len(held)).astype(float)
            points.append(np.broadcast_to(count[:, None], credit[-1].shape))
    ends = 100 * ratio_intervals(np.hstack(credit), np.hstack(points), np.random.default_rng(seed), resamples)
    ends = ends.reshape(2, len(members), len(FORMS), len(names))
    found: list[dict[str, dict[str, Interval]] | None] = []
    for index in range(len(members)):
        forms = {
            form: {name: (float(low), float(high)) for name, low, high in zip(names, *ends[:, index, f])}
            for f, form in enumerate(FORMS)
        }
        found.append(None if np.isnan(ends[:, index]).any() else forms)
    return found
