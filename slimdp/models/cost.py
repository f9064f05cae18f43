"""What a network costs to run."""

from __future__ import annotations

import copy

import torch
from torch import nn

from slimdp.structures import PoseBatch


def multiply_adds(model: nn.Module, size: int) -> int:
    """Multiplications with an addition of one forward pass of one crop, of convolutions and matrix products.

    FLOPs, where a multiplication and an addition count apart, are twice as many; a training step with its
    backward pass takes about three times a forward pass. Nothing is computed: a copy of the model without
    values runs on crops without values.

    Args:
        model: a `DensePoseModel`.
        size: side of the crop, px.
    """
    from torch.utils.flop_counter import FlopCounterMode  # loads triton, which nothing else here needs

    hollow = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hollow(PoseBatch.of_images(torch.empty(1, 3, size, size, device="meta")))
    return counter.get_total_flops() // 2
