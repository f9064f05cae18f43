"""Where networks run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.errors import FlowCacheError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> torch.device:
    """The device of a name: cpu, cuda, cuda:1, or auto, which is a GPU where there is one.

    Raises:
        FlowCacheError: no such device here.
    """
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
