"""Where the exact flow of a clip is hidden: one 8-bit picture a frame, one bit a step.

Bit k of a pixel says that what it shows is seen at step `STEPS[k]` as well: bit 0 three frames before, bit 5
three frames after. Where it is not set, the place is hidden there, outside of the picture, or there is no
such frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache import STEPS
from flow_cache.images import ImageError, content_of, decode_unchanged


def visible_bits(step: int, visible: np.ndarray) -> np.ndarray:
    """A step's mask (H, W) bool as its bit, (H, W) uint8; the bits of several steps are joined by |."""
    return visible.astype(np.uint8) << np.uint8(_bit(step))


def read_visible(path: str | Path, step: int) -> np.ndarray:
    """Where the flow of a frame over a step is in sight: (H, W) bool.

    Args:
        path: of the frame, OUT/visible/CLIP/000003.png.
        step: frames, one of `flow_cache.STEPS`.

    Raises:
        ImageError: the picture is missing, damaged, or no 8-bit one with one channel.
        ValueError: another step.
    """
    bit = _bit(step)
    bits = decode_unchanged(Path(path), content_of(Path(path)))
    if bits.dtype != np.uint8 or bits.ndim != 2:
        found = f"{bits.dtype} of shape {bits.shape}"
        raise ImageError(f"{path}: {found}, but an 8-bit picture with one channel is wanted")
    return np.bitwise_and(bits, np.uint8(1 << bit)) != 0


def _bit(step: int) -> int:
    if step not in STEPS:
        raise ValueError(f"step {step}, but one of {', '.join(f'{known:+d}' for known in STEPS)} is wanted")
    return STEPS.index(step)
