"""Dense Inverse Search (Kroeger et al., ECCV 2016) as OpenCV implements it: fast, on the CPU, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
#: OpenCV's patches need a few px on every level of the pyramid.
SMALLEST_SIDE = 16


@dataclass(frozen=True)
class DenseInverseSearch:
    """Settings: `preset`, one of ultrafast, fast, medium (slower is better)."""

    preset: str = "medium"

    name: ClassVar[str] = "dis"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise FlowCacheError(f"preset {self.preset!r} of dis; choices: {', '.join(PRESETS)}")

    def estimate(self, frames_0: np.ndarray, frames_1: np.ndarray) -> np.ndarray:
        """Flow that takes the pixels of frames_0 to frames_1.

        Args:
            frames_0: (N, H, W, 3) uint8 RGB.
            frames_1: (N, H, W, 3) uint8 RGB.

        Returns:
            (N, 2, H, W) float32 px, x first.

        Raises:
            FlowCacheError: shapes or types differ from that, or a side is under 16 px.
        """
        _check(frames_0, frames_1)
        # The object keeps buffers, but no state that changes a result, from one call to the next.
        search = cv2.DISOpticalFlow.create(PRESETS[self.preset])
        flows = []
        for frame_0, frame_1 in zip(frames_0, frames_1):
            grey_0 = cv2.cvtColor(frame_0, cv2.COLOR_RGB2GRAY)
            grey_1 = cv2.cvtColor(frame_1, cv2.COLOR_RGB2GRAY)
            unused_start = np.zeros((*grey_0.shape, 2), np.float32)
            flows.append(search.calc(grey_0, grey_1, unused_start).transpose(2, 0, 1))
        return np.stack(flows)


def _check(frames_0: np.ndarray, frames_1: np.ndarray) -> None:
    for name, frames in (("frames_0", frames_0), ("frames_1", frames_1)):
        if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0 or frames.dtype != np.uint8:
            raise FlowCacheError(
                f"{name} of shape {frames.shape} and type {frames.dtype}; wanted (N, H, W, 3) "
                "uint8 RGB, N > 0"
            )
    if frames_0.shape != frames_1.shape:
        raise FlowCacheError(f"frames_0 {frames_0.shape} and frames_1 {frames_1.shape} differ in shape")
    if min(frames_0.shape[1:3]) < SMALLEST_SIDE:
        height, width = frames_0.shape[1:3]
        raise FlowCacheError(f"frames of {width} x {height} px; dis needs at least {SMALLEST_SIDE} px a side")
