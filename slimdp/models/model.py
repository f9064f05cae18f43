"""What every network is, and what it costs to run."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import nn

from slimdp.config import ModelSpec
from slimdp.structures import ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout


class DensePoseModel(nn.Module):
    """A network over pictures with people in them. Its settings are a `ModelSettings`, which build it."""

    spec: ModelSpec
    layout: PartLayout  # the parts that it tells apart

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """What the network says of a batch.

        Args:
            batch: in training with labels, which a network may look at to learn (`ModelOutput.losses`).
            features: names of `spec.features` to give of each stage.
        """
        raise NotImplementedError

    def __call__(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        output: ModelOutput = super().__call__(batch, features)
        return output


def multiply_adds(model: DensePoseModel, size: int) -> int:
    """Multiplications with an addition of one forward pass of one crop, of convolutions and matrix products.

    FLOPs, where a multiplication and an addition count apart, are twice as many; a training step with its
    backward pass takes about three times a forward pass. Nothing is computed: a copy of the model without
    values runs on a crop of `size` px without values.
    """
    from torch.utils.flop_counter import FlopCounterMode  # loads triton, which nothing else here needs

    hollow = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hollow(PoseBatch.of_images(torch.empty(1, 3, size, size, device="meta")))
    return counter.get_total_flops() // 2
