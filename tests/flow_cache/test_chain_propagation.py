"""Points along flow."""

from __future__ import annotations

import cv2
import numpy as np

from flow_cache import FlowChain, FlowPair, PointStatus, propagate_points, trace_points


def uniform(right: float, down: float) -> FlowPair:
    flow = np.zeros((2, 80, 96), dtype=np.float32)
    flow[0], flow[1] = right, down
    return FlowPair(flow, -flow)


def move_points(points_0: np.ndarray, pair: FlowPair, limit_px: float) -> tuple[np.ndarray, np.ndarray]:
    moved = propagate_points(points_0, FlowChain((pair,)), limit_px)
    return moved.points_1, moved.status


def test_points_move_with_the_flow_and_are_checked() -> None:
    pair = uniform(3, -2)
    pair.flow_1to0[:, :, 60:] += 4  # the way back is off by (4, 4): 5.66 px
    points_0 = np.array([[10.0, 20], [70, 20], [94, 20], [10, 1], [95.6, 5]])
    points_1, status = move_points(points_0, pair, 5.0)
    np.testing.assert_allclose(points_1, points_0 + np.array([3, -2]))
    assert status.tolist() == [
        PointStatus.KEPT,
        PointStatus.INCONSISTENT,
        PointStatus.OUTSIDE,
        PointStatus.OUTSIDE,
        PointStatus.OUTSIDE,
    ]
    assert move_points(points_0, pair, 5.7)[1][1] == PointStatus.KEPT


def test_flow_that_was_never_stored_is_no_label() -> None:
    pair = uniform(1, 0)
    pair.flow_0to1[:, :, :50] = np.nan
    assert move_points(np.array([[10.0, 20], [70, 20]]), pair, 5)[1].tolist() == [
        PointStatus.INCONSISTENT,
        PointStatus.KEPT,
    ]


def test_each_hop_has_its_check_and_what_it_drops_is_gone() -> None:
    first, second = uniform(3, 0), uniform(5, 1)
    first.flow_1to0[:, :, 60:] += 4  # off by 5.66 px
    second.flow_1to0[0, 40:] += 2
    points_0 = np.array([[10.0, 20], [70, 20], [10, 60], [85, 20], [92.5, 10]])
    propagated = propagate_points(points_0, FlowChain((first, second)), 5.0)
    kept = [
        PointStatus.KEPT,
        PointStatus.INCONSISTENT,
        PointStatus.KEPT,
        PointStatus.INCONSISTENT,
        PointStatus.INCONSISTENT,
    ]
    assert propagated.status.tolist() == kept
    # Dropped ones go on, to show where they would be; what left the frame takes the flow of its border.
    np.testing.assert_allclose(propagated.points_1, points_0 + [8, 1], atol=1e-6)
    expected = [[0, 32**0.5, 0, 32**0.5, 32**0.5], [0, np.inf, 2, np.inf, np.inf]]
    np.testing.assert_allclose(propagated.offset_px, expected, atol=1e-6)


def test_chain_against_point_by_point() -> None:
    rng = np.random.default_rng(3)
    pairs = []
    for _ in range(3):
        there = cv2.GaussianBlur(rng.normal(0, 80, (80, 96, 2)), (0, 0), 6).astype(np.float32)
        back = cv2.GaussianBlur(-there + rng.normal(0, 1, there.shape), (0, 0), 2).astype(np.float32)
        pairs.append(FlowPair(there.transpose(2, 0, 1).copy(), back.transpose(2, 0, 1).copy()))
    points_0 = rng.uniform([-0.4, -0.4], [95.4, 79.4], (200, 2))
    propagated = propagate_points(points_0, FlowChain(tuple(pairs)), 1.5)
    assert set(propagated.status.tolist()) == {
        PointStatus.KEPT,
        PointStatus.INCONSISTENT,
        PointStatus.OUTSIDE,
    }
    for row, point in enumerate(points_0):
        here, status = point[None], PointStatus.KEPT
        for pair in pairs:
            here, found = move_points(here, pair, 1.5)
            if found[0] != PointStatus.KEPT:
                status = found[0]
                break
        assert propagated.status[row] == status
        if status == PointStatus.KEPT:
            np.testing.assert_allclose(propagated.points_1[row], here[0], atol=1e-9)


def test_points_without_flow_are_lost_for_good() -> None:
    first, second = uniform(1, 0), uniform(1, 0)
    first.flow_0to1[:, :, :50] = np.nan
    propagated = propagate_points(np.array([[10.0, 20], [70, 20]]), FlowChain((first, second)), 5)
    assert propagated.status.tolist() == [PointStatus.INCONSISTENT, PointStatus.KEPT]
    assert np.isnan(propagated.points_1[0]).all()
    assert np.isinf(propagated.offset_px[:, 0]).all()


def test_a_window_of_the_frames_is_read_where_it_lies() -> None:
    rng = np.random.default_rng(1)
    whole = FlowPair(*rng.normal(0, 1, (2, 2, 80, 96)).astype(np.float32))
    window = FlowPair(whole.flow_0to1[:, 10:60, 20:70], whole.flow_1to0[:, 10:60, 20:70])
    points_0 = rng.uniform([30, 20], [60, 50], (20, 2))
    expected = propagate_points(points_0, FlowChain((whole,)), 1.0)
    found = propagate_points(points_0, FlowChain((window,), (20, 10)), 1.0)
    np.testing.assert_allclose(found.points_1, expected.points_1, atol=1e-9)
    np.testing.assert_array_equal(found.status, expected.status)
    returned = trace_points(found.points_1, FlowChain((window,), (20, 10)).reverse())
    np.testing.assert_allclose(returned, trace_points(expected.points_1, FlowChain((whole,)).reverse()))


def test_there_and_back_is_where_it_began() -> None:
    chain = FlowChain((uniform(3, -2), uniform(4, 1), uniform(-1, 5)))
    points_0 = np.array([[20.0, 30], [33.25, 41.5]])
    points_1 = trace_points(points_0, chain)
    np.testing.assert_allclose(points_1, points_0 + [6, 4])
    np.testing.assert_allclose(trace_points(points_1, chain.reverse()), points_0)
    assert trace_points(np.array([[np.nan, 1.0]]), chain).shape == (1, 2)
