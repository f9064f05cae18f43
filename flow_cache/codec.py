"""Flow as it is stored: int16 fixed point, 1/32 px a step.

Half a step (1/64 px) is far below the error of any estimator, and the range of 1023.96875 px covers every
displacement within a 1024 px wide frame. Fixed point keeps the bits of neighbours alike, so it compresses;
half floats would spend their bits on tiny displacements.
"""

from __future__ import annotations

import numpy as np

from flow_cache.errors import FlowCacheError

#: Stored units per px.
UNITS_PER_PX = 32
#: Largest displacement that can be stored, px.
MAX_PX = 32767 / UNITS_PER_PX
#: The one stored value that is no displacement: this tile was never written.
NOT_STORED = -32768


def encode(flow: np.ndarray) -> np.ndarray:
    """Round a flow to fixed point; the error is at most 1/64 px.

    Args:
        flow: (..., 2, H, W) float, px, x first.

    Returns:
        The same shape in int16, units of 1/32 px.

    Raises:
        FlowCacheError: the shape is another, or a displacement is not finite or exceeds `MAX_PX`.
    """
    flow = np.asarray(flow, dtype=np.float32)
    if flow.ndim < 3 or flow.shape[-3] != 2:
        raise FlowCacheError(f"flow of shape {flow.shape}; wanted (..., 2, H, W) px, x first")
    units = np.rint(flow * np.float32(UNITS_PER_PX))
    within = np.abs(units) <= MAX_PX * UNITS_PER_PX  # False for NaN as well
    if not within.all():
        *_, axis, y, x = (int(i) for i in np.argwhere(~within)[0])
        raise FlowCacheError(
            f"{int((~within).sum())} displacements that cannot be stored, the first along {'xy'[axis]} "
            f"at pixel ({x}, {y}): {flow[~within][0]} px; wanted finite values within +-{MAX_PX:.2f} px"
        )
    return units.astype(np.int16)


def decode(stored: np.ndarray) -> np.ndarray:
    """Fixed point (int16, any shape) to float32 px; NaN where nothing was ever stored."""
    if stored.dtype != np.int16:
        raise FlowCacheError(f"stored flow of type {stored.dtype}; wanted int16")
    flow = stored.astype(np.float32) / np.float32(UNITS_PER_PX)
    flow[stored == NOT_STORED] = np.nan
    return flow
