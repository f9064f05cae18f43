"""The place on the part at labelled points (DensePose, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.config.base import NotNegative
from slimdp.losses.labels import MapLabels, has_uv, labelled_points
from slimdp.losses.part import PartLoss
from slimdp.maps import sample_at_points
from slimdp.structures import LabelSource, ModelOutput, PoseBatch


class UvLoss(PartLoss):
    """Smooth L1 on u and v of the labelled part; each point pulls as hard as it is trusted."""

    weight: NotNegative = 10.0

    def count(self, batch: PoseBatch) -> int:
        """Points with (u, v)."""
        return int((labelled_points(batch, self.sources) & has_uv(batch)).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        at = labels.points, labels.instance_index, labels.part, labels.uv
        errors = labels.once(
            "uv", lambda: [uv_errors(maps.u, maps.v, *at) * labels.uv_known for maps in output.stages]
        )
        return [(each * labels.trust(self.sources)).sum() for each in errors]


class KeypointUvLoss(UvLoss):
    """The same at visible keypoints, by where the surface anchors them (Slim DensePose, 5.2, table 4)."""

    sources: ClassVar[Sequence[LabelSource]] = (LabelSource.KEYPOINT,)
    keypoints: ClassVar[str] = "anchors"
    weight: NotNegative = 0.0


class TaughtUvLoss(UvLoss):
    """The same at points that a teacher labelled (DensePose, 3.4)."""

    usual: ClassVar[bool] = False
    sources: ClassVar[Sequence[LabelSource]] = (LabelSource.TAUGHT,)
    needs_teacher: ClassVar[bool] = True


def uv_errors(
    u: Tensor, v: Tensor, points: Tensor, instance_index: Tensor, part: Tensor, uv: Tensor
) -> Tensor:
    """Smooth L1 (P,) on u and v of the labelled part, read bilinearly at the points, summed over the two.

    Args:
        u, v: (N, parts, h, w), one channel a part.
        points, instance_index, part: as of `part_errors`.
        uv: (P, 2) in [0, 1].
    """
    predicted = [sample_at_points(maps, points, instance_index, part - 1) for maps in (u, v)]
    return F.smooth_l1_loss(torch.stack(predicted, dim=1), uv, reduction="none").sum(1)
