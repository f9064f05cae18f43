"""Trust in propagated labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimdp.config import ConfigError
from slimdp.motion import FallingConfidence


def test_by_hand() -> None:
    falling = FallingConfidence(per_frame=0.9, per_hop=0.8, per_px=0.5)
    offset_px = np.array([[0.0, 2, 2], [0, 0, 1]])
    expected = 0.9**5 * 0.8 * np.array([1, 0.25, 0.125])
    np.testing.assert_allclose(falling.of(offset_px, -5), expected, rtol=1e-6)
    np.testing.assert_allclose(falling.of(np.zeros((1, 2)), 1), 0.9, rtol=1e-6)


def test_factors_of_one_switch_all_off() -> None:
    assert (FallingConfidence(per_frame=1, per_hop=1, per_px=1).of(np.array([[0, 1, 5.0]]), 3) == 1).all()


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=12),
    st.integers(0, 11),
    st.floats(0, 5),
    st.integers(1, 40),
)
def test_it_falls_and_stays_above_0(offsets: list[float], hop: int, more: float, step: int) -> None:
    falling = FallingConfidence()
    offset_px = np.array(offsets)[:, None]
    trust = falling.of(offset_px, step)
    assert trust.dtype == np.float32
    assert 0 < trust <= 1
    assert falling.of(offset_px, step + 1) <= trust
    assert falling.of(np.concatenate([offset_px, [[0.0]]]), step) <= trust
    worse = offset_px.copy()
    worse[hop % len(worse)] = max(more, offsets[hop % len(worse)])
    assert falling.of(worse, step) <= trust


def test_an_endless_way_is_still_trusted_a_little() -> None:
    assert FallingConfidence(per_frame=0.1).of(np.full((9, 1), 5.0), 1000) > 0


@pytest.mark.parametrize("name", ["per_frame", "per_hop", "per_px"])
@pytest.mark.parametrize("value", [0, -0.1, 1.1, float("nan")])
def test_impossible_factors(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} ="):
        FallingConfidence(**{name: value})
