from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimdp.evaluation.points import PointErrors, auc, ratio_within, summarize

errors = st.lists(st.one_of(st.floats(0, 1), st.just(np.inf)), min_size=1, max_size=40).map(np.array)


def integrated_auc(errors_m: np.ndarray, limit_m: float, steps: int = 20_000) -> float:
    """(1/a) * integral of f from 0 to a by the midpoint rule, f counted point by point."""
    middles = (np.arange(steps) + 0.5) * limit_m / steps
    return float(np.mean([np.count_nonzero(errors_m < t) / len(errors_m) for t in middles]))


def test_ratio_by_hand() -> None:
    errors_m = np.array([0.0, 0.049, 0.05, 0.051, np.inf])
    assert ratio_within(errors_m, 0.05) == pytest.approx(2 / 5)  # an error of exactly t is not below t
    assert ratio_within(errors_m, 10.0) == pytest.approx(4 / 5)
    assert ratio_within(errors_m, np.inf) == pytest.approx(4 / 5)


def test_auc_by_hand() -> None:
    # Up to 10 cm: a point at 0 counts all the way, one at 2.5 cm for three quarters, the others not at all.
    assert auc(np.array([0.0, 0.025, 0.1, np.inf]), 0.1) == pytest.approx((1 + 0.75) / 4)


@given(errors, st.sampled_from([0.1, 0.3]))
def test_auc_is_the_integral(errors_m: np.ndarray, limit_m: float) -> None:
    assert auc(errors_m, limit_m) == pytest.approx(integrated_auc(errors_m, limit_m, 2000), abs=1e-3)


@given(errors, st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_ratio_grows_with_the_threshold(errors_m: np.ndarray, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= ratio_within(errors_m, low) <= ratio_within(errors_m, high) <= 1
    assert auc(errors_m, high) <= ratio_within(errors_m, high) + 1e-12


@pytest.mark.parametrize("bad", [[], [np.nan, 0.1], [-0.1]])
def test_bad_errors_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no errors|NaN or negative"):
        ratio_within(np.array(bad), 0.1)
    with pytest.raises(ValueError, match=r"no errors|NaN or negative"):
        auc(np.array(bad), 0.1)


def test_a_limit_must_be_positive() -> None:
    with pytest.raises(ValueError, match="limit_m = 0"):
        auc(np.array([0.1]), 0)


def test_summary_in_percent() -> None:
    errors = PointErrors(
        full_m=np.array([0.01, np.inf, 0.15, np.inf]),
        localization_m=np.array([0.01, 0.06, 0.15, np.inf]),
        part=np.array([2, 2, 7, 7]),
        person=np.zeros(4, dtype=int),
    )
    scores = summarize(errors, thresholds_cm=(5, 10, 20, 7.5))
    assert list(scores) == ["full", "localization"]
    assert scores["full"] == pytest.approx(
        {"5cm": 25, "10cm": 25, "20cm": 50, "7.5cm": 25, "auc10": 22.5, "auc30": 100 * (29 / 30 + 0.5) / 4}
    )
    localization = {"5cm": 25, "10cm": 50, "20cm": 75, "7.5cm": 50}
    localization |= {"auc10": 100 * (0.9 + 0.4) / 4, "auc30": 100 * (29 / 30 + 0.8 + 0.5) / 4}
    assert scores["localization"] == pytest.approx(localization)
