"""How far a score would move with other people: the bootstrap over clusters of points (Efron, 1979).

The points of a person are not independent, nor are the people of a video: whole clusters are drawn, with
replacement, as many as there are. Scores are ratios of sums, so that a cluster is known by its sums, and all
samples are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flow_cache.runtime.progress import tracked

#: Samples that an interval is read from, and the share of them that it holds.
RESAMPLES = 1000
LEVEL = 0.95
#: Draws that are held at once: samples x clusters.
_DRAWS_AT_ONCE = 2**22


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
