"""Which stored flows lead from frame to frame, and how they are read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_cache import FlowChainReader, FlowField, MissingFlowError, VideoRecord, plan_chain

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


class ShiftFlow:
    """The flow of one video of six frames, all of which moves a px to the right in a frame."""

    def __init__(self, steps: tuple[int, ...]) -> None:
        self._steps = steps
        self.reads: list[tuple[int, int]] = []

    def frames(self, video: str) -> tuple[str, ...]:
        return tuple(f"{number:06d}.png" for number in range(6))

    def record(self, video: str) -> VideoRecord:
        return VideoRecord(video, 8, 8, self.frames(video), "clip", "known", "exact", "{}", "")

    def steps(self, video: str) -> tuple[int, ...]:
        return self._steps

    def finished(self, video: str, step: int) -> np.ndarray:
        end = np.arange(6) + step
        return (end >= 0) & (end < 6) & (step in self._steps)

    def read(self, video: str, frame: int, step: int, box: Sequence[float] | None = None) -> FlowField:
        if not self.finished(video, step)[frame]:
            raise MissingFlowError(f"no flow of step {step:+d}; run: this")
        self.reads.append((frame, step))
        return FlowField(np.full((2, 8, 8), step, np.float32), (0, 0) if box is None else (3, 4))


def test_chains_are_read_there_and_back() -> None:
    store = ShiftFlow((-2, -1, 1, 2))
    reader = FlowChainReader(store)
    chain = reader.read("clip", 0, reader.require_hops("clip", 0, 5), (3, 4, 5, 5))
    assert store.reads == [(0, 2), (2, -2), (2, 2), (4, -2), (4, 1), (5, -1)]
    assert [float(pair.flow_0to1[0, 0, 0]) for pair in chain.pairs] == [2, 2, 1]
    assert [float(pair.flow_0to1[0, 0, 0]) for pair in chain.reverse().pairs] == [-1, -2, -2]
    assert chain.origin == chain.reverse().origin == (3, 4)
    assert FlowChainReader(store, longest_hop=1).hops("clip", 5, -3) == (-1, -1, -1)
    with pytest.raises(ValueError, match="longest hop of 0 frames"):
        FlowChainReader(store, longest_hop=0)


def test_no_chain_names_the_command() -> None:
    reader = FlowChainReader(ShiftFlow((-2, 2)))
    with pytest.raises(
        MissingFlowError, match=r"from frame 0 to frame 3 of video 'clip' .*step \+3; run: this"
    ):
        reader.require_hops("clip", 0, 3)


def test_no_chain_leads_over_another_video() -> None:
    reader = FlowChainReader(ShiftFlow((-2, -1, 1, 2)))
    assert reader.hops("clip", 0, 3, (0, 3)) == (2, 1)
    assert reader.hops("clip", 0, 3, (0, 2)) == ()
