"""Coarse masks at the resolution of the maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from slimdp.config import CropSettings
from slimdp.data import coarse_target, crop_affine
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation

Make = Callable[..., PersonAnnotation]
IMAGE = ImageRecord(1, Path("a.jpg"), "a.jpg", 400, 400)
BOX = [100.0, 80.0, 60.0, 120.0]


def blocks(seed: int = 0) -> np.ndarray:
    return np.kron(np.random.default_rng(seed).integers(0, 15, (8, 8)), np.ones((32, 32))).astype(np.uint8)


def slow_target(person: PersonAnnotation, affine: np.ndarray, size: int, others: np.ndarray) -> np.ndarray:
    """Pixel by pixel, as the docstring says it."""
    matrix = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))
    target = np.zeros((size // 4, size // 4), dtype=np.uint8)
    for row in range(size // 4):
        for column in range(size // 4):
            x, y, _ = matrix @ [4 * column + 1.5, 4 * row + 1.5, 1]
            i = int(np.floor((x - person.box[0]) * 256 / person.box[2] + 0.5))
            j = int(np.floor((y - person.box[1]) * 256 / person.box[3] + 0.5))
            if 0 <= i < 256 and 0 <= j < 256:
                target[row, column] = IGNORE if person.coarse is None else person.coarse[j, i]
            elif any(b[0] <= x + 0.5 < b[0] + b[2] and b[1] <= y + 0.5 < b[1] + b[3] for b in others):
                target[row, column] = IGNORE
    return target


def test_against_the_slow_way(make_person: Make) -> None:
    others = np.array([[150.0, 90, 50, 40], [0, 0, 90, 90]])
    for coarse in (blocks(), None):
        person = make_person(IMAGE, BOX, coarse=coarse)
        for scale, turn, flip in [(1, 0, False), (0.7, 25, False), (1.3, -160, True)]:
            affine = crop_affine(person.box, CropSettings(size=128), scale, turn, (0.1, -0.05), flip)
            found = coarse_target(person, affine, 128, 4, others)
            np.testing.assert_array_equal(found, slow_target(person, affine, 128, others))
            assert {0, IGNORE} < set(found.ravel()) or coarse is None


def test_ignore_regions_hold_outside_the_box_alone(make_person: Make) -> None:
    square = np.array([[130.0, 100], [300, 100], [300, 160], [130, 160]])
    image = replace(IMAGE, ignore_regions=(square,))
    person = make_person(image, BOX, coarse=np.full((256, 256), 3, dtype=np.uint8))
    target = coarse_target(person, crop_affine(person.box, CropSettings(size=128, margin=1.0), 1), 128, 4)
    # One map pixel is 11.25 image px; map pixel m has its centre at image px 129.5 + 11.25 (m - 15.5) in x.
    columns = 129.5 + 11.25 * (np.arange(32) - 15.5)
    rows = 139.5 + 11.25 * (np.arange(32) - 15.5)
    in_box = np.outer((rows > 80) & (rows < 200), (columns > 100) & (columns < 160))
    assert (target[in_box] == 3).all()
    sure = np.outer((rows > 112) & (rows < 148), (columns > 172) & (columns < 288))
    assert sure.sum() > 10
    assert (target[sure] == IGNORE).all()
    away = ~np.outer((rows > 88) & (rows < 172), (columns > 88) & (columns < 312)) & ~in_box
    assert (target[away] == 0).all()


def test_a_mirrored_crop_shows_the_mirrored_target(make_person: Make) -> None:
    person = make_person(IMAGE, BOX, coarse=blocks(1))
    plain, mirrored = (
        coarse_target(person, crop_affine(person.box, CropSettings(size=128), flip=flip), 128, 4)
        for flip in (False, True)
    )
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
