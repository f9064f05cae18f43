"""From light to a picture: what lens, shutter and sensor do."""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.config.base import Settings
from slimdp.synthetic.motion_blur import motion_blur

#: Spreads (px) of the blurred copies that defocus is mixed from.
_SPREADS = (1.0, 2.0, 4.0)
_STEPS = 8192


class PhotoSettings(Settings):
    """A lens, a shutter and a sensor."""

    exposure: float = 1.0  # linear
    shutter: float = 0.0  # seconds
    lens_blur: float = 0.0  # px, everywhere
    aperture: float = 0.0  # px of blur far away, where near things are in focus
    focus: float = 4.0  # metres
    shot_noise: float = 0.0  # standard deviation at full scale, linear; grows with the root of the light
    read_noise: float = 0.0  # standard deviation in the dark, linear
    vignette: float = 0.0  # share of the light that the corners lose


def photograph(
    light: np.ndarray,
    depth: np.ndarray,
    motion: np.ndarray,
    settings: PhotoSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """A picture (H, W, 3) uint8 sRGB of linear light.

    Args:
        light: (H, W, 3) float32 linear RGB.
        depth: (H, W) metres, infinite where there is nothing.
        motion: (H, W, 2) px that what is seen moves while the shutter is open.
        settings: the camera's.
        rng: the sensor's chance.
    """
    picture = motion_blur(light, motion, depth) if settings.shutter > 0 else light
    if settings.aperture > 0:
        picture = _defocus(picture, depth, settings.aperture, settings.focus)
    if settings.lens_blur > 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), settings.lens_blur)
    height, width = depth.shape
    if settings.vignette > 0:
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        picture = picture * (1 - settings.vignette / 2 * (x**2 + y[:, None] ** 2))[..., None]
    picture = np.maximum(picture * np.float32(settings.exposure), 0)
    if settings.shot_noise > 0 or settings.read_noise > 0:
        spread = np.sqrt(np.float32(settings.shot_noise**2) * picture + np.float32(settings.read_noise**2))
        picture = picture + spread * rng.standard_normal(picture.shape, dtype=np.float32)
    return _SRGB[(np.clip(_shoulder(picture), 0, 1) * _STEPS + 0.5).astype(np.int32)]


def _shoulder(light: np.ndarray) -> np.ndarray:
    """Bend what is brighter than 0.8 towards white instead of cutting it off, as cameras do."""
    over = np.maximum(light - 0.8, 0)
    return np.minimum(light, 0.8) + 0.2 * over / (over + 0.2)


def _srgb_table() -> np.ndarray:
    linear = np.arange(_STEPS + 1) / _STEPS
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8)


_SRGB = _srgb_table()


def _defocus(picture: np.ndarray, depth: np.ndarray, aperture: float, focus: float) -> np.ndarray:
    """Blur by the circle of confusion; what is sharp does not leak into what is not."""
    circle = (aperture * np.abs(1 - focus / np.maximum(depth, 0.2))).astype(np.float32)
    circle = np.minimum(circle, _SPREADS[-1])
    result, last = picture, 0.0
    for spread in _SPREADS:
        if circle.max() <= last:
            break
        weight = np.clip(circle / spread, 0.02, 1)
        blurred = cv2.GaussianBlur(picture * weight[..., None], (0, 0), spread)
        blurred /= cv2.GaussianBlur(weight, (0, 0), spread)[..., None]
        mix = np.clip((circle - last) / (spread - last), 0, 1)[..., None]
        result, last = result * (1 - mix) + blurred * mix, spread
    return result
