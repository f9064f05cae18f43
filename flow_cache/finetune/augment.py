"""Changes of a pair of pictures that keep the flow between them known."""

from __future__ import annotations

import cv2
import numpy as np


def flip(
    rng: np.random.Generator, images: np.ndarray, flow_0to1: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirror a sample left to right half of the time, and top to bottom a tenth of it; as `FlowSample`."""
    for axis, (chance, along) in enumerate(((0.5, -1), (0.1, -2))):
        if rng.random() < chance:
            images, weight = np.flip(images, along - 1), np.flip(weight, along)
            flow_0to1 = np.flip(flow_0to1, along).copy()
            flow_0to1[axis] *= -1
    return np.ascontiguousarray(images), flow_0to1, np.ascontiguousarray(weight)


def change_colours(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Change brightness, contrast, tint and noise of images (2, H, W, 3) in 0..255; a fifth of them apart.

    In a third of the pairs a rectangle of the second image is wiped out, as something that comes before it
    (RAFT, supplement).
    """
    images = images.astype(np.float32)
    first = _colour_change(rng)
    second = _colour_change(rng) if rng.random() < 0.2 else first
    images = np.stack([change(image) for change, image in zip((first, second), images)])
    images = images + rng.normal(0, rng.uniform(0, 6), images.shape)
    if rng.random() < 1 / 3:
        side = images.shape[1]
        wide, high = rng.integers(side // 8, side // 3, 2)
        x, y = rng.integers(0, side - wide), rng.integers(0, side - high)
        images[1, y : y + high, x : x + wide] = images[1].mean(axis=(0, 1))
    return images.clip(0, 255).astype(np.float32)  # type: ignore[no-any-return]


def _colour_change(rng: np.random.Generator):  # type: ignore[no-untyped-def]
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    gamma, lift = rng.uniform(0.8, 1.25), rng.uniform(-20, 20)

    def change(image: np.ndarray) -> np.ndarray:
        return (255 * (image / 255) ** gamma * gain + lift).astype(np.float32)  # type: ignore[no-any-return]

    return change


def flying_patches(
    rng: np.random.Generator, ground: np.ndarray, above: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patches of one picture fly over another, each by an affine motion of its own, as FlyingChairs do.

    `ground` and `above` are (H, W, 3) uint8. Returns images (2, side, side, 3) float32 and the flow
    (2, side, side) float32 px.
    """
    whole = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in (ground, above)]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    places = np.stack([x, y, np.ones_like(x)])  # (3, side, side)
    shift = rng.uniform(0.02, 0.12) * side  # px, how far things move in this pair
    camera = _affine(rng, side, shift / 2)
    first = whole[0].astype(np.float32)
    second = _warp(first, camera)
    flow_0to1 = np.tensordot(camera, places, 1) - places[:2]
    for _ in range(int(rng.integers(1, 5))):
        mask_0 = _blob(rng, side)
        way = _affine(rng, side, shift)
        mask_1 = _warp(mask_0.astype(np.float32), way, cv2.BORDER_CONSTANT) > 0.5
        first = np.where(mask_0[..., None], whole[1], first)
        second = np.where(mask_1[..., None], _warp(whole[1].astype(np.float32), way), second)
        flow_0to1 = np.where(mask_0, np.tensordot(way, places, 1) - places[:2], flow_0to1)
    return np.stack([first, second]).astype(np.float32), flow_0to1.astype(np.float32)


def _affine(rng: np.random.Generator, side: int, shift: float) -> np.ndarray:
    """Takes places of the first picture to the second, (2, 3): turns and scales about a place inside."""
    middle = rng.uniform(side / 4, 3 * side / 4, 2)
    matrix = cv2.getRotationMatrix2D(tuple(middle), rng.normal(0, 4), float(np.exp(rng.normal(0, 0.04))))
    matrix[:, 2] = matrix[:, 2] + rng.normal(0, shift, 2)
    return matrix.astype(np.float32)  # type: ignore[no-any-return]


def _warp(image: np.ndarray, matrix: np.ndarray, border: int = cv2.BORDER_REFLECT_101) -> np.ndarray:
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)


def _blob(rng: np.random.Generator, side: int) -> np.ndarray:
    """A patch (side, side) bool: a star about a random place, from a leg's width to half of the picture."""
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(0.05, 0.3) * side * rng.uniform(0.4, 1.3, corners)
    stretch = np.array([1, rng.uniform(0.3, 1)])
    middle = rng.uniform(0.1 * side, 0.9 * side, 2)
    outline = middle + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1) * stretch
    mask = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask.astype(bool)
