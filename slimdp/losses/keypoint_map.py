"""Keypoints as heat maps (Newell et al., 3.1), where the network has some."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from slimdp.config import LossTerm
from slimdp.config.base import NotNegative
from slimdp.losses.labels import MapLabels
from slimdp.structures import ModelOutput, PoseBatch


class KeypointMapLoss(LossTerm):
    """Squared error of the heat maps of `model.keypoints`."""

    usual: ClassVar[bool] = True
    keypoints: ClassVar[str] = "maps"
    weight: NotNegative = 1.0

    def count(self, batch: PoseBatch) -> int:
        """Labelled keypoints, hidden ones too."""
        return 0 if batch.keypoints is None else int((batch.keypoints[..., 2] > 0).sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        """As of `LossTerm`; raises ValueError where the batch has other keypoints than the network."""
        stages = [maps.keypoint_maps for maps in output.stages if maps.keypoint_maps is not None]
        given = labels.heat.shape[1]
        for maps in stages:
            if (wanted := maps.shape[1]) != given:
                raise ValueError(
                    f"a network with {wanted} keypoint heat maps, but a batch with {given} keypoints: give "
                    "the data set the names of the model's keypoints"
                )
        return [heat_error_sum(maps, labels.heat, labels.heat_known) for maps in stages]


def heat_error_sum(keypoint_maps: Tensor, heat: Tensor, known: Tensor) -> Tensor:
    """Squared error of heat maps (N, K, h, w), summed over their pixels and the known ones (N, K) of them.

    A map of zeros costs the integral of the squared Gaussian, pi: sums, unlike means, do not shrink with the
    size of the map.
    """
    return ((keypoint_maps - heat).square().sum((2, 3)) * known).sum()
