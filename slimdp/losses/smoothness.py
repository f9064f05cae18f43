"""Edge-aware smoothness of the maps within each person (Direct Dense Pose, equation 12)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from slimdp.config import LossTerm
from slimdp.losses.labels import MapLabels
from slimdp.structures import IGNORE, ModelOutput, PoseBatch


class SmoothnessLoss(LossTerm):
    """How much the part scores, u and v change from pixel to pixel of a person, less at the outline.

    Points are sparse: this keeps what lies between them from being noise.
    """

    needs_labels: ClassVar[bool] = False

    def count(self, batch: PoseBatch) -> int:
        """People whose outline is known."""
        return int(outlines(batch).flatten(1).any(1).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        if self.weight == 0:
            return []
        masks = outlines(labels.batch)
        iuv = [torch.cat([maps.fine_segm, maps.u, maps.v], dim=1) for maps in output.stages]
        return [smoothness(each, masks).sum() for each in iuv]


def outlines(batch: PoseBatch) -> Tensor:
    """(N, h, w) bool, map px: the drawn outline of each person, or where it has coarse labels."""
    labels = batch.coarse if batch.mask is None else batch.mask
    return (labels > 0) & (labels != IGNORE)


def smoothness(iuv: Tensor, masks: Tensor) -> Tensor:
    """|dC| exp(-|dM|) of two neighbours, along both axes, the mean over a person's pairs and channels: (N,).

    A pair counts where at least one of its pixels is the person; equation 12 sums over pictures full of
    zeros, by which the size of a person would weigh it. 0 for a person without pixels.

    Args:
        iuv: C, (N, channels, h, w).
        masks: M, (N, h, w) bool.
    """
    total, pairs = iuv.new_zeros(len(iuv)), iuv.new_zeros(len(iuv))
    for axis in (1, 2):
        side = masks.shape[axis]
        first, second = masks.narrow(axis, 0, side - 1), masks.narrow(axis, 1, side - 1)
        weight = (first | second) * torch.exp(-(first ^ second).to(iuv.dtype))
        total = total + (iuv.diff(dim=axis + 1).abs().mean(1) * weight).sum((1, 2))
        pairs = pairs + (first | second).sum((1, 2))
    return total / pairs.clamp(min=1)
