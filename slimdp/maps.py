"""Maps of the network: read at points, warped along a flow, brought to another size.

Pixel centres are at integers. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


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
        (B, 2, h, w) px of the new raster, the mean of the valid pixels that count, and (B, h, w) bool: where
        these are half or more, by weight.
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow, valid

    def to_size(maps: Tensor) -> Tensor:
        return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)

    share = to_size(valid[:, None].to(flow.dtype))
    known = to_size(torch.where(valid[:, None], flow, 0)) / share.clamp(min=1e-6)  # NaN would spread
    scale = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return known * scale, share[:, 0] >= 0.5


def upsample_map(maps: Tensor, stride: int) -> Tensor:
    """Maps (B, C, h, w) to (B, C, stride h, stride w) at crop px, bilinearly, where `map_from_crop` looks."""
    return F.interpolate(maps, scale_factor=stride, mode="bilinear", align_corners=False)
