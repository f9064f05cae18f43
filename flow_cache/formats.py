"""Flow in the files of other tools: Middlebury's .flo and KITTI's 16-bit PNG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.images import content_of, decode_unchanged
from flow_cache.runtime.atomic import write_bytes

_MAGIC = b"PIEH"  # 202021.25 as float32
#: Middlebury's mark of an unknown displacement, and the least absolute value that is read as one.
_UNKNOWN, _UNKNOWN_FROM = np.float32(1e10), 1e9
_KITTI_UNITS_PER_PX, _KITTI_ZERO = 64.0, 2**15


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Write flow (2, H, W) px, x first, as Middlebury does: float32, exact; NaN as 1e10, unknown."""
    known = np.where(np.isfinite(flow), flow, _UNKNOWN).astype("<f4")
    height, width = flow.shape[1:]
    size = np.array([width, height], "<i4").tobytes()
    write_bytes(path, _MAGIC + size + np.ascontiguousarray(known.transpose(1, 2, 0)).tobytes())


def read_flo(path: Path) -> np.ndarray:
    """Read Middlebury's format: (2, H, W) float32 px, x first, NaN where unknown; else FlowCacheError."""
    width, height = flo_size(path)
    content = path.read_bytes()
    wanted = 12 + 8 * width * height
    if width < 1 or height < 1 or len(content) != wanted:
        raise FlowCacheError(
            f"{path} has {len(content)} bytes; its {width} x {height} px need {wanted}: it is damaged"
        )
    flow = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).transpose(2, 0, 1).copy()
    flow[:, (np.abs(flow) > _UNKNOWN_FROM).any(axis=0)] = np.nan
    return flow


def flo_size(path: Path) -> tuple[int, int]:
    """Width and height px that a .flo file announces; FlowCacheError where it is none."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[:4] != _MAGIC or len(head) < 12:
        raise FlowCacheError(f"{path} is no .flo file: it begins with {head[:4]!r}; wanted {_MAGIC!r}")
    width, height = (int(side) for side in np.frombuffer(head, "<i4", 2, offset=4))
    return width, height


def png_size(path: Path) -> tuple[int, int]:
    """Width and height px that a PNG announces; FlowCacheError where it is none."""
    with open(path, "rb") as file:
        head = file.read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        raise FlowCacheError(
            f"{path} is no picture; wanted a 16-bit PNG of three channels, as KITTI has them"
        )
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def write_kitti(path: Path, flow: np.ndarray) -> None:
    """Write flow (2, H, W) px, x first, as KITTI does: 16-bit PNG, 1/64 px, and a channel of what is known.

    Raises FlowCacheError for a displacement of 512 px or more, which the format cannot hold.
    """
    known = np.isfinite(flow).all(axis=0)
    # Rounded before the large zero is added, which in single precision would round a first time.
    stored = np.rint(np.where(known, flow, 0) * _KITTI_UNITS_PER_PX) + _KITTI_ZERO
    if stored.min() < 0 or stored.max() > 65535:
        raise FlowCacheError(
            f"{path}: displacements up to {np.nanmax(np.abs(flow)):.0f} px; KITTI's format ends at 512 px; "
            "use .flo"
        )
    x, y = stored.astype(np.uint16)
    _, content = cv2.imencode(".png", np.stack([known.astype(np.uint16), y, x], axis=-1))
    write_bytes(path, content.tobytes())


def read_kitti(path: Path) -> np.ndarray:
    """Read KITTI's format: (2, H, W) float32 px, x first, NaN where unknown; else FlowCacheError."""
    image = decode_unchanged(path, content_of(path))
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise FlowCacheError(
            f"{path} is {image.dtype} {image.shape}; wanted a 16-bit PNG of three channels, as KITTI has them"
        )
    known, y, x = np.moveaxis(image, -1, 0)
    flow = (np.stack([x, y]).astype(np.float32) - _KITTI_ZERO) / np.float32(_KITTI_UNITS_PER_PX)
    flow[:, known == 0] = np.nan
    return flow


@dataclass(frozen=True)
class FlowFormat:
    """How one flow is kept in a file of its own."""

    suffix: str
    size: Callable[[Path], tuple[int, int]]  # width, height px, from the head of the file
    read: Callable[[Path], np.ndarray]
    write: Callable[[Path, np.ndarray], None]


FORMATS = {
    "flo": FlowFormat(".flo", flo_size, read_flo, write_flo),
    "kitti": FlowFormat(".png", png_size, read_kitti, write_kitti),
}
