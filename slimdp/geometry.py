"""Pixel geometry, once: affine maps, sampling at points, and the frames of crop and map.

Pixel centres are at integers. Everything here is pure.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Crop pixels per pixel of the network's output maps (256 px in, 64 px out; Slim DensePose, 5.1).
STRIDE = 4


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


def map_from_crop(points: Tensor) -> Tensor:
    """Crop px -> map px. Map pixel m averages crop pixels 4 m .. 4 m + 3, so its centre is 4 m + 1.5."""
    return (points - (STRIDE - 1) / 2) / STRIDE


def sample_at_points(maps: Tensor, points: Tensor, index: Tensor, channel: Tensor | None = None) -> Tensor:
    """Read maps bilinearly at points; outside the maps the border value holds.

    Args:
        maps: (B, C, h, w).
        points: (P, 2) x, y in px of the maps.
        index: (P,) int64, which of the B maps each point reads.
        channel: (P,) int64, the one channel that each point reads; None: all of them.

    Returns:
        (P, C), or (P,) with `channel`; differentiable in `maps` and `points`.
    """
    height, width = maps.shape[-2:]
    x = points[:, 0].clamp(0, width - 1)
    y = points[:, 1].clamp(0, height - 1)
    x0 = x.detach().floor().long().clamp(max=max(width - 2, 0))
    y0 = y.detach().floor().long().clamp(max=max(height - 2, 0))
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    wx, wy = x - x0, y - y0
    # The four pixels around, read by one operation: its gradient makes a map full of zeros only once.
    columns, rows = torch.stack([x0, x1, x0, x1], 1), torch.stack([y0, y0, y1, y1], 1)  # (P, 4)
    weights = torch.stack([(1 - wx) * (1 - wy), wx * (1 - wy), (1 - wx) * wy, wx * wy], 1)
    if channel is not None:
        return (maps[index[:, None], channel[:, None], rows, columns] * weights).sum(1)
    return (maps.permute(0, 2, 3, 1)[index[:, None], rows, columns] * weights[:, :, None]).sum(1)


def upsample_map(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) at map px to (B, C, 4 h, 4 w) at crop px, bilinearly; inverse of `map_from_crop`."""
    return F.interpolate(maps, scale_factor=STRIDE, mode="bilinear", align_corners=False)


def as_affine_tensor(affines: list[np.ndarray]) -> Tensor:
    """A list of B affines (2, 3) as one float32 tensor (B, 2, 3)."""
    return torch.from_numpy(np.stack(affines)).float()
