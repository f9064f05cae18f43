"""Patches over crops, and what they do to labels."""

from __future__ import annotations

import numpy as np
import pytest

from slimdp.data import Patch
from slimdp.data.augment import MOST_PATCHES, cover, draw_patches, forget_under, under
from slimdp.structures import IGNORE


def test_a_coloured_patch_by_hand() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    rectangles = cover(
        image, [Patch((0.5, 0.25), (0.25, 0.125), (1, 2, 3)), Patch((0, 1), (0.5, 0.25), (9, 9, 9))]
    )
    assert rectangles.tolist() == [[24, 12, 40, 20], [0, 56, 16, 64]]
    assert (image[12:20, 24:40] == (1, 2, 3)).all()
    assert (image[56:, :16] == 9).all()
    assert np.count_nonzero(image) == 3 * (16 * 8 + 16 * 8)


def test_a_patch_of_what_is_elsewhere() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    before = image.copy()
    (rectangle,) = cover(image, [Patch((0.5, 0.5), (0.25, 0.5), None, (0.5, 0.999))])
    left, top, right, bottom = rectangle
    # 16 of 64 px wide: it may begin at 0..48, halfway at 24; 32 high, at 31 of 0..32.
    np.testing.assert_array_equal(image[top:bottom, left:right], before[31:63, 24:40])
    image[top:bottom, left:right] = before[top:bottom, left:right]
    np.testing.assert_array_equal(image, before)


def test_points_and_masks_under_a_patch() -> None:
    rectangles = np.array([[24, 12, 41, 20]])
    points = np.array([[23.4, 15], [23.6, 15], [40.4, 19.4], [40.6, 15], [30, 19.6], [30, 11.6]])
    assert under(rectangles, points).tolist() == [False, True, True, False, False, True]
    assert not under(np.zeros((0, 4), dtype=np.int64), points).any()
    coarse = np.zeros((16, 16), dtype=np.uint8)
    forget_under(rectangles, coarse, 4)
    rows, columns = np.nonzero(coarse == IGNORE)
    # Map pixel 10 averages px 40..43, of which one is hidden.
    assert (set(rows), set(columns)) == ({3, 4}, {6, 7, 8, 9, 10})
    assert len(rows) == 2 * 5


def test_draws_fill_their_ranges_and_no_more() -> None:
    rng = np.random.default_rng(0)
    draws = [draw_patches(0.5, rng) for _ in range(2000)]
    counts = np.bincount([len(draw) for draw in draws], minlength=MOST_PATCHES + 1)
    assert counts[0] / 2000 == pytest.approx(0.5, abs=0.04)
    assert counts[1:].sum() == 2000 - counts[0]
    assert counts[1:].min() > 250
    patches = [patch for draw in draws for patch in draw]
    sides = np.sqrt([patch.sides[0] * patch.sides[1] for patch in patches])
    assert 0.1 <= sides.min() < 0.101
    assert 0.33 < sides.max() <= 1 / 3
    assert np.mean([patch.colour is None for patch in patches]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_the_generator_moves_on_alike_whatever_is_drawn(chance: float) -> None:
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    assert bool(draw_patches(chance, rng)) == bool(chance)
    draw_patches(0.5, other)
    assert rng.random() == other.random()
