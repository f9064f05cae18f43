"""Scores of points with their intervals: of all, and of parts, sizes and videos.

An interval is how far a score would move with other people: the bootstrap over clusters of points (Efron,
1979). The points of a person are not independent, nor are the people of a video: whole clusters are drawn,
with replacement, as many as there are. Scores are ratios of sums, so that a cluster is known by its sums, and
all samples are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flow_cache.runtime.progress import tracked
from slimdp.evaluation.points import (
    AUC_LIMITS_M,
    FORMS,
    THRESHOLDS_CM,
    PointErrors,
    PointScores,
    checked_thresholds,
    summarize,
    threshold_name,
)
from slimdp.surface.people import PEOPLE

#: Areas, px^2, at which people become medium and large, as COCO has it.
MEDIUM_PX2, LARGE_PX2 = 32.0**2, 96.0**2
#: Samples that an interval is read from, and the share of them that it holds.
RESAMPLES = 1000
LEVEL = 0.95
#: Draws that are held at once: samples x clusters.
_DRAWS_AT_ONCE = 2**22
#: Where a curve is told by default: to 30 cm, every 0.25.
CURVE_CM = tuple(0.25 * step for step in range(1, 121))
Interval = tuple[float, float]


@dataclass(frozen=True)
class PeopleGroups:
    """What the K people are called by whom errors were measured; `PointErrors.person` points here."""

    sizes: tuple[str, ...]  # "small", "medium" or "large"
    videos: tuple[str | None, ...]  # None: a still

    @staticmethod
    def of(areas_px2: Sequence[float], videos: Sequence[str | None]) -> PeopleGroups:
        """Groups of people by the `area` that the file says, of the person and not of the box."""
        assert len(areas_px2) == len(videos)
        return PeopleGroups(tuple(size_of(area) for area in areas_px2), tuple(videos))

    @property
    def drawn(self) -> str:
        """What the bootstrap draws: "videos", "people", or "videos and people" of a mixed set."""
        stills = [video is None for video in self.videos]
        return "people" if all(stills) else "videos and people" if any(stills) else "videos"

    def clusters(self) -> np.ndarray:
        """(K,) int64, the same for people of one video; a person of a still is alone."""
        numbers: dict[tuple[str, object], int] = {}
        keys = [
            ("person", index) if video is None else ("video", video)
            for index, video in enumerate(self.videos)
        ]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def size_of(area_px2: float) -> str:
    """COCO's name for the area of a person: small below 32^2 px^2, large from 96^2 on."""
    return "small" if area_px2 < MEDIUM_PX2 else "medium" if area_px2 < LARGE_PX2 else "large"


@dataclass(frozen=True)
class GroupScores:
    """Scores of some points, and the interval of each in percent; None where one cluster alone has points."""

    scores: PointScores
    intervals: Mapping[str, Mapping[str, Interval]] | None  # form -> "5cm" -> lower, upper
    count: int  # of the points

    def as_json(self) -> dict[str, Any]:
        """{"full": {...}, "localization": {...}, "intervals": {...}, "count": points}."""
        return {**self.scores, "intervals": self.intervals, "count": self.count}


@dataclass(frozen=True)
class PointReport:
    """Scores of all points and of groups of them, groups without points left out."""

    all: GroupScores
    parts: Mapping[str, GroupScores]  # by the name of the true part
    sizes: Mapping[str, GroupScores]  # small, medium, large
    videos: Mapping[str, GroupScores]
    drawn: str  # what the bootstrap drew

    def as_json(self) -> dict[str, Any]:
        """As scores.json holds it under "points"."""
        groups = {"parts": self.parts, "sizes": self.sizes, "videos": self.videos}
        listed = {
            kind: {name: scores.as_json() for name, scores in members.items()}
            for kind, members in groups.items()
        }
        return {**self.all.as_json(), "resampled": self.drawn, **listed}


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
        scored[kind][name] = GroupScores(summarize(points, thresholds), interval, len(points.part))
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
    held, cluster = np.unique(groups.clusters()[errors.person], return_inverse=True)
    found = {}
    for form in FORMS:
        credit, points = _sums(errors.of_form(form), cluster, len(held), thresholds, {})
        found[form] = PointCurve(
            np.array(thresholds),
            100 * credit.sum(axis=0) / points.sum(axis=0),
            100 * ratio_intervals(credit, points, np.random.default_rng(seed), resamples),
        )
    return found


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
    sums = []
    for errors in members:
        cluster = np.searchsorted(held, cluster_of[errors.person])
        sums += [
            _sums(errors.of_form(form), cluster, len(held), thresholds_cm, AUC_LIMITS_M) for form in FORMS
        ]
    credit, points = (np.hstack(each) for each in zip(*sums))
    ends = 100 * ratio_intervals(credit, points, np.random.default_rng(seed), resamples)
    ends = ends.reshape(2, len(members), len(FORMS), len(names))
    found: list[dict[str, dict[str, Interval]] | None] = []
    for index in range(len(members)):
        forms = {
            form: {name: (float(low), float(high)) for name, low, high in zip(names, *ends[:, index, f])}
            for f, form in enumerate(FORMS)
        }
        found.append(None if np.isnan(ends[:, index]).any() else forms)
    return found


