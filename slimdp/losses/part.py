"""The part of the body at labelled points (DensePose, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from slimdp.config import LossTerm
from slimdp.config.base import NotNegative
from slimdp.losses.labels import CLICKED, MapLabels, labelled_points
from slimdp.maps import sample_at_points
from slimdp.structures import LabelSource, ModelOutput, PoseBatch


class PartLoss(LossTerm):
    """Cross entropy over background and parts at the labelled points; each pulls as hard as it is trusted."""

    usual: ClassVar[bool] = True
    sources: ClassVar[Sequence[LabelSource]] = CLICKED  # of the points that it looks at
    weight: NotNegative = 1.0

    def count(self, batch: PoseBatch) -> int:
        """Points."""
        return int(labelled_points(batch, self.sources).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        at = labels.points, labels.instance_index, labels.part
        errors = labels.once("part", lambda: [part_errors(maps.fine_segm, *at) for maps in output.stages])
        return [(each * labels.trust(self.sources)).sum() for each in errors]


class KeypointPartLoss(PartLoss):
    """The same at visible keypoints, by where the surface anchors them (Slim DensePose, 5.2, table 4)."""

    sources: ClassVar[Sequence[LabelSource]] = (LabelSource.KEYPOINT,)
    keypoints: ClassVar[str] = "anchors"
    weight: NotNegative = 0.0


class TaughtPartLoss(PartLoss):
    """The same at points that a teacher labelled (DensePose, 3.4)."""

    usual: ClassVar[bool] = False
    sources: ClassVar[Sequence[LabelSource]] = (LabelSource.TAUGHT,)
    needs_teacher: ClassVar[bool] = True


def part_errors(fine_segm: Tensor, points: Tensor, instance_index: Tensor, part: Tensor) -> Tensor:
    """Cross entropy (P,), nats, of the part scores, read bilinearly at the labelled points.

    Args:
        fine_segm: (N, 1 + parts, h, w).
        points: (P, 2) x, y, map px.
        instance_index: (P,) int64 in 0..N-1.
        part: (P,) int64, 1..parts.
    """
    logits = sample_at_points(fine_segm, points, instance_index)
    return F.cross_entropy(logits, part, reduction="none")
