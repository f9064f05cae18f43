"""Pixel geometry, once: affine maps, boxes, and the frames of crop and map.

Pixel centres are at integers. Everything here is pure, and starts without torch (`slimdp.maps` needs it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # affines are numpy's: what uses no more starts without torch
    from torch import Tensor


def apply_affine(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Move points (N, 2) x, y by an affine (2, 3): A @ (x, y, 1). Returns (N, 2) float64."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return points @ affine[:, :2].T + affine[:, 2]


def invert_affine(affine: np.ndarray) -> np.ndarray:
    """The affine (2, 3) that undoes another one; raises ValueError where there is none."""
    (a, b, c), (d, e, f) = np.asarray(affine, dtype=np.float64).tolist()
    determinant = a * e - b * d
    if abs(determinant) < 1e-12:
        raise ValueError(f"an affine map without an inverse: {np.asarray(affine).tolist()}")
    # By Cramer's rule: for one small matrix numpy.linalg takes ten times as long.
    inverse = np.array([[e, -b, b * f - c * e], [-d, a, c * d - a * f]])
    return inverse / determinant


def affine_zoom(affine: np.ndarray) -> float:
    """By how much an affine (2, 3) enlarges, the root of its determinant: 2 for one that doubles lengths."""
    (a, b, _), (d, e, _) = np.asarray(affine, dtype=np.float64).tolist()
    return float(abs(a * e - b * d) ** 0.5)


def move_box(box: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The smallest box (4,) x, y, width, height around one that an affine (2, 3) moved, px; float64.

    A box covers its pixels up to their edges, half a pixel beyond their centres.
    """
    left, top, width, height = np.asarray(box, dtype=np.float64).tolist()
    right, bottom = left + width, top + height
    corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)]) - 0.5
    moved = apply_affine(affine, corners) + 0.5
    low = moved.min(axis=0)
    return np.concatenate([low, moved.max(axis=0) - low])


def box_edges(xywh: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom of boxes (..., 4) x, y, width, height."""
    return np.concatenate([xywh[..., :2], xywh[..., :2] + xywh[..., 2:]], axis=-1)


def box_within(edges: np.ndarray, width: int, height: int) -> np.ndarray:
    """The box (4,) x, y, width, height of edges (4,) px cut to a frame, at least 1 px wide and high."""
    edges = np.clip(edges, 0, [width, height, width, height])
    return np.concatenate([edges[:2], np.maximum(edges[2:] - edges[:2], 1.0)])


def box_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with boxes (M, 4), x, y, width, height px: (N, M)."""
    a, b = box_edges(first)[:, None], box_edges(second)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides.prod(axis=-1)
    union = first[:, None, 2:].prod(axis=-1) + second[None, :, 2:].prod(axis=-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


Places = TypeVar("Places", "Tensor", np.ndarray)


def map_from_crop(points: Places, stride: int) -> Places:
    """Crop px -> px of maps, `stride` crop px each: that of map px 0 has its centre at (stride - 1) / 2."""
    return (points - (stride - 1) / 2) / stride


def crop_from_map(points: Places, stride: int) -> Places:
    """The other way round."""
    return stride * points + (stride - 1) / 2
