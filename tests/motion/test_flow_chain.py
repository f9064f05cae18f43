"""Ways to read chains of stored flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flow_cache import MissingFlowError
from slimdp.motion import FlowChainReader, FramePlace
from slimdp.structures import ImageRecord


def test_chains_are_read_there_and_back(clip: list[ImageRecord], shift_flow: Any) -> None:
    store = shift_flow(1, 0, reach=2)
    chain = FlowChainReader(store).read(clip[0], FramePlace("clip", 0, 0, 5), 5)
    assert store.reads == [(0, 2), (2, -2), (2, 2), (4, -2), (4, 1), (5, -1)]
    assert [float(pair.flow_0to1[0, 0, 0]) for pair in chain.pairs] == [2, 2, 1]
    assert [float(pair.flow_0to1[0, 0, 0]) for pair in chain.reverse().pairs] == [-1, -2, -2]


def test_no_way_names_the_command(clip: list[ImageRecord], shift_flow: Any) -> None:
    store = shift_flow(1, 0)
    store.steps = lambda video: (-2, 2)
    store.finished = lambda video, step: np.full(6, abs(step) == 2)
    with pytest.raises(
        MissingFlowError, match=r"from frame 0 to frame 3 of video 'clip' .*step \+3; run: this"
    ):
        FlowChainReader(store).read(clip[0], FramePlace("clip", 0, 0, 5), 3)


def test_no_way_leads_over_another_video(clip: list[ImageRecord], shift_flow: Any) -> None:
    ways = FlowChainReader(shift_flow(1, 0, reach=2))
    assert ways.hops(FramePlace("clip", 0, 0, 3), 3) == (2, 1)
    assert ways.hops(FramePlace("clip", 0, 0, 2), 3) == ()
