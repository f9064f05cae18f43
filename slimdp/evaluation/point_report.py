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
        numbers: dict[str | int, int] = {}
        keys = [index if video is None else video for index, video in enumerate(self.videos)]
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
        listed = {kind: {name: of.as_json() for name, of in each.items()} for kind, each in groups.items()}
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
    seed: int = 0,
    part_names: Sequence[str] = PEOPLE.part_names,
) -> PointReport:
    """Score P points, all and in groups, with bootstrap intervals (`ratio_intervals`, 95 %).

    `groups` are of the people that the points belong to; clusters of the bootstrap are videos, or people of
    stills, and the same seed draws the same ones. `part_names` are of the labels, background first. Raises
    ValueError for no points, or thresholds that `checked_thresholds` refuses.
    """
    thresholds = checked_thresholds(thresholds_cm)
    size, video = np.array(groups.sizes)[errors.person], np.array(groups.videos, dtype=object)[errors.person]
    chosen: dict[tuple[str, str], np.ndarray] = {("all", ""): np.ones(len(errors.part), dtype=bool)}
    chosen |= {("parts", part_names[part]): errors.part == part for part in np.unique(errors.part)}
    chosen |= {("sizes", name): size == name for name in ("small", "medium", "large") if name in size}
    names = dict.fromkeys(name for name in video.tolist() if name is not None)
    chosen |= {("videos", name): video == name for name in names}
    members = {key: errors.where(mask) for key, mask in chosen.items()}
    intervals = _intervals(list(members.values()), groups, thresholds, seed)
    scored: dict[str, dict[str, GroupScores]] = {"all": {}, "parts": {}, "sizes": {}, "videos": {}}
    for ((kind, name), points), interval in zip(members.items(), intervals):
        scored[kind][name] = GroupScores(summarize(points, thresholds), interval, len(points.part))
    return PointReport(scored["all"][""], scored["parts"], scored["sizes"], scored["videos"], groups.drawn)


def point_curves(errors: PointErrors, groups: PeopleGroups, seed: int = 0) -> dict[str, PointCurve]:
    """The curve f(t) of both forms at CURVE_CM with intervals (DensePose, 2.3); raises as `report_points`."""
    held, cluster = np.unique(groups.clusters()[errors.person], return_inverse=True)
    found = {}
    for form in FORMS:
        credit, points = _sums(errors.of_form(form), cluster, len(held), CURVE_CM, ())
        found[form] = PointCurve(
            np.array(CURVE_CM),
            100 * credit.sum(axis=0) / points.sum(axis=0),
            100 * ratio_intervals(credit, points, np.random.default_rng(seed)),
        )
    return found


def _intervals(
    members: Sequence[PointErrors], groups: PeopleGroups, thresholds_cm: Sequence[float], seed: int
) -> list[dict[str, dict[str, Interval]] | None]:
    """The intervals of each group, in percent; the first holds all points. One draw serves all groups."""
    cluster_of = groups.clusters()
    held = np.unique(cluster_of[members[0].person])
    names = [*map(threshold_name, thresholds_cm), *AUC_LIMITS_M]
    sums = []
    for errors in members:
        cluster = np.searchsorted(held, cluster_of[errors.person])
        for form in FORMS:
            errors_m = errors.of_form(form)
            sums.append(_sums(errors_m, cluster, len(held), thresholds_cm, [*AUC_LIMITS_M.values()]))
    credit, points = (np.hstack(each) for each in zip(*sums))
    ends = 100 * ratio_intervals(credit, points, np.random.default_rng(seed))
    ends = ends.T.reshape(len(members), len(FORMS), len(names), 2)
    found: list[dict[str, dict[str, Interval]] | None] = []
    for of_group in ends:
        forms = {
            form: {name: (low, high) for name, (low, high) in zip(names, of_form.tolist())}
            for form, of_form in zip(FORMS, of_group)
        }
        found.append(None if np.isnan(of_group).any() else forms)
    return found


def _sums(
    errors_m: np.ndarray,
    cluster: np.ndarray,
    clusters: int,
    thresholds_cm: Sequence[float],
    limits_m: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Credit and points, both (C, K), of C clusters."""
    credit = cluster_credit(errors_m, cluster, clusters, [t / 100 for t in thresholds_cm], limits_m)
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

    `errors_m` (P,) are infinite where a point was not found, `cluster` (P,) int64 runs from 0 to C - 1. T
    thresholds, in any order, and A limits give (C, T + A) float64: points with an error below each threshold
    t, for f(t); sums of (a - e) / a over the errors e below each limit a, for AUC_a.
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

    All ratios are read from the same samples, so that those of groups of points belong together. `credit` (C,
    M) and `points` (C, M), those that each ratio counts, are of each of C clusters; samples without any point
    do not count; `level` is the share of the samples in an interval. Returns (2, M), lower and upper end; NaN
    where fewer than two clusters have points. Raises ValueError for no samples, or a level that is no share.
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
