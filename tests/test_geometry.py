from __future__ import annotations

import numpy as np

from slimdp.geometry import box_edges, box_overlaps, box_within, move_box


def test_a_moved_box_holds_the_moved_pixels() -> None:
    np.testing.assert_allclose(move_box(np.array([2.0, 3, 4, 5]), np.eye(2, 3)), [2, 3, 4, 5])
    doubled = np.array([[2.0, 0, 10], [0, 2.0, 0]])
    np.testing.assert_allclose(move_box(np.array([2.0, 3, 4, 5]), doubled), [13.5, 5.5, 8, 10])
    turned = np.array([[0.0, 1, 0], [-1.0, 0, 0]])  # a quarter: x to -y
    np.testing.assert_allclose(move_box(np.array([2.0, 3, 4, 5]), turned), [3, -5, 5, 4])


def test_overlap_by_hand() -> None:
    boxes = np.array([[2.0, 0, 4, 4], [5, 0, 4, 4], [0, 0, 4, 4], [1, 1, 2, 2]])
    found = box_overlaps(np.array([[0.0, 0, 4, 4], [2, 0, 4, 4]]), boxes)
    np.testing.assert_allclose(found, [[8 / 24, 0, 1, 4 / 16], [1, 4 / 28, 8 / 24, 2 / 18]])
    assert box_overlaps(boxes, boxes[:0]).shape == (4, 0)


def test_a_box_cut_to_the_frame_keeps_a_pixel() -> None:
    cut = [
        box_within(box_edges(np.array(box)), 20, 10).tolist() for box in ([-2.0, 3, 5, 9], [30.0, 3, 5, 2])
    ]
    assert cut == [[0, 3, 3, 7], [20, 3, 1, 2]]
