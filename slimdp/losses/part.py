"""The part of the body at labelled points (DensePose, 3.1)."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from slimdp.config import LossTerm
from slimdp.config.base import NotNegative
from slimdp.losses.labels import MapLabels, labelled_points
from slimdp.maps import sample_at_points
from slimdp.structures import ModelOutput, PoseBatch


class PartLoss(LossTerm):
    """Cross entropy over background and parts at the labelled points; each pulls as hard as it is trusted."""

    usual: ClassVar[bool] = True
    of_keypoints: ClassVar[bool] = False  # at clicked and propagated points
    weight: NotNegative = 1.0

    def count(self, batch: PoseBatch) -> int:
        """Points."""
        return int(labelled_points(batch, self.of_keypoints).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        at = labels.points, labels.instance_index, labels.part
        errors = labels.once("part", lambda: [part_errors(maps.fine_segm, *at) for maps in output.stages])
        return [(each * labels.trust(self.of_keypoints)).sum() for each in errors]


class KeypointPartLoss(PartLoss):
    """The same at visible keypoints, by where the surface anchors them (Slim DensePose, 5.2, table 4)."""

    of_keypoints: ClassVar[bool] = True
    keypoints: ClassVar[str] = "anchors"
    weight: NotNegative = 0.0


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
