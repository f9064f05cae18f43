"""What poor cameras, small pictures and strong compression do to a crop: grey, blur, noise, blocks.

Rendered pictures are sharp and clean; many real ones are not, and a network that has seen sharp ones alone
fails on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class PoorPicture:
    """What is done to a picture, in this order; the default does nothing."""

    sharpness: float = 1.0  # share of its px a side that are left when it is shrunk, and enlarged again
    blur: float = 0.0  # standard deviation of a Gaussian, px
    grey: bool = False
    noise: float = 0.0  # standard deviation of a normal noise, of 255
    noise_seed: int = 0
    jpeg: int = 0  # quality of a JPEG, 1 to 100; 0: none


#: Nothing is done.
AS_IT_IS = PoorPicture()
#: Values that `draw_poor_picture` takes from its generator.
_VALUES = 10


def draw_poor_picture(chance: float, rng: np.random.Generator) -> PoorPicture:
    """Nothing, or with a chance in 0..1 some of the faults: always the same number of random values.

    A poor picture has each fault with a chance of a half, but grey with a third.
    """
    values = rng.random(_VALUES)
    small, blurred, noisy, compressed = (values[1:5] < 0.5).tolist()
    size, sigma, noise, quality, seed = values[5:].tolist()
    if values[0] >= chance:
        return AS_IT_IS
    return PoorPicture(
        sharpness=0.25**size if small else 1.0,
        blur=0.3 + 1.7 * sigma if blurred else 0.0,
        grey=bool(values[0] < chance / 3),
        noise=0.08 * noise if noisy else 0.0,
        noise_seed=int(seed * 2**32),
        jpeg=10 + int(80 * quality) if compressed else 0,
    )


def worsen(image: np.ndarray, poor: PoorPicture) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB as a poor one; the same array where nothing is to be done."""
    height, width = image.shape[:2]
    if poor.sharpness < 1:
        small = (max(1, round(width * poor.sharpness)), max(1, round(height * poor.sharpness)))
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height))
    if poor.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), poor.blur)
    if poor.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if poor.noise > 0:
        normal = np.random.default_rng(poor.noise_seed).standard_normal(image.shape, dtype=np.float32)
        image = np.round(image + 255 * poor.noise * normal).clip(0, 255).astype(np.uint8)
    if poor.jpeg:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, poor.jpeg])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return image
