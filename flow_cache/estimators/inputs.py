"""What estimators are given: frames and their pairs; networks also a device, padding and a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.checksums import check_zip, file_sha256

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Pair = tuple[int, int]  # indices of frames: flow from the first to the second


def check_pairs(frames: np.ndarray, pairs: Sequence[Pair], name: str, smallest_side: int) -> None:
    """Raise FlowCacheError unless frames are (F, H, W, 3) uint8 RGB, large enough, and pairs name them."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        found = f"shape {frames.shape} and type {frames.dtype}"
        raise FlowCacheError(f"frames of {found}; wanted (F, H, W, 3) uint8 RGB")
    height, width = frames.shape[1:3]
    if min(height, width) < smallest_side:
        least = f"{name} needs at least {smallest_side} px a side"
        raise FlowCacheError(f"frames of {width} x {height} px; {least}")
    outside = [pair for pair in pairs if not all(0 <= index < len(frames) for index in pair)]
    if outside or not pairs:
        raise FlowCacheError(f"pairs {outside or pairs} of {len(frames)} frames; wanted at least one, within")


def padded(images: Tensor, multiple: int, smallest_side: int) -> tuple[Tensor, tuple[int, int]]:
    """Repeat the border of images (N, 3, H, W) up to a multiple of px, about as much on either side.

    Returns them, and how many px were added on the left and at the top. Sides get `smallest_side` px, itself
    a multiple, at least.
    """
    from torch.nn.functional import pad

    height, width = images.shape[-2:]
    more_x, more_y = (max(-side % multiple, smallest_side - side) for side in (width, height))
    left, top = more_x // 2, more_y // 2
    return pad(images, (left, more_x - left, top, more_y - top), mode="replicate"), (left, top)


def pick_device(name: str) -> torch.device:
    """The device of a name: cpu, cuda, cuda:1, or auto: a GPU where there is one; else FlowCacheError."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise FlowCacheError(f"device {name!r}; wanted auto, cpu, cuda or one such as cuda:1") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise FlowCacheError(f"device {name!r}: torch sees {torch.cuda.device_count()} GPUs here")
    return device


def fingerprint(weights: str) -> str:
    """A file by its content, wherever it lies; what is no file is a name, and stays."""
    path = Path(weights)
    return f"sha256:{file_sha256(path).hex()}" if path.is_file() else weights


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; FlowCacheError where it is none, or has more than tensors and plain values."""
    import torch

    try:
        check_zip(path)  # torch passes over the checksums
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what is no checkpoint
        raise FlowCacheError(f"{path} is no checkpoint that torch reads: {error}") from error
    if not isinstance(content, dict):
        raise FlowCacheError(f"{path} holds no plain state of a network (names to tensors)")
    return content


@contextmanager
def loading(weights: str, name: str) -> Iterator[None]:
    """Name what keeps weights from being loaded into a network of a name, as a FlowCacheError."""
    try:
        yield
    except OSError as error:
        failed = f"cannot be downloaded ({error}); name a checkpoint file"
        raise FlowCacheError(f"weights {weights} of {name} {failed}") from error
    except RuntimeError as error:  # torch's word for keys and shapes, and for a bad hash of what came
        raise FlowCacheError(f"{weights} does not fit {name}: {error}") from error


def check_state(content: dict[str, Any], path: Path) -> None:
    """Raise FlowCacheError unless a checkpoint is the state of a network: names to tensors."""
    import torch

    if not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise FlowCacheError(f"{path} holds no plain state of a network (names to tensors)")
