"""The blur of what moves while the shutter is open, gathered along the true motion of every pixel.

McGuire, Hennessy, Bukowski and Osman, A Reconstruction Filter for Plausible Motion Blur, 2012: each pixel
looks along the fastest motion near it and takes in what passes it or is uncovered. Posing everybody at many
times within the shutter would be exact, but costs as many poses as the blur is pixels long.
"""

from __future__ import annotations

import cv2
import numpy as np

#: Motions shorter than this (px) leave no trace.
_LEAST = 0.5
#: Longer ones are cut (px).
_MOST = 40.0
#: Depths this near (metres) are side by side rather than one before the other.
_BESIDE = 0.1


def motion_blur(light: np.ndarray, motion: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Blur linear light (H, W, 3) along motions (H, W, 2) px in the shutter's time; depth (H, W) metres."""
    height, width = depth.shape
    speed = np.linalg.norm(motion, axis=2)
    cut = np.minimum(1, _MOST / np.maximum(speed, 1e-6))
    motion, speed = motion * cut[..., None], speed * cut
    longest = float(speed.max())
    if longest < _LEAST:
        return light
    fastest = _fastest_near(speed, int(np.ceil(longest / 2)))
    chosen = np.flatnonzero(speed.ravel()[fastest] >= _LEAST)
    direction = motion.reshape(-1, 2)[fastest[chosen]].astype(np.float32)
    colours = np.ascontiguousarray(light.reshape(-1, 3), dtype=np.float32)
    half = (speed / 2).astype(np.float32).ravel()
    depths = np.minimum(depth, 1e4).astype(np.float32).ravel()
    row, column = (chosen // width).astype(np.float32), (chosen % width).astype(np.float32)
    length = np.linalg.norm(direction, axis=1)
    own, here = np.maximum(half[chosen], 0.25), depths[chosen]
    weight = 1 / np.maximum(2 * own, 1)
    total = colours[chosen] * weight[:, None]
    taps = int(np.clip(np.ceil(longest), 5, 17)) | 1
    for time in np.linspace(-0.5, 0.5, taps):
        if abs(time) < 1e-6:
            continue
        x = np.clip(np.rint(column + time * direction[:, 0]), 0, width - 1)
        y = np.clip(np.rint(row + time * direction[:, 1]), 0, height - 1)
        there = (y * width + x).astype(np.int64)
        distance, other = abs(time) * length, np.maximum(half[there], 0.25)
        before = np.clip(1 - (depths[there] - here) / _BESIDE, 0, 1)  # it is in front of this pixel
        behind = np.clip(1 - (here - depths[there]) / _BESIDE, 0, 1)
        passing = before * np.clip(1 - distance / other, 0, 1)
        uncovered = behind * np.clip(1 - distance / own, 0, 1)
        together = _within(distance, other) * _within(distance, own) * 2
        share = passing + uncovered + together
        weight += share
        total += colours[there] * share[:, None]
    result = colours.copy()
    result[chosen] = total / weight[:, None]
    return result.reshape(light.shape)


def _fastest_near(speed: np.ndarray, reach: int) -> np.ndarray:
    """The flat index (H W,) of the fastest pixel within a square of `reach` px."""
    # One number holds speed and place, so that a maximum finds both.
    places = float(speed.size)
    code = np.rint(speed * 64).astype(np.float64) * places + np.arange(speed.size).reshape(speed.shape)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.mod(cv2.dilate(code, kernel), places).astype(np.int64).ravel()


def _within(distance: np.ndarray, reach: np.ndarray) -> np.ndarray:
    return np.clip((1.05 * reach - distance) / (0.1 * reach), 0, 1)
