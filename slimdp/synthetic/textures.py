"""Procedural materials with detail at all scales, and how they are looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from slimdp.synthetic.looks import random_colours

#: Steps of a linear-light table for 8-bit pictures.
_SRGB = np.arange(256) / 255
_TO_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_linear(colour: np.ndarray) -> np.ndarray:
    """sRGB 0..1 -> linear light 0..1, float32, in steps of a 255th (IEC 61966-2-1)."""
    return _TO_LINEAR[(np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)]


@dataclass(frozen=True)
class Texture:
    """A picture that repeats over a surface, mirrored, and its smaller copies for distant places."""

    image: np.ndarray  # (H, W, 3) uint8 sRGB; row 0 is at v = 0
    texel: float  # metres

    @cached_property
    def levels(self) -> tuple[np.ndarray, ...]:
        """The picture in linear light, float32, and halved again and again."""
        levels = [_TO_LINEAR[self.image]]
        while min(levels[-1].shape[:2]) > 8 and len(levels) < 6:
            height, width = levels[-1].shape[:2]
            levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        return tuple(levels)

    def colours(self, uv: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Linear RGB (N, 3) float32 at places (N, 2) metres seen by pixels of a size (N,) metres."""
        level = np.log2(np.maximum(footprint / self.texel, 1e-3))
        level = np.clip(np.rint(level), 0, len(self.levels) - 1).astype(np.int64)
        colour = np.empty((len(uv), 3), dtype=np.float32)
        for index in np.flatnonzero(np.bincount(level)):
            there = level == index
            image = self.levels[index]
            scale = 1 / (self.texel * 2.0**index)
            colour[there] = _bilinear(image, uv[there].astype(np.float32) * np.float32(scale))
        return colour


def _bilinear(image: np.ndarray, texels: np.ndarray) -> np.ndarray:
    """Colours (N, 3) of a picture at x, y texels (N, 2) from its corner, mirrored without end."""
    height, width = image.shape[:2]
    # OpenCV takes no row longer than 32767, and its own mirroring is slow far outside.
    rows = -(-len(texels) // 1024)
    padded = np.zeros((rows * 1024, 2), dtype=np.float32)
    size = np.array([width, height], dtype=np.float32)
    folded = np.mod(texels, 2 * size)
    padded[: len(texels)] = np.minimum(folded, 2 * size - folded) - 0.5
    maps = padded.reshape(rows, 1024, 2)
    x, y = maps[..., 0], maps[..., 1]
    looked_up = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return looked_up.reshape(-1, 3)[: len(texels)]


def noise(
    rng: np.random.Generator, shape: tuple[int, int], octaves: int, roughness: float, coarsest: int = 4
) -> np.ndarray:
    """Smooth noise (H, W) float32 in 0..1: random grids, ever finer, each `roughness` times the last."""
    height, width = shape
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        cells = coarsest * 2**octave
        across = max(2, min(width, cells * width // max(height, 1)))
        grid = rng.random((min(cells, height), across), dtype=np.float32) * np.float32(roughness**octave)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def _blend(colours: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return colours[0] * (1 - weight[..., None]) + colours[1] * weight[..., None]


def _plaster(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One colour, stained and grainy."""
    colour = random_colours(rng, 1)[0]
    return colour * (0.85 + 0.3 * noise(rng, shape, 7, 0.75)[..., None])


def _bricks(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Bricks or blocks in courses, each of its own shade."""
    colours = random_colours(rng, 2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    high = rng.uniform(8, 20)
    wide = high * rng.uniform(1.5, 3)
    row = np.floor(y / high)
    column = x / wide + 0.5 * (row % 2)
    shade = rng.uniform(0.7, 1.25, (97, 89)).astype(np.float32)
    each = shade[row.astype(int) % 97, np.floor(column).astype(int) % 89]
    joint = (y / high % 1 < 1.6 / high) | (column % 1 < 1.6 / wide)
    image = np.where(joint[..., None], colours[1], colours[0] * each[..., None])
    return image * (0.8 + 0.4 * noise(rng, shape, 7, 0.8)[..., None])


def _tiles(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Square tiles, in one colour or as a chess board."""
    colours = random_colours(rng, 3)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / np.float32(rng.uniform(14, 45))
    chess = (np.floor(x) + np.floor(y)) % 2 * (rng.random() < 0.5)
    image = _blend(colours[:2], chess.astype(np.float32))
    joint = (x % 1 < 0.05) | (y % 1 < 0.05)
    image = np.where(joint[..., None], colours[2], image)
    return image * (0.85 + 0.3 * noise(rng, shape, 6, 0.7)[..., None])


def _planks(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Boards with grain along them."""
    colour = np.clip(np.array([0.62, 0.44, 0.28]) * rng.uniform(0.4, 1.4) + rng.normal(0, 0.04, 3), 0, 1)
    x = np.arange(shape[1], dtype=np.float32) / np.float32(rng.uniform(8, 22))
    shade = rng.uniform(0.75, 1.2, 211).astype(np.float32)[np.floor(x).astype(int) % 211]
    grain = cv2.resize(noise(rng, (max(shape[0] // 16, 4), shape[1]), 6, 0.9, 8), shape[::-1])
    image = colour * (shade * (x % 1 > 0.07))[None, :, None] * (0.7 + 0.6 * grain[..., None])
    return np.transpose(image, (1, 0, 2)) if shape[0] == shape[1] and rng.random() < 0.5 else image


def _ground(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Grass, sand, asphalt, carpet: coarse patches and fine grain."""
    bases = np.array([[0.30, 0.42, 0.18], [0.66, 0.58, 0.44], [0.36, 0.36, 0.37], [0.45, 0.3, 0.28]])
    base = np.clip(bases[rng.integers(4)] + rng.normal(0, 0.06, 3), 0.05, 0.95)
    patches = noise(rng, shape, 4, 0.7)[..., None]
    grain = rng.normal(1, rng.uniform(0.1, 0.3), shape).astype(np.float32)[..., None]
    return base * (0.65 + 0.5 * patches) * grain + 0.1 * patches * rng.random(3)


def _stripes(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Wallpaper or cloth: stripes, checks or dots."""
    colours = random_colours(rng, 2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    pitch, kind = rng.uniform(8, 36), rng.integers(3)
    a, b = np.sin(2 * np.pi * x / pitch), np.sin(2 * np.pi * y / pitch)
    weight = [a > 0.3, a * b > 0.1, a + b > 1.1][kind]
    image = _blend(colours, weight.astype(np.float32))
    return image * (0.85 + 0.3 * noise(rng, shape, 6, 0.75)[..., None])


MATERIALS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    maker.__name__.removeprefix("_"): maker
    for maker in (_plaster, _bricks, _tiles, _planks, _ground, _stripes)
}
FLOORS = ("tiles", "planks", "ground", "ground", "plaster")
WALLS = ("plaster", "plaster", "bricks", "tiles", "planks", "stripes")
THINGS = ("plaster", "planks", "stripes", "tiles", "plaster")


def random_material(
    rng: np.random.Generator, kinds: tuple[str, ...], shape: tuple[int, int], texel: float
) -> Texture:
    """A texture of (H, W) texels of one of these kinds."""
    image = MATERIALS[str(rng.choice(kinds))](rng, shape)
    # Nothing but velvet is darker than a fiftieth of white in linear light.
    return Texture(to_bytes(0.14 + 0.84 * np.clip(image, 0, 1)), texel)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """0..1 -> uint8."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
