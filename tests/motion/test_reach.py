from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from slimdp.motion.label_transfer import FallingConfidence
from slimdp.motion.reach import FrameReach, grid_in_box, measure_reach

_FRAMES, _WIDTH, _HEIGHT = 6, 96, 80


def reach_of(flow: Any, box: tuple[float, float, float, float], reach: int, **settings: Any) -> FrameReach:
    points = np.repeat(grid_in_box(np.array(box), cells=2)[None], _FRAMES, axis=0)
    return measure_reach(flow, "clip", points, np.ones(_FRAMES), reach, **settings)


def test_the_grid_lies_in_the_middles_of_cells() -> None:
    # A box that covers pixels 10..13 and 20..27: its cells are 2 and 4 px wide.
    found = grid_in_box(np.array([10.0, 20, 4, 8]), cells=2)
    np.testing.assert_allclose(found, [[10.5, 21.5], [12.5, 21.5], [10.5, 25.5], [12.5, 25.5]])


def test_trust_falls_with_the_distance_where_flow_is_exact(known_flow: Callable[..., Any]) -> None:
    flow = known_flow(lambda x, y, step: np.stack([2.0 * step + 0 * x, 0 * y]))
    found = reach_of(flow, (40, 30, 20, 20), 3)
    for step in (1, 2, 3):
        assert found.trust[1, 3 + step] == pytest.approx(0.98**step, rel=1e-5)
    assert (found.trust[:, 3] == 1).all()
    assert (found.trust[0, :3] == 0).all()  # before the first frame
    assert (found.trust[5, 4:] == 0).all()


def test_a_chain_costs_trust_for_each_hop(known_flow: Callable[..., Any]) -> None:
    flow = known_flow(lambda x, y, step: np.zeros((2, *x.shape)), reach=2)
    found = reach_of(flow, (40, 30, 20, 20), 3)
    assert found.trust[0, 3 + 3] == pytest.approx(0.98**3 * 0.98, rel=1e-5)  # two frames and one
    short = reach_of(flow, (40, 30, 20, 20), 3, longest_hop=1)
    assert short.trust[0, 3 + 3] == pytest.approx(0.98**3 * 0.98**2, rel=1e-5)


def test_what_leaves_the_frame_or_comes_back_elsewhere_is_not_reached(known_flow: Callable[..., Any]) -> None:
    far = known_flow(lambda x, y, step: np.stack([30.0 * step + 0 * x, 0 * y]))
    found = reach_of(far, (0, 0, _WIDTH, _HEIGHT), 1)
    # Labels of frame 0 reach the cells of frame 1 that come from within frame 0: 23.5 - 30 does not.
    assert (found.trust[0, 2] > 0).tolist() == [False, True, False, True]
    assert (found.trust[1, 0] > 0).tolist() == [True, False, True, False]
    unequal = known_flow(lambda x, y, step: np.stack([8.0 * (step > 0) + 0 * x, 0 * y]))
    assert (reach_of(unequal, (40, 30, 20, 20), 1).trust[:, [0, 2]] == 0).all()
    off = reach_of(unequal, (40, 30, 20, 20), 1, threshold_px=9.0)
    # 8 px there and back miss by 8 px of a 256 px crop.
    assert off.trust[0, 2] == pytest.approx(0.98 * 0.72**8, rel=1e-4)


def test_each_flow_is_read_once_a_way(known_flow: Callable[..., Any]) -> None:
    flow = known_flow(lambda x, y, step: np.zeros((2, *x.shape)), reach=1)
    reach_of(flow, (40, 30, 20, 20), 5, confidence=FallingConfidence())
    # From every frame every hop to either side once, there and back: 2 * sum over frames of 5 hops.
    assert len(flow.reads) == 2 * _FRAMES * (_FRAMES - 1)


def test_what_is_covered() -> None:
    trust = np.zeros((3, 3, 1), np.float32)
    trust[:, 1] = 1
    trust[1, 2] = 0.6
    reach = FrameReach(trust)
    np.testing.assert_allclose(reach.covered([1])[:, 0], [0, 1, 0.6])
    assert reach.covered([]).sum() == 0
    assert reach.window(0) == (slice(0, 2), slice(1, 3))
