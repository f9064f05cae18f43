"""The forward-backward check: where does a pixel end that goes along the flow and back again?

Points are (x, y) in px with pixel centres at integers; a frame of width W and height H covers
[-0.5, W - 0.5] x [-0.5, H - 0.5], and its border pixels hold up to that edge.
"""

from __future__ import annotations

import numpy as np

from flow_cache.errors import FlowCacheError


def inside_frame(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which of the points (N, 2) x, y px lie in a frame; (N,) bool, False for NaN."""
    x, y = points[:, 0], points[:, 1]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def sample_flow(flow: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read a flow bilinearly at points; beyond the outermost pixel centres the border value holds.

    Args:
        flow: (2, H, W) px, x first.
        points: (N, 2) x, y px, finite.

    Returns:
        (N, 2) float64 px.
    """
    height, width = flow.shape[1:]
    x = np.clip(points[:, 0], 0, width - 1)
    y = np.clip(points[:, 1], 0, height - 1)
    x0 = np.minimum(x.astype(np.int64), max(width - 2, 0))
    y0 = np.minimum(y.astype(np.int64), max(height - 2, 0))
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    wx, wy = x - x0, y - y0
    top = flow[:, y0, x0] * (1 - wx) + flow[:, y0, x1] * wx
    bottom = flow[:, y1, x0] * (1 - wx) + flow[:, y1, x1] * wx
    return (top * (1 - wy) + bottom * wy).T


def forward_backward_offset_points(
    points_0: np.ndarray, flow_0to1: np.ndarray, flow_1to0: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move points along a flow, and measure how far from the start the opposite flow returns them.

    Args:
        points_0: (N, 2) x, y px in frame 0.
        flow_0to1: (2, H, W) px: what takes a pixel of frame 0 to frame 1.
        flow_1to0: (2, H, W) px: what takes a pixel of frame 1 to frame 0.

    Returns:
        points_1 (N, 2) float64 px in frame 1, NaN where the flow there is; and the offset (N,) float64 px,
        infinite where the point lies outside of frame 0, lands outside of frame 1, or one of the flows is NaN
        there: they pass no check.

    Raises:
        FlowCacheError: wrong shapes, or points that are not finite.

    Source: Slim DensePose (Neverova et al., 2019), the check that propagated labels must pass.
    """
    _check_pair(flow_0to1, flow_1to0)
    points_0 = np.asarray(points_0, dtype=np.float64)
    if points_0.ndim != 2 or points_0.shape[1] != 2:
        raise FlowCacheError(f"points of shape {points_0.shape}; wanted (N, 2) x, y px")
    if not np.isfinite(points_0).all():
        raise FlowCacheError(f"points that are not finite, first in row {_first_bad_row(points_0)}")
    height, width = flow_0to1.shape[1:]
    points_1 = points_0 + sample_flow(flow_0to1, points_0)
    known = inside_frame(points_0, height, width) & inside_frame(points_1, height, width)
    offset_px = np.full(len(points_0), np.inf)
    returned_0 = points_1[known] + sample_flow(flow_1to0, points_1[known])
    offset_px[known] = np.hypot(*(returned_0 - points_0[known]).T)
    offset_px[np.isnan(offset_px)] = np.inf  # the way back leads through pixels that are not stored
    return points_1, offset_px


def forward_backward_offset(flow_0to1: np.ndarray, flow_1to0: np.ndarray) -> np.ndarray:
    """The same measure at every pixel of frame 0: (H, W) float64 px, infinite where that of a point would be.

    Args:
        flow_0to1: (2, H, W) px.
        flow_1to0: (2, H, W) px.
    """
    _check_pair(flow_0to1, flow_1to0)
    height, width = flow_0to1.shape[1:]
    y, x = np.mgrid[0:height, 0:width]
    points_0 = np.stack([x.ravel(), y.ravel()], axis=1)
    return forward_backward_offset_points(points_0, flow_0to1, flow_1to0)[1].reshape(height, width)


def threshold_in_image(threshold_px: float, crop_side_px: float, reference_side_px: float = 256.0) -> float:
    """A threshold that was stated for crops of one size, in px of the image.

    Slim DensePose drops offsets above 5 px in crops of 256 px. A person whose square crop is `crop_side_px`
    image px wide is scaled by 256 / crop_side_px, so 5 crop px are 5 * crop_side_px / 256 image px.
    """
    if not (threshold_px > 0 and crop_side_px > 0 and reference_side_px > 0):
        raise FlowCacheError(
            f"threshold {threshold_px} px, crop side {crop_side_px} px, reference side "
            f"{reference_side_px} px; wanted three positive numbers"
        )
    return threshold_px * crop_side_px / reference_side_px


def _first_bad_row(points: np.ndarray) -> int:
    return int(np.argmax(~np.isfinite(points).all(axis=1)))


def _check_pair(flow_0to1: np.ndarray, flow_1to0: np.ndarray) -> None:
    for name, flow in (("flow_0to1", flow_0to1), ("flow_1to0", flow_1to0)):
        if flow.ndim != 3 or flow.shape[0] != 2 or 0 in flow.shape:
            raise FlowCacheError(f"{name} of shape {flow.shape}; wanted (2, H, W) px, x first")
    if flow_0to1.shape != flow_1to0.shape:
        raise FlowCacheError(
            f"flow_0to1 of shape {flow_0to1.shape} and flow_1to0 of shape {flow_1to0.shape}; wanted the same"
        )
