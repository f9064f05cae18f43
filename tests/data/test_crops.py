"""Crops: where pixels go, and that none is lost or invented."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimdp.config import CropSettings
from slimdp.data import BORDER_RGB, crop_affine, crop_image, crop_side
from slimdp.geometry import apply_affine, invert_affine

BOX = np.array([40.0, 30.0, 50.0, 100.0])
SETTINGS = CropSettings(size=128, margin=0.14)  # 128 px for 128 px of the image


def smooth_image(height: int, width: int, waves: float = 3) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    bands = [np.sin(waves * 6.28 * (x + k * y)) for k in (0, 0.5, 1)]
    return np.round(127.5 + 120 * np.stack(bands, axis=-1)).astype(np.uint8)


def test_by_hand() -> None:
    assert crop_side(BOX, SETTINGS) == pytest.approx(128)
    affine = crop_affine(BOX, SETTINGS)
    # The box covers pixels 40..89 and 30..129: their middle goes to the middle of pixels 0..127.
    np.testing.assert_allclose(apply_affine(affine, np.array([[64.5, 79.5]])), [[63.5, 63.5]])
    np.testing.assert_allclose(affine[:, :2], np.eye(2))


def test_scale_rotation_shift_and_flip_by_hand() -> None:
    right = np.array([[74.5, 79.5]])  # 10 px right of the centre of the box
    np.testing.assert_allclose(apply_affine(crop_affine(BOX, SETTINGS, scale=2), right), [[83.5, 63.5]])
    turned = apply_affine(crop_affine(BOX, SETTINGS, rotation_deg=90), right)
    np.testing.assert_allclose(turned, [[63.5, 53.5]])  # counter-clockwise: to the top
    shifted = apply_affine(crop_affine(BOX, SETTINGS, shift=(0.25, -0.5)), right)
    np.testing.assert_allclose(shifted, [[105.5, -0.5]])
    np.testing.assert_allclose(apply_affine(crop_affine(BOX, SETTINGS, flip=True), right), [[53.5, 63.5]])


@given(
    st.floats(0.5, 2),
    st.floats(-180, 180),
    st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    st.booleans(),
)
def test_affine_is_a_similarity(scale: float, turn: float, shift: tuple[float, float], flip: bool) -> None:
    affine = crop_affine(BOX, SETTINGS, scale, turn, shift, flip)
    linear = affine[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * scale**2, atol=1e-9)
    assert np.sign(np.linalg.det(linear)) == (-1 if flip else 1)
    centre = apply_affine(affine, np.array([[64.5, 79.5]]))[0]
    wanted = 63.5 + 128 * np.array(shift)
    np.testing.assert_allclose(centre, [127 - wanted[0] if flip else wanted[0], wanted[1]], atol=1e-9)


@pytest.mark.parametrize("case", [([0, 0, 0, 5], 1.0), ([0, 0, 5, -1], 1.0), ([0, 0, 5, 5], 0.0)])
def test_no_size(case: tuple[list[float], float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        crop_affine(np.array(case[0]), SETTINGS, case[1])


def test_a_crop_at_scale_one_is_a_slice() -> None:
    image = smooth_image(160, 200)
    np.testing.assert_array_equal(crop_image(image, crop_affine(BOX, SETTINGS), 128), image[16:144, 1:129])


def test_flip_is_the_mirrored_crop() -> None:
    image = smooth_image(160, 200)
    crops = [
        crop_image(image, crop_affine(BOX, SETTINGS, 1.3, 20, (0.1, 0), flip), 128).astype(int)
        for flip in (False, True)
    ]
    assert np.abs(crops[0][:, ::-1] - crops[1]).max() <= 2  # interpolation in fixed point


@pytest.mark.parametrize("scale", [0.11, 0.3, 0.62, 1.0, 2.5])
@pytest.mark.parametrize("turn", [0, 33])
def test_against_the_picture_itself(scale: float, turn: float) -> None:
    """A picture known at every real coordinate: the crop shows its value where the affine says."""
    waves = 1 if scale < 0.2 else 3  # averaging over 42 px must not flatten the wave itself
    image = smooth_image(900, 1200, waves)
    affine = crop_affine(np.array([400.0, 300, 200, 300]), CropSettings(size=64, margin=0), scale, turn)
    crop = crop_image(image, affine, 64)
    y, x = np.mgrid[0:64, 0:64]
    where = apply_affine(invert_affine(affine), np.stack([x.ravel(), y.ravel()], axis=1))
    inside = ((where >= 8) & (where <= [1191, 891])).all(axis=1)
    u, v = where[inside].T / 1200
    wanted = np.stack([127.5 + 120 * np.sin(waves * 6.28 * (u + k * v)) for k in (0, 0.5, 1)], axis=-1)
    error = np.abs(crop.reshape(-1, 3)[inside] - wanted)
    assert inside.sum() > 200
    assert error.mean() < 1.5


def test_shrinking_does_not_alias() -> None:
    checks = np.zeros((512, 512, 3), dtype=np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    affine = crop_affine(np.array([0.0, 0, 512, 512]), CropSettings(size=64, margin=0), rotation_deg=10)
    crop = crop_image(checks, affine, 64)[16:48, 16:48]
    assert np.abs(crop.astype(float) - 127.5).max() < 8
    plain = cv2.warpAffine(checks, affine, (64, 64), flags=cv2.INTER_LINEAR)[16:48, 16:48]
    assert np.abs(plain.astype(float) - 127.5).max() > 60  # what it would be without care


@pytest.mark.parametrize("zoom", [0.2, 0.26, 0.36, 0.45, 0.52, 0.6, 0.75])
def test_a_shrunken_crop_is_nearly_the_mean_of_what_each_pixel_covers(zoom: float) -> None:
    """On noise as in photographs, against a crop of eight times the size, averaged."""
    rng = np.random.default_rng(0)
    waves = np.hypot(np.fft.fftfreq(400)[:, None], np.fft.rfftfreq(400)[None]).clip(1 / 400)
    grey = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(400, 400))) / waves)
    image = np.repeat((127 + 55 * grey / grey.std()).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    size = int(380 * zoom)
    affine = crop_affine(np.array([10.0, 10, 380, 380]), CropSettings(size=64, margin=0), 380 * zoom / 64, 8)
    affine[:, 2] += (size - 64) / 2
    fine = 8 * affine
    fine[:, 2] += 3.5
    exact = cv2.warpAffine(image, fine, (8 * size, 8 * size), flags=cv2.INTER_CUBIC)
    wanted = cv2.resize(exact, (size, size), interpolation=cv2.INTER_AREA).astype(float)
    inner = slice(size // 5, -(size // 5))
    error = np.abs(crop_image(image, affine, size) - wanted)[inner, inner].mean()
    plain = cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_LINEAR)
    assert error < 0.18 * wanted[inner, inner].std()
    assert zoom > 0.5 or error < 0.9 * np.abs(plain - wanted)[inner, inner].mean()


def test_a_box_far_larger_than_the_image_takes_no_memory() -> None:
    image = np.full((60, 80, 3), 200, dtype=np.uint8)
    for side in (1e4, 1e7):
        crop = crop_image(image, crop_affine(np.array([0.0, 0, side, side]), SETTINGS), 64)
        assert (np.abs(crop.astype(int) - BORDER_RGB).max(axis=2) > 0).sum() <= 4


def test_border() -> None:
    image = np.full((50, 50, 3), 200, dtype=np.uint8)
    partly = crop_image(
        image, crop_affine(np.array([0.0, 0, 128, 128]), CropSettings(size=128, margin=0)), 128
    )
    assert (partly[:50, :50] == 200).all()
    assert (partly[51:] == BORDER_RGB).all()
    assert (partly[:, 51:] == BORDER_RGB).all()
    away = crop_image(
        image, crop_affine(np.array([900.0, 0, 128, 128]), CropSettings(size=128, margin=0)), 128
    )
    assert (away == BORDER_RGB).all()
