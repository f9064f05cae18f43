"""Comparing what two runs learned."""

from __future__ import annotations

from pathlib import Path

import torch

from slimdp.training import load_checkpoint


def same_weights(first: Path, second: Path) -> bool:
    """Whether the weights of two checkpoints are the same, bit for bit."""
    one, other = load_checkpoint(first).model, load_checkpoint(second).model
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
