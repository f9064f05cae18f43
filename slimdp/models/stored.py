"""Weights as files keep them: in 32, 16 or 8 bits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

#: The largest number that 16 bits hold, and the largest of 8.
LARGEST_HALF = torch.finfo(torch.float16).max
_LARGEST_BYTE = 127


def in_use(weights: Mapping[str, Tensor], scales: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored weights in 32 bits: those of 16 as they are, those of 8 times their scale.

    Others, such as counts, stay what they are. Raises ValueError where a weight in 8 bits and its scale are
    not of one kind, or one of them is missing.
    """
    in_bytes = {name for name, weight in weights.items() if weight.dtype == torch.int8}
    if odd := sorted(in_bytes ^ scales.keys()):
        lacks = "has no scale" if odd[0] in in_bytes else "has a scale, but is not there in 8 bits"
        raise ValueError(f"the weight {odd[0]} {lacks}")
    found = {}
    for name, weight in weights.items():
        found[name] = weight.float() if weight.dtype == torch.float16 else weight
        if name in scales:
            shape = tuple(scales[name].shape)
            wanted = (*weight.shape[:1], *(1,) * (weight.ndim - 1))
            if shape != wanted:
                raise ValueError(f"the scale of {name} is of shape {shape}, but {wanted} is wanted")
            found[name] = weight.float() * scales[name]
    return found


def in_eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight (O, ...) as whole numbers of 8 bits, and by what each of its O channels is to be multiplied.

    The largest of a channel becomes 127, so that to store what was read once more changes nothing.
    """
    largest = weight.abs().flatten(1).amax(1).reshape(-1, *(1,) * (weight.ndim - 1)).float()
    scale = torch.where(largest > 0, largest, largest.new_tensor(1.0)) / _LARGEST_BYTE
    return (weight / scale).round().to(torch.int8), scale
