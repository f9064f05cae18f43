"""What every estimator is given: frames, and which of them to pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flow_cache.errors import FlowCacheError

Pair = tuple[int, int]  # indices of frames: flow from the first to the second


def check_pairs(frames: np.ndarray, pairs: Sequence[Pair], name: str, smallest_side: int) -> None:
    """Raise FlowCacheError unless frames are (F, H, W, 3) uint8 RGB, large enough, and pairs name them."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise FlowCacheError(
            f"frames of shape {frames.shape} and type {frames.dtype}; wanted (F, H, W, 3) uint8 RGB"
        )
    if min(frames.shape[1:3]) < smallest_side:
        height, width = frames.shape[1:3]
        raise FlowCacheError(
            f"frames of {width} x {height} px; {name} needs at least {smallest_side} px a side"
        )
    outside = [pair for pair in pairs if not all(0 <= index < len(frames) for index in pair)]
    if outside or not pairs:
        raise FlowCacheError(f"pairs {outside or pairs} of {len(frames)} frames; wanted at least one, within")
