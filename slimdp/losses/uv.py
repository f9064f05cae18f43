"""The place on the part at labelled points (DensePose, 3.1)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.config import LossTerm
from slimdp.config.base import NotNegative
from slimdp.losses.labels import MapLabels, has_uv, labelled_points
from slimdp.maps import sample_at_points
from slimdp.structures import ModelOutput, PoseBatch


class UvLoss(LossTerm):
    """Smooth L1 on u and v of the labelled part."""

    usual: ClassVar[bool] = True
    weight: NotNegative = 10.0

    def count(self, batch: PoseBatch) -> int:
        """Points with (u, v)."""
        return int((labelled_points(batch, of_keypoints=False) & has_uv(batch)).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        """As of `LossTerm`; a point pulls as hard as its confidence says."""
        return [(errors * labels.confidence).sum() for errors in _errors(output, labels)]


class KeypointUvLoss(LossTerm):
    """The same at visible keypoints, labelled with the place of the surface where they are anchored.

    (Slim DensePose, 5.2, table 4.)
    """

    usual: ClassVar[bool] = True
    keypoints: ClassVar[str] = "anchors"

    def count(self, batch: PoseBatch) -> int:
        """Keypoints."""
        return int((labelled_points(batch, of_keypoints=True) & has_uv(batch)).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        """As of `LossTerm`."""
        return [(errors * labels.keypoint_confidence).sum() for errors in _errors(output, labels)]


def uv_errors(
    u: Tensor, v: Tensor, points: Tensor, instance_index: Tensor, part: Tensor, uv: Tensor, beta: float = 1.0
) -> Tensor:
    """Smooth L1 on u and v of the labelled part, read bilinearly at the labelled points, summed over the two.

    Args:
        u, v: (N, parts, h, w), one channel a part.
        points: (P, 2) x, y, map px.
        instance_index: (P,) int64 in 0..N-1.
        part: (P,) int64, 1..parts.
        uv: (P, 2) in [0, 1].
        beta: the error below which the loss is a parabola.

    Returns:
        (P,).
    """
    predicted = torch.stack(
        [sample_at_points(maps, points, instance_index, part - 1) for maps in (u, v)], dim=1
    )
    return F.smooth_l1_loss(predicted, uv, reduction="none", beta=beta).sum(1)


def _errors(output: ModelOutput, labels: MapLabels) -> Any:
    """(P,) of each stage, for points of both kinds; 0 where the part alone is known."""
    at = labels.points, labels.instance_index, labels.part, labels.uv
    return labels.once(
        "uv", lambda: [uv_errors(maps.u, maps.v, *at) * labels.uv_known for maps in output.stages]
    )
