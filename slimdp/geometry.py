"""Pixel geometry, once: affine maps, sampling at points, and the frames of crop and map.

Pixel centres are at integers. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    linear = np.asarray(affine, dtype=np.float64)[:, :2]
    if abs(np.linalg.det(linear)) < 1e-12:
        raise ValueError(f"an affine map without an inverse: {np.asarray(affine).tolist()}")
    inverse = np.linalg.inv(linear)
    return np.concatenate([inverse, -inverse @ affine[:, 2:]], axis=1)


def map_from_crop(points: Tensor) -> Tensor:
    """Crop px -> map px. Map pixel m averages crop pixels 4 m .. 4 m + 3, so its centre is 4 m + 1.5."""
    return (points - (STRIDE - 1) / 2) / STRIDE


def sample_at_points(maps: Tensor, points: Tensor, index: Tensor) -> Tensor:
    """Read maps bilinearly at points; outside the maps the border value holds.

    Args:
        maps: (B, C, h, w).
        points: (P, 2) x, y in px of the maps.
        index: (P,) int64, which of the B maps each point reads.

    Returns:
        (P, C), differentiable in `maps` and `points`.
    """
    height, width = maps.shape[-2:]
    x = points[:, 0].clamp(0, width - 1)
    y = points[:, 1].clamp(0, height - 1)
    x0 = x.detach().floor().long().clamp(max=max(width - 2, 0))
    y0 = y.detach().floor().long().clamp(max=max(height - 2, 0))
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    wx, wy = (x - x0).unsqueeze(1), (y - y0).unsqueeze(1)
    # Advanced indexing puts the P axis first: (P, C).
    top = maps[index, :, y0, x0] * (1 - wx) + maps[index, :, y0, x1] * wx
    bottom = maps[index, :, y1, x0] * (1 - wx) + maps[index, :, y1, x1] * wx
    return top * (1 - wy) + bottom * wy


def warp_maps(maps_1: Tensor, flow_0to1: Tensor) -> tuple[Tensor, Tensor]:
    """Bring the maps of frame 1 to the pixels of frame 0: each reads, bilinearly, where it moved to.

    Args:
        maps_1: (B, C, h, w).
        flow_0to1: (B, 2, h, w) px, x first.

    Returns:
        (B, C, h, w) at the pixels of frame 0, differentiable in both arguments, the border's value outside;
        and (B, h, w) bool, whether the place is inside of frame 1. NaN moves to no place.
    """
    height, width = maps_1.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=maps_1.device), torch.arange(width, device=maps_1.device), indexing="ij"
    )
    place_1 = flow_0to1 + torch.stack([x, y])  # (B, 2, h, w)
    limit = place_1.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    # Rounding alone must not put a pixel of the border outside.
    inside = ((place_1 >= -1e-3) & (place_1 <= limit + 1e-3)).all(dim=1)
    normalised = 2 * torch.where(inside[:, None], place_1, 0) / limit.clamp(min=1) - 1
    warped = F.grid_sample(
        maps_1, normalised.movedim(1, -1), mode="bilinear", padding_mode="border", align_corners=True
    )
    return warped, inside


def resize_flow(flow: Tensor, valid: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A flow on a coarser or finer raster over the same crop.

    Pixels are squares that tile the crop: pixel m of a raster half as fine covers pixels 2 m and 2 m + 1.

    Args:
        flow: (B, 2, H, W) px, x first.
        valid: (B, H, W) bool.
        size: h, w.

    Returns:
        (B, 2, h, w) px of the new raster, and (B, h, w) bool: where all pixels that count are valid.
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow, valid
    known = torch.where(valid[:, None], flow, 0)  # NaN would spread

    def to_size(maps: Tensor) -> Tensor:
        return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)

    scale = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    # 1e-6: weights sum to 1 up to rounding.
    return to_size(known) * scale, to_size(valid[:, None].float())[:, 0] >= 1 - 1e-6


def upsample_map(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) at map px to (B, C, 4 h, 4 w) at crop px, bilinearly; inverse of `map_from_crop`."""
    return F.interpolate(maps, scale_factor=STRIDE, mode="bilinear", align_corners=False)


def as_affine_tensor(affines: list[np.ndarray]) -> Tensor:
    """A list of B affines (2, 3) as one float32 tensor (B, 2, 3)."""
    return torch.from_numpy(np.stack(affines)).float()
