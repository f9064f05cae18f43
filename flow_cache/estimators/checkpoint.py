"""Files of trained weights: read without running anything in them, and told apart by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.zip_check import check_zip


def fingerprint(weights: str) -> str:
    """A file by its content, wherever it lies; what is no file is a name, and stays."""
    path = Path(weights)
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else weights


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        FlowCacheError: no checkpoint, or one with more than tensors and plain values in it.
    """
    import torch

    try:
        check_zip(path)  # torch passes over the checksums
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what is no checkpoint
        raise FlowCacheError(f"{path} is no checkpoint that torch reads: {error}") from error
    if not isinstance(content, dict):
        raise FlowCacheError(f"{path} holds no plain state of a network (names to tensors)")
    return content


def check_state(content: dict[str, Any], path: Path) -> None:
    """Raise FlowCacheError unless a checkpoint is the state of a network: names to tensors."""
    import torch

    if not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise FlowCacheError(f"{path} holds no plain state of a network (names to tensors)")
