from __future__ import annotations

import numpy as np

from slimdp.geometry import move_box


def test_a_moved_box_holds_the_moved_pixels() -> None:
    np.testing.assert_allclose(move_box(np.array([2.0, 3, 4, 5]), np.eye(2, 3)), [2, 3, 4, 5])
    doubled = np.array([[2.0, 0, 10], [0, 2.0, 0]])
    np.testing.assert_allclose(move_box(np.array([2.0, 3, 4, 5]), doubled), [13.5, 5.5, 8, 10])
    turned = np.array([[0.0, 1, 0], [-1.0, 0, 0]])  # a quarter: x to -y
    np.testing.assert_allclose(move_box(np.array([2.0, 3, 4, 5]), turned), [3, -5, 5, 4])
