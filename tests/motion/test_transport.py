"""Points along flow."""

from __future__ import annotations

import numpy as np

from slimdp.motion import Fate, FlowPair, move_points


def uniform(right: float, down: float) -> FlowPair:
    flow = np.zeros((2, 80, 96), dtype=np.float32)
    flow[0], flow[1] = right, down
    return FlowPair(flow, -flow)


def test_points_move_with_the_flow_and_are_checked() -> None:
    pair = uniform(3, -2)
    pair.flow_1to0[:, :, 60:] += 4  # the way back is off by (4, 4): 5.66 px
    points_0 = np.array([[10.0, 20], [70, 20], [94, 20], [10, 1], [95.6, 5]])
    points_1, fate = move_points(points_0, pair, 5.0)
    np.testing.assert_allclose(points_1, points_0 + np.array([3, -2]))
    assert fate.tolist() == [Fate.KEPT, Fate.INCONSISTENT, Fate.OUTSIDE, Fate.OUTSIDE, Fate.OUTSIDE]
    assert move_points(points_0, pair, 5.7)[1][1] == Fate.KEPT


def test_flow_that_was_never_stored_is_no_label() -> None:
    pair = uniform(1, 0)
    pair.flow_0to1[:, :, :50] = np.nan
    assert move_points(np.array([[10.0, 20], [70, 20]]), pair, 5)[1].tolist() == [
        Fate.INCONSISTENT,
        Fate.KEPT,
    ]
