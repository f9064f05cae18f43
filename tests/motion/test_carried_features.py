"""What is known of carried labels."""

from __future__ import annotations

import numpy as np
import pytest

from flow_cache import FlowChain, FlowPair
from slimdp.motion.carried_features import FEATURES, RINGS_PX, CarriedPoints, carried_features

HEIGHT, WIDTH = 80, 96
RED, BLUE = (100.0, 180.0, 150.0), (100.0, 130.0, 60.0)


def pair(right: float) -> FlowPair:
    flow = np.zeros((2, HEIGHT, WIDTH), dtype=np.float32)
    flow[0] = right
    return FlowPair(flow, -flow)


def plain(colour: tuple[float, float, float] = RED) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), colour, dtype=np.float32)


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, FEATURES.index(name)]


POINTS = np.array([[30.0, 40.0], [50.0, 40.0]])


def test_a_true_stiff_motion_is_known_by_zeros() -> None:
    carried = CarriedPoints(POINTS, FlowChain((pair(4), pair(4))), 2, plain(), plain(), 1.0)
    moved, features = carried_features(carried)
    assert features.shape == (2, len(FEATURES))
    np.testing.assert_allclose(moved.points_1, POINTS + [8, 0])
    assert moved.kept.all()
    for name in (
        "offset_most",
        "offset_sum",
        "speed_beside_person",
        "colour",
        "person_offset",
        "person_lost",
    ):
        np.testing.assert_allclose(column(features, name), 0, atol=1e-6)
    for ring in RINGS_PX:
        for name in ("spread_most", "offset_most", "back_spread", "colour", "texture"):
            np.testing.assert_allclose(column(features, f"{name}_{ring:g}"), 0, atol=1e-4)
    np.testing.assert_allclose(column(features, "speed"), np.log1p(8 / 2))
    np.testing.assert_allclose(column(features, "frames"), np.log(2))
    np.testing.assert_allclose(column(features, "hops"), np.log(2))
    assert (column(features, "has_regions") == 0).all()


def test_lengths_are_those_of_a_crop_of_the_person() -> None:
    carried = CarriedPoints(POINTS, FlowChain((pair(4),)), 1, plain(), plain(), 2.0)
    np.testing.assert_allclose(column(carried_features(carried)[1], "speed"), np.log1p(4 / 2))


def test_the_way_back_the_flow_about_it_and_the_colours_show() -> None:
    """The left label misses by 3 px on the way back; the right one lies 2 px from a border of the flow."""
    flow_0to1, flow_1to0 = (np.zeros((2, HEIGHT, WIDTH), dtype=np.float32) for _ in range(2))
    flow_1to0[0, :, :40] = 3
    flow_0to1[0, :, 53:] = 20
    second = plain()
    second[:, :45] = BLUE
    chain = FlowChain((FlowPair(flow_0to1, flow_1to0),))
    features = carried_features(CarriedPoints(POINTS, chain, 1, plain(), second, 1.0))[1]
    np.testing.assert_allclose(column(features, "offset_most"), np.log1p([3, 0]))
    np.testing.assert_allclose(column(features, "spread_most_3"), np.log1p([0, 20]), atol=1e-5)
    by_hand = np.hypot(180 - 130, 150 - 60)
    np.testing.assert_allclose(column(features, "colour"), np.log1p([by_hand, 0]), rtol=1e-6)


def test_labels_without_flow_are_lost_and_all_numbers_finite() -> None:
    unknown = pair(4)
    unknown.flow_0to1[:, :, :40] = np.nan
    points = np.array([[30.0, 40.0], [94.0, 40.0], [60.0, 2.0]])  # no flow; leaves the frame; at its edge
    moved, features = carried_features(
        CarriedPoints(points, FlowChain((unknown,)), -1, plain(), plain(), 1.0)
    )
    assert moved.kept.tolist() == [False, False, True]
    assert np.isfinite(features).all()
    none = CarriedPoints(np.zeros((0, 2)), FlowChain((pair(1),)), 1, plain(), plain(), 1.0)
    assert carried_features(none)[1].shape == (0, len(FEATURES))


@pytest.mark.parametrize(("returns_by", "same"), [(0.0, 1.0), (15.0, 0.0)])
def test_regions_are_looked_at_where_there_are_masks(returns_by: float, same: float) -> None:
    """The way back of the label ends in its own region, left of 40 px, or 15 px to the right of it."""
    flow = FlowPair(pair(4).flow_0to1, -pair(4 - returns_by).flow_0to1)
    carried = CarriedPoints(
        POINTS[:1], FlowChain((flow,)), 1, plain(), plain(), 1.0,
        lambda points: (points[:, 0] < 37).astype(np.uint8),
    )  # fmt: skip
    features = carried_features(carried)[1]
    assert column(features, "has_regions") == 1
    assert column(features, "same_region") == same
    assert column(features, "same_region_3") == 1
    assert 0.5 < column(features, "same_region_8") < 1  # one of the eight places, or two, lie beyond
