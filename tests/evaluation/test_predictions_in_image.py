from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine
from slimdp.evaluation import nearest_pixels, paste_prediction
from slimdp.geometry import apply_affine
from slimdp.structures import DensePoseInstance

WIDTH, HEIGHT = 80, 60


def slow_paste(prediction: DensePoseInstance) -> tuple[np.ndarray, np.ndarray]:
    """Pixel by pixel over the whole image."""
    part, uv = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((2, HEIGHT, WIDTH), np.float32)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            crop_x, crop_y = np.floor(
                apply_affine(prediction.crop_from_image, np.array([[x, y]]))[0] + 0.5
            ).astype(int)
            if 0 <= crop_x < 64 and 0 <= crop_y < 64 and prediction.foreground[crop_y, crop_x]:
                part[y, x] = prediction.part[crop_y, crop_x]
                uv[:, y, x] = prediction.uv[:, crop_y, crop_x]
    return part, uv


@pytest.mark.parametrize(
    ("box", "rotation_deg", "flip"),
    [
        ((12, 7, 50, 40), 0, False),  # inside
        ((-30, 20, 60, 60), 0, False),  # over the edge
        ((20, 10, 30, 40), 35, True),
        ((10, 10, 8, 8), 0, False),  # enlarged
    ],
)
def test_paste_agrees_with_a_slow_reference(
    perfect_pair: Any, box: tuple[float, ...], rotation_deg: float, flip: bool
) -> None:
    _, prediction = perfect_pair()
    affine = crop_affine(
        np.array(box, dtype=float), CropSettings(size=64), rotation_deg=rotation_deg, flip=flip
    )
    foreground = np.random.default_rng(0).uniform(size=(64, 64)) < 0.7
    prediction = dataclasses.replace(prediction, crop_from_image=affine, foreground=foreground)
    part, uv = paste_prediction(prediction, WIDTH, HEIGHT)
    slow_part, slow_uv = slow_paste(prediction)
    assert 0 < (slow_part > 0).mean() < 1
    np.testing.assert_array_equal(part, slow_part)
    np.testing.assert_array_equal(uv, slow_uv)
    assert (part.dtype, uv.dtype) == (np.uint8, np.float32)


def test_a_crop_beside_the_image_pastes_nothing(perfect_pair: Any) -> None:
    _, prediction = perfect_pair()
    affine = crop_affine(np.array([500.0, 500.0, 30.0, 30.0]), CropSettings(size=64))
    part, uv = paste_prediction(dataclasses.replace(prediction, crop_from_image=affine), WIDTH, HEIGHT)
    assert not part.any()
    assert not uv.any()


def test_nearest_pixel_by_hand(perfect_pair: Any) -> None:
    _, prediction = perfect_pair()
    doubled = np.array([[2.0, 0, 0.5], [0, 2.0, -1.0]])
    prediction = dataclasses.replace(prediction, crop_from_image=doubled)
    points = np.array([[0.0, 0.5], [3.0, 4.2], [31.25, 32.2], [31.5, 3], [-0.51, 3], [3, 0.24]])
    pixels, inside = nearest_pixels(prediction, points)
    assert inside.tolist() == [True, True, True, False, False, False]
    assert pixels[:3].tolist() == [[1, 0], [7, 7], [63, 63]]
