"""The forward-backward check: where does a pixel end that goes along the flow and back again?

Points are (x, y) in px with pixel centres at integers; a frame of width W and height H covers
[-0.5, W - 0.5] x [-0.5, H - 0.5], and its border pixels hold up to that edge.
"""

from __future__ import annotations

import numpy as np

from flow_cache.errors import FlowCacheError

#: Whole fields are checked in bands of so many pixels, whose points stay in the processor's cache.
_PIXELS_AT_ONCE = 2**15


def inside_frame(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which of the points (N, 2) x, y px lie in a frame; (N,) bool, False for NaN."""
    x, y = points[:, 0], points[:, 1]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def sample_flow(flow: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read a flow (2, H, W) px, x first, bilinearly at points (N, 2) x, y px, finite: (N, 2) float64 px.

    Beyond the outermost pixel centres the border value holds. NaN where one of the pixels that a point lies
    between is.
    """
    height, width = flow.shape[1:]
    x = np.clip(points[:, 0], 0, width - 1)
    y = np.clip(points[:, 1], 0, height - 1)
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    wx, wy = x - x0, y - y0
    # A pixel of weight 0 is not looked at: it may lie in the next tile, which is not known.
    right, below = (wx > 0).astype(np.int64), width * (wy > 0)
    values, first = flow.reshape(2, -1), width * y0 + x0
    top = values.take(first, axis=1) * (1 - wx) + values.take(first + right, axis=1) * wx
    first += below
    bottom = values.take(first, axis=1) * (1 - wx) + values.take(first + right, axis=1) * wx
    return (top * (1 - wy) + bottom * wy).T


def forward_backward_offset_points(
    points_0: np.ndarray,
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Move points along a flow, and measure how far from the start the opposite flow returns them.

    Args:
        points_0: (N, 2) x, y px in frame 0.
        flow_0to1, flow_1to0: (2, H, W) px: what takes a pixel of one frame to the other; NaN where not known.
        valid_0, valid_1: (H, W) bool, where flow_0to1 and flow_1to0 are known; all of them by default.

    Returns:
        points_1 (N, 2) float64 px in frame 1, NaN where the way there is not known, and the offset (N,)
        float64 px, infinite where the point lies outside of frame 0, lands outside of frame 1, or either way
        is not known.

    Raises:
        FlowCacheError: wrong shapes, or points that are not finite.

    Source: Slim DensePose (Neverova et al., 2019), the check that propagated labels must pass.
    """
    flow_0to1 = _where_valid("flow_0to1", flow_0to1, valid_0)
    flow_1to0 = _where_valid("flow_1to0", flow_1to0, valid_1)
    _check_pair(flow_0to1, flow_1to0)
    points_0 = np.asarray(points_0, dtype=np.float64)
    if points_0.ndim != 2 or points_0.shape[1] != 2:
        raise FlowCacheError(f"points of shape {points_0.shape}; wanted (N, 2) x, y px")
    if not np.isfinite(points_0).all():
        raise FlowCacheError(f"points that are not finite, first in row {_first_bad_row(points_0)}")
    points_1 = points_0 + sample_flow(flow_0to1, points_0)
    outside_0 = ~inside_frame(points_0, *flow_0to1.shape[1:])
    offset_px = _offset_px(points_0, points_1, flow_1to0)
    offset_px[outside_0] = np.inf
    return points_1, offset_px


def forward_backward_offset(
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> np.ndarray:
    """The offset of `forward_backward_offset_points` at every pixel of frame 0: (H, W) float64 px."""
    flow_0to1 = _where_valid("flow_0to1", flow_0to1, valid_0)
    flow_1to0 = _where_valid("flow_1to0", flow_1to0, valid_1)
    _check_pair(flow_0to1, flow_1to0)
    height, width = flow_0to1.shape[1:]
    offset_px = np.empty((height, width))
    rows = max(_PIXELS_AT_ONCE // width, 1)
    for top in range(0, height, rows):
        y, x = np.mgrid[top : min(top + rows, height), 0:width].astype(np.float64)
        points_0 = np.stack([x.ravel(), y.ravel()], axis=1)
        points_1 = points_0 + flow_0to1[:, top : top + rows].reshape(2, -1).T
        offset_px[top : top + rows] = _offset_px(points_0, points_1, flow_1to0).reshape(-1, width)
    return offset_px


def consistent(
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    threshold_px: float,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> np.ndarray:
    """Which pixels of frame 0 pass the forward-backward check: (H, W) bool; arguments and errors as there.

    `threshold_px` is the largest offset that passes, px of these flows; `threshold_in_image` converts one
    that was stated for crops of another size.
    """
    _check_threshold(threshold_px)
    return forward_backward_offset(flow_0to1, flow_1to0, valid_0, valid_1) <= threshold_px


def consistent_points(
    points_0: np.ndarray,
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    threshold_px: float,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Move points, and tell which pass the check: points_1 (N, 2) float64 px in frame 1, and (N,) bool."""
    _check_threshold(threshold_px)
    points_1, offset_px = forward_backward_offset_points(points_0, flow_0to1, flow_1to0, valid_0, valid_1)
    return points_1, offset_px <= threshold_px


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


def _offset_px(points_0: np.ndarray, points_1: np.ndarray, flow_1to0: np.ndarray) -> np.ndarray:
    """How far from points_0 the way back from points_1 ends: (N,) px; infinite where it is not known."""
    known = inside_frame(points_1, *flow_1to0.shape[1:])
    start_1 = points_1[known]
    returned_0 = start_1 + sample_flow(flow_1to0, start_1)
    offset_px = np.full(len(points_0), np.inf)
    offset_px[known] = np.hypot(*(returned_0 - points_0[known]).T)
    offset_px[np.isnan(offset_px)] = np.inf
    return offset_px


def _where_valid(name: str, flow: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    if valid is None:
        return np.ascontiguousarray(flow)
    if valid.dtype != bool or valid.shape != flow.shape[1:]:
        raise FlowCacheError(
            f"validity of {name} of shape {valid.shape} and type {valid.dtype}; wanted {flow.shape[1:]} bool"
        )
    return np.where(valid, flow, np.nan)


def _check_threshold(threshold_px: float) -> None:
    if not threshold_px > 0:
        raise FlowCacheError(f"threshold {threshold_px} px of the check; wanted a positive number")


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
