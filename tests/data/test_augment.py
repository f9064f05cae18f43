"""Random changes of crops."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from slimdp.config import AugmentSettings
from slimdp.data import Augmentation, change_colours, draw_augmentation, flip_labels
from slimdp.data.augment import draw_part, part_of
from slimdp.structures import IGNORE
from slimdp.surface.symmetry import UvSymmetry

SETTINGS = AugmentSettings(scale=0.5, rotation_deg=40, shift=0.1, flip=True, colour=0.4)


def test_draws_fill_their_ranges_and_no_more() -> None:
    rng = np.random.default_rng(0)
    draws = [draw_augmentation(SETTINGS, rng) for _ in range(2000)]
    scale = np.array([draw.scale for draw in draws])
    assert 1 / 1.5 <= scale.min() < 0.68
    assert 1.48 < scale.max() <= 1.5
    assert np.median(scale) == pytest.approx(1, abs=0.05)
    turn = np.array([draw.rotation_deg for draw in draws])
    assert -40 <= turn.min() < -39
    assert 39 < turn.max() <= 40
    shift = np.array([draw.shift for draw in draws])
    assert 0.099 < np.abs(shift).max() <= 0.1
    assert np.mean([draw.flip for draw in draws]) == pytest.approx(0.5, abs=0.05)


def test_a_draw_is_a_function_of_its_generator() -> None:
    first, second, other = (draw_augmentation(SETTINGS, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == second != other


def test_no_strength_changes_nothing() -> None:
    still = AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False, colour=0)
    draw = draw_augmentation(still, np.random.default_rng(0))
    np.testing.assert_allclose(np.hstack(astuple(draw)), np.hstack(astuple(Augmentation())), atol=1e-12)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(change_colours(image, draw), image)


def test_a_part_of_a_box_lies_within_it() -> None:
    rng = np.random.default_rng(0)
    box = np.array([10.0, 20.0, 40.0, 100.0])
    parts = np.array([part_of(box, draw_part(1, rng)) for _ in range(500)])
    assert (parts[:, :2] >= box[:2]).all()
    assert (parts[:, :2] + parts[:, 2:] <= box[:2] + box[2:] + 1e-9).all()
    assert 30 <= parts[:, 3].min() < 33
    assert 20 <= parts[:, 2].min() < 21
    np.testing.assert_array_equal(part_of(box, draw_part(0, rng)), box)
    assert part_of(box, (0.25, 0.5, 0.5, 0.25)).tolist() == [20, 70, 20, 25]


def test_colours_by_hand() -> None:
    image = np.array([[[0, 100, 255]]], dtype=np.uint8)
    changed = change_colours(image, Augmentation(gain=(1, 2, 1), offset=(0.1, 0, 0.1)))
    # 0 + 25.5; 127.5 + 2 (100 - 127.5) = 72.5; 255 + 25.5, clipped. Halves go to the even number.
    assert changed.tolist() == [[[26, 72, 255]]]
    assert image.tolist() == [[[0, 100, 255]]]


@pytest.mark.parametrize("tables", [False, True])
def test_flip_twice_is_nothing(tables: bool) -> None:
    rng = np.random.default_rng(0)
    symmetry = UvSymmetry(tables=mirror_tables()) if tables else UvSymmetry()
    part, uv = rng.integers(1, 25, 200), rng.random((200, 2), dtype=np.float32)
    coarse = rng.choice([*range(15), IGNORE], (16, 16)).astype(np.uint8)
    once = flip_labels(part, uv, coarse, symmetry)
    twice = flip_labels(*once, symmetry)
    assert (once[0] != part).any()
    assert (once[2] != coarse).any()
    np.testing.assert_array_equal(twice[0], part)
    np.testing.assert_allclose(twice[1], uv, atol=2.5 / 255 if tables else 1e-6)
    np.testing.assert_array_equal(twice[2], coarse)
    np.testing.assert_array_equal(once[2] == IGNORE, coarse == IGNORE)


def mirror_tables() -> np.ndarray:
    """u becomes 1 - u on every part."""
    v, u = np.mgrid[0:256, 0:256] / 255
    return np.tile(np.stack([1 - u, v]).astype(np.float32), (24, 1, 1, 1))


def test_hands_change_sides() -> None:
    part, _, coarse = flip_labels(
        np.array([3]), np.array([[0.2, 0.7]]), np.array([[2, 14]], dtype=np.uint8), UvSymmetry()
    )
    assert part.tolist() == [4]
    assert coarse.tolist() == [[3, 14]]
