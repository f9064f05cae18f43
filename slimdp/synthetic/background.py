"""Backgrounds with texture at all scales and clutter, larger than the frame, so that a camera can pan."""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.synthetic.looks import random_colours


def random_background(rng: np.random.Generator, size: int, objects: tuple[int, int] = (8, 30)) -> np.ndarray:
    """A square picture (size, size, 3) float32 RGB 0..1.

    Args:
        rng: chance.
        size: side, px.
        objects: that clutter it: the fewest, and one over the most.
    """
    first, second = random_colours(rng, 2).reshape(2, 1, 1, 3)
    blend = _noise(rng, size, 3, 0.5)[..., None]
    picture = first * (1 - blend) + second * blend
    for _ in range(int(rng.integers(*objects))):
        picture = _add_object(rng, picture.astype(np.float32))
    grain = _noise(rng, size, 6, 0.8)[..., None] - 0.5
    return np.clip(picture * (1 + 0.5 * grain), 0, 1).astype(np.float32)


def _noise(rng: np.random.Generator, size: int, octaves: int, roughness: float) -> np.ndarray:
    """Smooth noise (size, size) in 0..1: random grids of growing detail, each `roughness` times the last."""
    total, weight = np.zeros((size, size), dtype=np.float32), 0.0
    for octave in range(octaves):
        cells = min(2 ** (octave + 2), size)
        grid = rng.random((cells, cells)).astype(np.float32)
        total += roughness**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        weight += roughness**octave
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)


def _add_object(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Paint a box, a blob or a pole, plain or striped."""
    size = len(picture)
    mask = np.zeros((size, size), dtype=np.uint8)
    centre = rng.integers(0, size, 2)
    kind = rng.integers(3)
    extent = rng.uniform(0.03, 0.22, 2) * size
    if kind == 0:
        box = cv2.boxPoints(
            ((float(centre[0]), float(centre[1])), tuple(2 * extent), float(rng.uniform(0, 180)))
        )
        cv2.fillPoly(mask, [box.astype(np.int32)], 1)
    elif kind == 1:
        axes = (int(extent[0]) + 1, int(extent[1]) + 1)
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    else:
        far = rng.integers(0, size, 2)
        cv2.line(mask, tuple(int(c) for c in centre), tuple(int(c) for c in far), 1, int(rng.integers(2, 14)))
    colour, other = random_colours(rng, 2).astype(np.float32)
    paint = np.broadcast_to(colour, picture.shape)
    if rng.random() < 0.4:
        direction, pitch = rng.uniform(0, np.pi), rng.uniform(6, 30)
        y, x = np.mgrid[:size, :size]
        bands = ((x * np.cos(direction) + y * np.sin(direction)) / pitch % 1) < 0.5
        paint = np.where(bands[..., None], colour, other)
    return np.where(mask[..., None] > 0, paint, picture)
