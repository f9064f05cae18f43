"""Pictures of flow: colours for directions, the forward-backward check, and one frame brought to another."""

from __future__ import annotations

import cv2
import numpy as np

from flow_cache.chain import forward_backward_offset

#: RGB of pixels whose flow is not stored.
UNKNOWN = (96, 96, 96)


def colour_flow(flow: np.ndarray, full_px: float | None = None) -> np.ndarray:
    """Directions as hues (right red, down yellow-green, left cyan, up violet), lengths as saturation.

    Flow (2, H, W) px, x first, becomes (H, W, 3) uint8 RGB: white where nothing moves, dark grey where it is
    NaN. A length of `full_px`, by default the 99th percentile, gets the full colour.
    """
    unknown = np.isnan(flow).any(axis=0)
    flow = np.where(unknown, 0, flow)
    length_px = np.hypot(flow[0], flow[1])
    if full_px is None:
        full_px = max(float(np.percentile(length_px[~unknown], 99)) if not unknown.all() else 0.0, 1.0)
    hue = np.degrees(np.arctan2(flow[1], flow[0])) % 360 / 2  # OpenCV keeps hues in steps of two degrees
    saturation = np.clip(length_px / full_px, 0, 1) * 255
    hsv = np.stack([hue, saturation, np.full_like(hue, 255)], axis=-1).round().astype(np.uint8)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    image[unknown] = UNKNOWN
    return image


def draw_check(flow_0to1: np.ndarray, flow_1to0: np.ndarray, threshold_px: float) -> np.ndarray:
    """The forward-backward check as (H, W, 3) uint8 RGB: white to grey up to the threshold, red above.

    Black where the way leaves the frame or the way back is unknown, dark grey where the way there is.
    """
    offset_px = forward_backward_offset(flow_0to1, flow_1to0)
    grey = 255 - np.clip(offset_px / threshold_px, 0, 1) * 128
    image = np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)
    image[offset_px > threshold_px] = (220, 40, 40)
    image[np.isinf(offset_px)] = 0
    image[np.isnan(flow_0to1).any(axis=0)] = UNKNOWN
    return image


def backward_warp(frame_1: np.ndarray, flow_0to1: np.ndarray) -> np.ndarray:
    """Frame 1 (H, W, 3) uint8 seen from frame 0: each pixel shows what flow_0to1 (2, H, W) px moves it to.

    Black outside, dark grey where the flow is NaN.
    """
    y, x = np.mgrid[0 : frame_1.shape[0], 0 : frame_1.shape[1]].astype(np.float32)
    unknown = np.isnan(flow_0to1).any(axis=0)
    flow_0to1 = np.where(unknown, 0, flow_0to1).astype(np.float32)
    image = cv2.remap(frame_1, x + flow_0to1[0], y + flow_0to1[1], cv2.INTER_LINEAR)
    image[unknown] = UNKNOWN
    return image
