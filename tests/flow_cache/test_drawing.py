from __future__ import annotations

import numpy as np

from flow_cache.drawing import UNKNOWN, backward_warp, colour_flow, draw_check


def test_colours_are_directions() -> None:
    flow = np.zeros((2, 1, 5), np.float32)
    flow[:, 0, 1:] = np.array([[4, 0, -4, 0], [0, 4, 0, -4]])  # right, down, left, up
    still, right, down, left, up = colour_flow(flow, full_px=4)[0].tolist()
    assert still == [255, 255, 255]
    assert right == [255, 0, 0]
    assert left == [0, 255, 255]
    assert down[1] == 255 > down[0] > 0 == down[2]
    assert up[2] == 255 > up[0] > 0 == up[1]


def test_a_check_is_grey_red_or_black() -> None:
    flow_0to1, flow_1to0 = np.zeros((2, 2, 1, 4), np.float32)
    flow_1to0[0, 0, 1] = -9
    flow_0to1[0, 0, 3] = 2
    good, bad, _, outside = draw_check(flow_0to1, flow_1to0, threshold_px=5)[0].tolist()
    assert (good, bad, outside) == ([255, 255, 255], [220, 40, 40], [0, 0, 0])


def test_flow_that_is_not_stored_is_dark_grey_in_every_picture(rng: np.random.Generator) -> None:
    flow_0to1 = np.zeros((2, 1, 4), np.float32)
    flow_0to1[0, 0] = 0, 1, 0, np.nan
    flow_1to0 = -flow_0to1
    flow_1to0[:, 0, 2] = np.nan
    grey = list(UNKNOWN)
    colours = colour_flow(flow_0to1)[0].tolist()
    assert (colours[3], colours[0]) == (grey, [255, 255, 255])
    # The way there leads to a pixel whose way back is unknown, or is unknown itself.
    assert draw_check(flow_0to1, flow_1to0, 5)[0].tolist() == [[255] * 3, [0] * 3, [0] * 3, grey]
    frame_1 = rng.integers(0, 90, (1, 4, 3), dtype=np.uint8)
    assert backward_warp(frame_1, flow_0to1)[0].tolist() == [*frame_1[0, [0, 2, 2]].tolist(), grey]
    nothing = np.full((2, 3, 3), np.nan, np.float32)
    assert (colour_flow(nothing) == UNKNOWN).all()


def test_bringing_back_reads_frame_1_where_the_flow_leads(rng: np.random.Generator) -> None:
    frame_1 = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
    flow_0to1 = np.zeros((2, 5, 8), np.float32)
    flow_0to1[0] = 2
    np.testing.assert_array_equal(backward_warp(frame_1, flow_0to1)[:, :6], frame_1[:, 2:])
