from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.evaluation.point_report import cluster_credit, ratio_intervals
from slimdp.evaluation.points import auc, ratio_within


def random_points(seed: int, points: int, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    errors_m = rng.exponential(0.1, points).round(2)  # rounded: errors on the thresholds themselves
    errors_m[rng.random(points) < 0.1] = np.inf
    return errors_m, rng.integers(clusters, size=points)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 9), st.permutations([0.05, 0.1, 0.2]))
def test_credit_is_that_of_each_cluster(
    seed: int, points: int, clusters: int, thresholds: list[float]
) -> None:
    errors_m, cluster = random_points(seed, points, clusters)
    credit = cluster_credit(errors_m, cluster, clusters, thresholds, [0.1, 0.3])
    for c in range(clusters):
        own = errors_m[cluster == c]
        expected = [len(own) * ratio_within(own, t) for t in thresholds] if len(own) else [0] * 3
        expected += [len(own) * auc(own, a) for a in (0.1, 0.3)] if len(own) else [0] * 2
        assert credit[c] == pytest.approx(expected)


def slow_intervals(
    errors_m: np.ndarray, cluster: np.ndarray, clusters: int, drawn: np.ndarray, threshold_m: float
) -> list[float]:
    """One sample at a time: the points of the drawn clusters put together and counted."""
    ratios = []
    for sample in drawn:
        together = np.concatenate([errors_m[cluster == c] for c in sample])
        ratios.append(np.mean(together < threshold_m))
    return np.percentile(ratios, [2.5, 97.5]).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_fast_and_slow_bootstrap_agree(seed: int) -> None:
    clusters = 3 + 4 * seed
    errors_m, cluster = random_points(seed, 30 * clusters, clusters)
    credit = cluster_credit(errors_m, cluster, clusters, [0.05, 0.1], [])
    points = np.bincount(cluster, minlength=clusters)[:, None] * np.ones((1, 2))
    found = ratio_intervals(credit, points, np.random.default_rng(seed), resamples=200)
    drawn = np.random.default_rng(seed).integers(clusters, size=(200, clusters))
    for column, threshold_m in enumerate((0.05, 0.1)):
        slow = slow_intervals(errors_m, cluster, clusters, drawn, threshold_m)
        assert found[:, column] == pytest.approx(slow, abs=1e-12)


def test_samples_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whole numbers bit for bit; else up to rounding, for products of other shapes sum in other orders."""
    rng, points = np.random.default_rng(0), np.ones((20, 3))
    for credit, tolerance in ((rng.random((20, 3)), 1e-12), (rng.integers(9, size=(20, 3)).astype(float), 0)):
        with monkeypatch.context() as patch:
            whole = ratio_intervals(credit, points, np.random.default_rng(1))
            patch.setattr("slimdp.evaluation.point_report._DRAWS_AT_ONCE", 20 * 7)
            blocks = ratio_intervals(credit, points, np.random.default_rng(1))
        np.testing.assert_allclose(blocks, whole, rtol=0, atol=tolerance)


def test_intervals_cover_the_truth() -> None:
    """People whose points are right together: 95 % intervals hold the true ratio about that often."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        rate = rng.beta(2, 2, 60)
        right = rng.binomial(50, rate)[:, None].astype(float)
        low, high = ratio_intervals(right, np.full((60, 1), 50.0), rng, 400)
        hits += bool(low[0] <= 0.5 <= high[0])
    assert 0.88 <= hits / 200 <= 0.99


def test_points_of_one_person_widen_the_interval() -> None:
    errors_m = np.repeat(np.random.default_rng(0).random(40) * 0.1, 25)
    alone = cluster_credit(errors_m, np.arange(1000), 1000, [0.05], [])
    persons = cluster_credit(errors_m, np.repeat(np.arange(40), 25), 40, [0.05], [])
    narrow = np.ptp(ratio_intervals(alone, np.ones((1000, 1)), np.random.default_rng(0)))
    wide = np.ptp(ratio_intervals(persons, np.full((40, 1), 25.0), np.random.default_rng(0)))
    assert wide > 3 * narrow  # five times, by the root of 25


def test_a_ratio_of_one_cluster_has_no_interval() -> None:
    points = np.array([[3.0, 0.0, 1.0], [2.0, 4.0, 0.0]])
    ends = ratio_intervals(points / 2, points, np.random.default_rng(0))
    assert ends[:, 0] == pytest.approx([0.5, 0.5])
    assert np.isnan(ends[:, 1:]).all()
    # Samples without a point of a ratio do not count.
    points = np.array([[1.0], [1.0], [0.0], [0.0]])
    assert np.isfinite(ratio_intervals(points, points, np.random.default_rng(0))).all()


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_bad_requests(resamples: int, level: float) -> None:
    with pytest.raises(ValueError, match="wanted 1 or more"):
        ratio_intervals(np.ones((2, 1)), np.ones((2, 1)), np.random.default_rng(0), resamples, level)


def test_a_thousand_samples_take_well_under_a_second() -> None:
    credit = np.random.default_rng(0).random((2243, 60))
    start = time.process_time()
    ratio_intervals(credit, np.ones_like(credit), np.random.default_rng(0))
    assert time.process_time() - start < 1.5  # 0.1 s on a quiet machine
