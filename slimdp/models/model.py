"""What every network is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from torch import nn

from slimdp.config import ModelSpec
from slimdp.structures import ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout


class DensePoseModel(nn.Module):
    """A network over pictures with people in them. Its settings are a `ModelSettings`, which build it."""

    #: Whether nothing looks between a convolution and the batch norm after it in an `nn.Sequential`: then the
    #: norms are folded into the convolutions where the network only predicts (`folding`).
    FOLDS: ClassVar[bool] = False

    spec: ModelSpec
    layout: PartLayout  # the parts that it tells apart

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """What the network says of a batch.

        Args:
            batch: in training with labels, which a network may look at to learn (`ModelOutput.losses`).
            features: names of `spec.features` to give of each stage.
        """
        raise NotImplementedError

    def loss_counts(self, batch: PoseBatch) -> Mapping[str, int]:
        """How much of a batch each of the network's own losses (`ModelOutput.losses`) is the mean over.

        By the loss's name, the same names for every batch; one that is not named is the mean over the
        pictures. Of a batch in parts each part's mean weighs by its count (`slimdp.losses.total_loss`), which
        must be known before the network has looked at any: the labels alone decide it. The batch may be on
        another device than the network.
        """
        return {}

    def __call__(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        output: ModelOutput = super().__call__(batch, features)
        return output


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode within a block; after it each module is in the mode it was in.

    One that is in it already is left alone: to tell hundreds of modules takes as long as a tenth of a crop.
    """
    if not model.training:
        yield
        return
    learning = [module for module in model.modules() if module.training]  # a frozen backbone does not
    model.eval()
    try:
        yield
    finally:
        for module in learning:
            module.training = True
