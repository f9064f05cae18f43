"""Which stored flows lead from frame to frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_cache import plan_chain

UP_TO_3 = (-3, -2, -1, 1, 2, 3)


def all_held(frame: int, step: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("step", "hops"),
    [(1, (1,)), (-3, (-3,)), (4, (3, 1)), (5, (3, 2)), (7, (3, 3, 1)), (-8, (-3, -3, -2)), (12, (3,) * 4)],
)
def test_few_and_long_hops(step: int, hops: tuple[int, ...]) -> None:
    assert plan_chain(20, step, UP_TO_3, all_held) == hops


def test_a_direct_flow_comes_first() -> None:
    assert plan_chain(0, 8, (*UP_TO_3, 8), all_held) == (8,)
    assert plan_chain(0, 2, (1, 3), all_held) == (1, 1)  # never past the target and back


def test_a_gap_is_led_around() -> None:
    """The flow 0 -> 3 is not there, or only one way."""
    for gap in ((0, 3), (3, -3)):
        assert plan_chain(0, 6, UP_TO_3, lambda f, s, gap=gap: (f, s) != gap) == (2, 3, 1)
    assert plan_chain(0, 6, UP_TO_3, lambda f, s: f != 5 and f + s != 5 and (f, s) != (0, 3)) == (2, 2, 2)
    assert plan_chain(0, 6, UP_TO_3, lambda f, s: s < 0) == ()


@given(
    step=st.integers(-7, 7).filter(bool),
    missing=st.sets(st.tuples(st.integers(0, 14), st.integers(-3, 3))),
)
def test_against_trying_everything(step: int, missing: set[tuple[int, int]]) -> None:
    """The fewest hops; of as many, the longest first."""

    def held(frame: int, hop: int) -> bool:
        return (frame, hop) not in missing

    def passable(hops: tuple[int, ...]) -> bool:
        frames = [7, *(7 + np.cumsum(hops)).tolist()]
        return all(held(f, h) and held(f + h, -h) for f, h in zip(frames, hops))

    sign = 1 if step > 0 else -1
    best: tuple[int, ...] = ()
    for count in range(1, abs(step) + 1):
        ways = itertools.product((3 * sign, 2 * sign, sign), repeat=count)
        best = next((way for way in ways if sum(way) == step and passable(way)), ())
        if best:
            break
    assert plan_chain(7, step, UP_TO_3, held) == best
