"""The 256 x 256 box frame."""

from __future__ import annotations

import numpy as np
import pytest

from slimdp.data.box_frame import frame_from_image, frame_pixel_centres, image_from_frame, sample_coarse

BOX = np.array([10.0, 20.0, 128.0, 64.0])


def test_by_hand_with_256() -> None:
    points = image_from_frame(np.array([[0, 0], [128, 128], [256, 256], [1, 4]]), BOX)
    # x = x0 + dp_x * w / 256: with 255 the third point would lie at 138.5.
    np.testing.assert_allclose(points, [[10, 20], [74, 52], [138, 84], [10.5, 21]])


def test_round_trip() -> None:
    frame_points = np.random.default_rng(0).uniform(0, 256, (50, 2))
    np.testing.assert_allclose(frame_from_image(image_from_frame(frame_points, BOX), BOX), frame_points)


def test_mask_pixels_are_where_points_of_the_same_coordinates_are() -> None:
    centres = frame_pixel_centres(BOX)
    assert centres.shape == (256, 256, 2)
    np.testing.assert_allclose(centres[4, 6], image_from_frame(np.array([[6, 4]]), BOX)[0])


def test_sampling_a_mask_at_its_own_pixels_gives_it_back() -> None:
    coarse = np.random.default_rng(0).integers(0, 15, (256, 256), dtype=np.uint8)
    label, inside = sample_coarse(coarse, BOX, frame_pixel_centres(BOX).reshape(-1, 2), outside=99)
    assert inside.all()
    np.testing.assert_array_equal(label.reshape(256, 256), coarse)


@pytest.mark.parametrize("point", [(9, 50), (139, 50), (50, 19), (50, 85)])
def test_outside_the_box(point: tuple[float, float]) -> None:
    label, inside = sample_coarse(np.ones((256, 256), np.uint8), BOX, np.array([point]), outside=99)
    assert (label[0], inside[0]) == (99, False)
