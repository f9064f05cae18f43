"""Maps of the network: read at points, warped along a flow, brought to another size.

Pixel centres are at integers. Everything here is pure.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def sample_at_points(maps: Tensor, points: Tensor, index: Tensor, channel: Tensor | None = None) -> Tensor:
    """Read maps bilinearly at points, (P, C), or (P,) of a `channel`; outside the border value holds.

    It is differentiable in `maps` and `points`.

    Args:
        maps: (B, C, h, w).
        points: (P, 2) x, y in px of the maps.
        index: (P,) int64, which of the B maps each point reads.
        channel: (P,) int64, the one channel that each point reads; None: all of them.
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


def bilinear_taps(points: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The four pixels between which points (N, 2) x, y px of a map lie, and their weights: both (4, N).

    A pixel is y width + x; beyond the outermost centres the border value holds.
    """
    x, y = points[:, 0].clip(0, width - 1), points[:, 1].clip(0, height - 1)
    x0 = np.minimum(x.astype(np.int64), max(width - 2, 0))
    y0 = np.minimum(y.astype(np.int64), max(height - 2, 0))
    wx, wy = x - x0, y - y0
    first = y0 * width + x0
    right, down = min(1, width - 1), width * min(1, height - 1)
    pixels = np.stack([first, first + right, first + down, first + right + down])
    weights = np.stack([(1 - wx) * (1 - wy), wx * (1 - wy), (1 - wx) * wy, wx * wy])
    return pixels, weights.astype(np.float32)


def upsample_map(maps: Tensor, stride: int) -> Tensor:
    """Maps (B, C, h, w) to (B, C, stride h, stride w) at crop px, bilinearly, where `map_from_crop` looks."""
    return F.interpolate(maps, scale_factor=stride, mode="bilinear", align_corners=False)
