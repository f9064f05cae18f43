"""Crops as poor cameras show them."""

from __future__ import annotations

import numpy as np
import pytest

from slimdp.data.poor_picture import PoorPicture, draw_poor_picture, worsen

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)


def test_nothing_to_do_leaves_the_picture_alone() -> None:
    assert worsen(PICTURE, PoorPicture()) is PICTURE
    assert draw_poor_picture(0, np.random.default_rng(0)) == PoorPicture()


@pytest.mark.parametrize("poor", [
    PoorPicture(sharpness=0.25), PoorPicture(blur=1.0), PoorPicture(grey=True), PoorPicture(noise=0.1),
    PoorPicture(jpeg=10), PoorPicture(sharpness=0.01, jpeg=1, noise=1, blur=2, grey=True),
])  # fmt: skip
def test_each_fault_changes_pixels_alone(poor: PoorPicture) -> None:
    before = PICTURE.copy()
    changed = worsen(PICTURE, poor)
    assert (changed.shape, changed.dtype) == (PICTURE.shape, PICTURE.dtype)
    assert (changed != PICTURE).any()
    np.testing.assert_array_equal(PICTURE, before)
    np.testing.assert_array_equal(changed, worsen(PICTURE, poor))


def test_faults_by_hand() -> None:
    stripes = np.zeros((4, 8, 3), dtype=np.uint8)
    stripes[:, 1::2] = 200
    assert (worsen(stripes, PoorPicture(sharpness=0.5)) == 100).all()
    red = np.full((1, 1, 3), (255, 0, 0), dtype=np.uint8)
    assert worsen(red, PoorPicture(grey=True)).tolist() == [[[76, 76, 76]]]  # 0.299 of it


def test_noise_has_the_spread_it_says() -> None:
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    noisy = worsen(grey, PoorPicture(noise=0.05, noise_seed=3)).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.03)


def test_draws_keep_their_chances_and_take_equally_many_values() -> None:
    rng, still = np.random.default_rng(0), np.random.default_rng(0)
    draws = [draw_poor_picture(0.6, rng) for _ in range(3000)]
    for _ in draws:
        draw_poor_picture(0, still)
    assert rng.bit_generator.state == still.bit_generator.state
    assert np.mean([draw.grey for draw in draws]) == pytest.approx(0.2, abs=0.03)
    for fault in ("sharpness", "blur", "noise", "jpeg"):
        usual = getattr(PoorPicture(), fault)
        assert np.mean([getattr(draw, fault) != usual for draw in draws]) == pytest.approx(0.3, abs=0.04)
    assert {draw.jpeg for draw in draws} - {0} <= set(range(10, 91))
