"""Colours as people's things have them."""

from __future__ import annotations

import numpy as np

#: What shops sell most, RGB 0..1: black, white, greys, navy, blue, beige, brown, olive, reds, pink, yellow.
_SHOP = np.array(
    [
        [0.08, 0.08, 0.09], [0.93, 0.93, 0.91], [0.25, 0.26, 0.28], [0.58, 0.59, 0.60], [0.10, 0.14, 0.27],
        [0.22, 0.38, 0.66], [0.80, 0.73, 0.60], [0.38, 0.26, 0.18], [0.33, 0.36, 0.22], [0.72, 0.13, 0.14],
        [0.40, 0.09, 0.16], [0.88, 0.60, 0.64], [0.90, 0.75, 0.25], [0.14, 0.42, 0.30], [0.55, 0.75, 0.86],
    ]
)  # fmt: skip


def random_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) RGB 0..1 as cloth and walls have them: any lightness, mostly dull."""
    grey = rng.uniform(0.06, 0.94, (count, 1))
    saturation = rng.beta(1.2, 3, (count, 1))
    return np.clip(grey + saturation * rng.uniform(-0.8, 0.8, (count, 3)), 0.02, 0.98)


def garment_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) RGB 0..1 of one garment, each as different from those before as chance allows."""
    chosen: list[np.ndarray] = []
    for _ in range(count):
        shop = np.clip(_SHOP[rng.integers(len(_SHOP), size=4)] + rng.normal(0, 0.04, (4, 3)), 0.02, 0.98)
        offers = np.where(rng.random((4, 1)) < 0.65, shop, random_colours(rng, 4))
        gap = [min((np.abs(offer - c).sum() for c in chosen), default=0.0) for offer in offers]
        chosen.append(offers[int(np.argmax(gap))])
    return np.stack(chosen)


def random_waves(
    rng: np.random.Generator, count: int, shortest: float, longest: float, dimensions: int = 3
) -> np.ndarray:
    """Plane waves (count, dimensions + 1): angular frequencies in any direction, and phases.

    Args:
        rng: chance.
        count: of waves.
        shortest: wavelength, metres.
        longest: wavelength, metres.
        dimensions: of the space that they run through.
    """
    direction = rng.normal(size=(count, dimensions))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
    return np.concatenate([2 * np.pi * direction / length, rng.uniform(0, 2 * np.pi, (count, 1))], axis=1)


def wavy(points: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """The mean (N,), in -1..1, of plane waves at points (N, D)."""
    single = waves.astype(np.float32)  # sines of half the bytes take a quarter of the time
    total = np.zeros(len(points), dtype=np.float32)
    for wave in single:
        total += np.sin(points.astype(np.float32) @ wave[:-1] + wave[-1])
    return total / len(waves)
