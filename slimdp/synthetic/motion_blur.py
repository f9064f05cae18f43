"""The blur of what moves while the shutter is open, gathered along the true motion of every pixel.

Each pixel looks along the fastest motion near it, as McGuire, Hennessy, Bukowski and Osman do (A
Reconstruction Filter for Plausible Motion Blur, 2012), and averages over the shutter's time what passes it
then. Posing everybody at many times within the shutter would also know what is uncovered behind, where this
takes the nearest that is seen, but costs as many poses as the blur is pixels long.
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
#: Times within the shutter that are looked at, at most.
_MOST_TAPS = 25


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
    own, here, still = half[chosen], depths[chosen], colours[chosen]
    taps = int(np.clip(np.ceil(longest), 5, _MOST_TAPS)) | 1
    total = np.zeros_like(still)
    for time in (np.arange(taps) + 0.5) / taps - 0.5:
        x = np.clip(np.rint(column + time * direction[:, 0]), 0, width - 1)
        y = np.clip(np.rint(row + time * direction[:, 1]), 0, height - 1)
        there = (y * width + x).astype(np.int64)
        distance = abs(time) * length
        # What lies there is here at that time if it comes that far and is not behind; or this has moved on.
        in_front = np.clip(1 - (depths[there] - here) / _BESIDE, 0, 1)
        behind = np.clip(1 - (here - depths[there]) / _BESIDE, 0, 1)
        passing = np.maximum(in_front * _within(distance, half[there]), behind * _within(distance, own))
        total += still + (colours[there] - still) * passing[:, None]
    result = colours.copy()
    result[chosen] = total / taps
    return result.reshape(light.shape)


def _fastest_near(speed: np.ndarray, reach: int) -> np.ndarray:
    """The flat index (H W,) of the fastest pixel within a square of `reach` px."""
    # One number holds speed and place, so that a maximum finds both.
    places = float(speed.size)
    code = np.rint(speed * 64).astype(np.float64) * places + np.arange(speed.size).reshape(speed.shape)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.mod(cv2.dilate(code, kernel), places).astype(np.int64).ravel()


def _within(distance: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """1 where a distance is covered, softly 0 beyond (px)."""
    return np.clip(reach + 0.5 - distance, 0, 1)
