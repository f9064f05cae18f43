"""The outline of the person and its coarse parts, at every pixel of the masks (DensePose, 3.1)."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from slimdp.config import LossTerm
from slimdp.config.base import NotNegative
from slimdp.losses.labels import BACKGROUND, MapLabels
from slimdp.structures import IGNORE, ModelOutput, PoseBatch


class CoarseLoss(LossTerm):
    """Cross entropy of background and coarse parts at the pixels of the coarse masks."""

    usual: ClassVar[bool] = True
    weight: NotNegative = 1.0

    def count(self, batch: PoseBatch) -> int:
        """Map pixels whose label is known."""
        return int((batch.coarse != IGNORE).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        """As of `LossTerm`; raises ValueError where the labels have another size than the maps."""
        found = tuple(labels.coarse.shape[-2:])
        for maps in output.stages:
            if (size := tuple(maps.coarse_segm.shape[-2:])) != found:
                raise ValueError(
                    f"coarse labels of {found} px for maps of {size} px: make them by its stride"
                )
        weight = labels.batch.outline_weight
        return [pixel_error_sum(maps.coarse_segm, labels.coarse, weight) for maps in output.stages]


class BackgroundLoss(LossTerm):
    """Cross entropy of the part scores where the coarse mask is background.

    Points lie on the body alone: without this nothing would teach the part scores where it ends.
    """

    usual: ClassVar[bool] = True
    weight: NotNegative = 1.0

    def count(self, batch: PoseBatch) -> int:
        """Map pixels of background."""
        return int((batch.coarse == BACKGROUND).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        weight = labels.batch.outline_weight
        return [pixel_error_sum(maps.fine_segm, labels.outside, weight) for maps in output.stages]


def pixel_error_sum(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy of scores (N, C, h, w) at the pixels of labels (N, h, w) that are not IGNORE, summed.

    `weight` (N,) is how much a pixel of each person counts; None: 1.
    """
    if weight is None:
        return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    errors = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    return (errors.sum((1, 2)) * weight).sum()