def _sums(
    errors_m: np.ndarray,
    cluster: np.ndarray,
    clusters: int,
    thresholds_cm: Sequence[float],
    limits_m: Mapping[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Credit and points, both (C, K), of C clusters."""
    thresholds_m = [t / 100 for t in thresholds_cm]
    credit = cluster_credit(errors_m, cluster, clusters, thresholds_m, list(limits_m.values()))
    points = np.bincount(cluster, minlength=clusters).astype(float)
    return credit, np.broadcast_to(points[:, None], credit.shape)


def cluster_credit(
    errors_m: np.ndarray,
    cluster: np.ndarray,
    clusters: int,
    thresholds_m: Sequence[float],
    limits_m: Sequence[float],
) -> np.ndarray:
    """What the points of each cluster add to each score; divided by the number of points, the scores.

    Args:
        errors_m: (P,) metres, infinite where a point was not found.
        cluster: (P,) int64, 0..C - 1.
        clusters: C.
        thresholds_m: T of f(t), in any order.
        limits_m: A of AUC_a.

    Returns:
        (C, T + A) float64: points with an error below each threshold; sums of (a - e) / a over the others.
    """
    order = np.argsort(thresholds_m, kind="stable")
    # Right for an error are the thresholds from the first one above it on.
    first = np.searchsorted(np.asarray(thresholds_m, dtype=np.float64)[order], errors_m, side="right")
    bins = len(order) + 1
    counts = np.bincount(cluster * bins + first, minlength=clusters * bins).reshape(clusters, bins)
    credit = np.empty((clusters, len(order) + len(limits_m)))
    credit[:, order] = counts[:, :-1].cumsum(axis=1)
    for column, limit_m in enumerate(limits_m, start=len(order)):
        gain = np.clip(1 - errors_m / limit_m, 0, None)
        credit[:, column] = np.bincount(cluster, weights=gain, minlength=clusters)
    return credit


def ratio_intervals(
    credit: np.ndarray,
    points: np.ndarray,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> np.ndarray:
    """Percentile intervals of M ratios, sum of credit over sum of points, when clusters are drawn anew.

    All ratios are read from the same samples, so that those of groups of points belong together.

    Args:
        credit: (C, M) of each of C clusters.
        points: (C, M) points that each ratio counts in a cluster; samples without any do not count.
        rng: the chance of the samples.
        resamples: how many.
        level: share of samples that lie in an interval.

    Returns:
        (2, M) lower and upper end; NaN where fewer than two clusters have points.

    Raises:
        ValueError: no samples, or a level that is no share.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"{resamples} samples, level {level}; wanted 1 or more, and a share between 0 and 1")
    clusters = len(credit)
    ratios = np.empty((resamples, credit.shape[1]))
    at_once = max(_DRAWS_AT_ONCE // max(clusters, 1), 1)
    for start in tracked(range(0, resamples, at_once), "resample", "blocks"):
        count = min(at_once, resamples - start)
        drawn = rng.integers(clusters, size=(count, clusters)) + clusters * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * clusters).reshape(count, clusters).astype(float)
        with np.errstate(invalid="ignore"):  # 0 / 0: a sample that no point of this ratio is in
            ratios[start : start + count] = (times @ credit) / (times @ points)
    ends = np.full((2, credit.shape[1]), np.nan)
    known = (points > 0).sum(axis=0) > 1
    tail = 50 * (1 - level)
    ends[:, known] = np.nanpercentile(ratios[:, known], [tail, 100 - tail], axis=0)
    return ends
