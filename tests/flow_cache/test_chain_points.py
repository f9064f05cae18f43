from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flow_cache import chain
from flow_cache.chain import (
    consistent,
    consistent_points,
    forward_backward_offset,
    forward_backward_offset_points,
    inside_frame,
    threshold_in_image,
)
from flow_cache.errors import FlowCacheError


def slow_sample(flow: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Bilinear weights of all pixels, summed one by one."""
    height, width = flow.shape[1:]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    total = [0.0, 0.0]
    for row in range(height):
        for column in range(width):
            weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
            if weight == 0:
                continue  # what has no weight may be unknown
            total[0] += weight * float(flow[0, row, column])
            total[1] += weight * float(flow[1, row, column])
    return total[0], total[1]


def slow_offset(flow_0to1: np.ndarray, flow_1to0: np.ndarray, x: float, y: float) -> float:
    height, width = flow_0to1.shape[1:]
    dx, dy = slow_sample(flow_0to1, x, y)
    x1, y1 = x + dx, y + dy
    if math.isnan(x1 + y1):
        return math.inf
    for a, b in ((x, y), (x1, y1)):
        if not (-0.5 <= a <= width - 0.5 and -0.5 <= b <= height - 0.5):
            return math.inf
    back_x, back_y = slow_sample(flow_1to0, x1, y1)
    if math.isnan(back_x + back_y):
        return math.inf
    return math.hypot(x1 + back_x - x, y1 + back_y - y)


@st.composite
def pairs_of_flows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two small flows of one size, some of it unknown; quarters of a pixel, which floats add exactly."""
    shape = (2, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    quarters = hnp.arrays(np.int8, shape, elements=st.integers(-12, 12))
    unknown = hnp.arrays(bool, shape[1:], elements=st.sampled_from([False, False, False, True]))
    return tuple(np.where(draw(unknown), np.nan, draw(quarters) / 4).astype(np.float32) for _ in range(2))


@given(pairs_of_flows(), st.integers(1, 40))
def test_any_field_agrees_with_a_plain_loop(
    flows: tuple[np.ndarray, np.ndarray], pixels_at_once: int
) -> None:
    height, width = flows[0].shape[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "_PIXELS_AT_ONCE", pixels_at_once)
        found = forward_backward_offset(*flows)
    expected = [[slow_offset(*flows, x, y) for x in range(width)] for y in range(height)]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    y, x = np.mgrid[0:height, 0:width]
    _, by_points = forward_backward_offset_points(np.stack([x.ravel(), y.ravel()], axis=1), *flows)
    np.testing.assert_array_equal(by_points.reshape(height, width), found)


@given(pairs_of_flows(), st.data())
def test_any_points_agree_with_a_plain_loop(
    flows: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    eighths = hnp.arrays(np.int8, (data.draw(st.integers(0, 6)), 2), elements=st.integers(-16, 64))
    points_0 = data.draw(eighths) / 8
    points_1, passed = consistent_points(points_0, *flows, threshold_px=1.5)
    offset_px = np.array([slow_offset(*flows, x, y) for x, y in points_0])
    np.testing.assert_array_equal(passed, offset_px <= 1.5)
    moved = np.array([slow_sample(flows[0], x, y) for x, y in points_0]).reshape(-1, 2)
    np.testing.assert_allclose(points_1, points_0 + moved, atol=1e-9)


@given(pairs_of_flows(), st.data())
def test_a_mask_says_the_same_as_nan(flows: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    valid_0, valid_1 = (data.draw(hnp.arrays(bool, flow.shape[1:])) for flow in flows)
    holes = [np.where(valid, flow, np.nan) for flow, valid in zip(flows, (valid_0, valid_1))]
    passed = consistent(*flows, 1.0, valid_0, valid_1)
    np.testing.assert_array_equal(passed, consistent(*holes, 1.0))
    assert not passed[~valid_0].any()


def test_a_translation_is_consistent_wherever_it_stays_in_the_frame() -> None:
    flow = np.zeros((2, 8, 10), np.float32)
    flow[0], flow[1] = 3, -2
    passed = consistent(flow, -flow, threshold_px=0.01)
    assert passed[2:, :7].all()  # up to the outermost pixel centres
    assert passed.sum() == 6 * 7


def test_only_pixels_that_weigh_in_must_be_known() -> None:
    flow_0to1 = np.zeros((2, 3, 4), np.float32)
    flow_0to1[0, 0, 0] = 0.5
    flow_1to0 = np.zeros((2, 3, 4), np.float32)
    flow_1to0[:, :, 1] = np.nan  # as at the edge of a tile that was never stored
    expected = np.ones((3, 4), bool)
    expected[:, 1] = False
    expected[0, 0] = False  # lands half on what is not known
    np.testing.assert_array_equal(consistent(flow_0to1, flow_1to0, 1.0), expected)


def test_the_threshold_itself_passes() -> None:
    flow_0to1, flow_1to0 = np.zeros((2, 2, 3, 4), np.float32)
    flow_1to0[1] = 0.25
    assert consistent(flow_0to1, flow_1to0, 0.25).all()
    assert not consistent(flow_0to1, flow_1to0, 0.2499).any()


def test_whole_fields_agree_with_a_plain_loop(rng: np.random.Generator) -> None:
    flow_0to1, flow_1to0 = rng.normal(0, 2, (2, 2, 7, 9)).astype(np.float32)
    expected = [[slow_offset(flow_0to1, flow_1to0, x, y) for x in range(9)] for y in range(7)]
    assert 5 < np.isinf(expected).sum() < 58
    np.testing.assert_allclose(forward_backward_offset(flow_0to1, flow_1to0), expected, atol=1e-5)


def test_points_agree_with_a_plain_loop(rng: np.random.Generator) -> None:
    flow_0to1, flow_1to0 = rng.normal(0, 1, (2, 2, 7, 9)).astype(np.float32)
    points_0 = rng.uniform(-1, (9, 7), (80, 2))
    points_1, offset_px = forward_backward_offset_points(points_0, flow_0to1, flow_1to0)
    expected = [slow_offset(flow_0to1, flow_1to0, x, y) for x, y in points_0]
    assert 5 < np.isinf(expected).sum() < 75
    np.testing.assert_allclose(offset_px, expected, atol=1e-5)
    moved = [slow_sample(flow_0to1, x, y) for x, y in points_0]
    np.testing.assert_allclose(points_1, points_0 + moved, atol=1e-5)


def test_a_point_goes_along_the_first_flow_and_back_along_the_second() -> None:
    flow_0to1, flow_1to0 = np.zeros((2, 2, 10, 12), np.float32)
    flow_0to1[0] = 3  # to the right
    flow_1to0[0, :, 8] = -3  # only the pixels where the point lands know the way back
    points_1, offset_px = forward_backward_offset_points(np.array([[5, 4], [4, 4]]), flow_0to1, flow_1to0)
    np.testing.assert_array_equal(points_1, [[8, 4], [7, 4]])
    np.testing.assert_array_equal(offset_px, [0, 3])


def test_a_frame_ends_half_a_pixel_beyond_its_last_pixel_centres() -> None:
    points = np.array([[-0.5, 0], [-0.51, 0], [3.5, 2.5], [3.51, 0], [0, 2.51], [np.nan, 0]])
    np.testing.assert_array_equal(
        inside_frame(points, height=3, width=4), [True, False, True, False, False, False]
    )


def test_a_way_back_that_was_never_stored_is_infinite() -> None:
    flow_0to1 = np.zeros((2, 3, 3), np.float32)
    flow_1to0 = np.full((2, 3, 3), np.nan, np.float32)
    assert np.isinf(forward_backward_offset(flow_0to1, flow_1to0)).all()


def test_no_points_are_no_error() -> None:
    flow = np.zeros((2, 3, 3), np.float32)
    points_1, offset_px = forward_backward_offset_points(np.zeros((0, 2)), flow, flow)
    assert points_1.shape == (0, 2)
    assert offset_px.shape == (0,)


def test_a_threshold_scales_with_the_crop() -> None:
    assert threshold_in_image(5, crop_side_px=256) == 5
    assert threshold_in_image(5, crop_side_px=512) == 10
    assert threshold_in_image(5, crop_side_px=96, reference_side_px=192) == 2.5
    with pytest.raises(FlowCacheError, match="crop side 0 px"):
        threshold_in_image(5, crop_side_px=0)


def test_wrong_shapes_and_values_are_refused() -> None:
    flow = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(FlowCacheError, match=r"flow_0to1 of shape \(3, 4, 2\)"):
        forward_backward_offset(np.zeros((3, 4, 2)), flow)
    with pytest.raises(FlowCacheError, match="wanted the same"):
        forward_backward_offset(flow, np.zeros((2, 4, 3)))
    with pytest.raises(FlowCacheError, match=r"points of shape \(3,\)"):
        forward_backward_offset_points(np.zeros(3), flow, flow)
    with pytest.raises(FlowCacheError, match=r"validity of flow_1to0 of shape \(4, 3\) and type bool"):
        consistent(flow, flow, 1.0, None, np.ones((4, 3), bool))
    with pytest.raises(FlowCacheError, match="type uint8; wanted"):
        consistent(flow, flow, 1.0, np.ones((3, 4), np.uint8))
    for threshold_px in (0.0, -1.0, math.nan):
        with pytest.raises(FlowCacheError, match="wanted a positive number"):
            consistent(flow, flow, threshold_px)
    with pytest.raises(FlowCacheError, match="not finite, first in row 1"):
        forward_backward_offset_points(np.array([[1, 1], [np.nan, 1]]), flow, flow)
