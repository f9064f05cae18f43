"""Losses with named terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimdp.config import LOSS, LossTerm
from slimdp.losses.coarse import BackgroundLoss, CoarseLoss
from slimdp.losses.equivariance import EquivarianceLoss
from slimdp.losses.keypoint_map import KeypointMapLoss
from slimdp.losses.labels import MapLabels
from slimdp.losses.part import KeypointPartLoss, PartLoss, TaughtPartLoss
from slimdp.losses.smoothness import SmoothnessLoss
from slimdp.losses.total import count_labels, needed_features, total_loss
from slimdp.losses.uv import KeypointUvLoss, TaughtUvLoss, UvLoss

#: The terms by their names in settings (`loss.part`) and reports, in the order in which they are summed.
LOSSES: dict[str, type[LossTerm]] = {
    "part": PartLoss,
    "uv": UvLoss,
    "coarse": CoarseLoss,
    "background": BackgroundLoss,
    "keypoint_part": KeypointPartLoss,
    "keypoint_uv": KeypointUvLoss,
    "keypoint_map": KeypointMapLoss,
    "equivariance": EquivarianceLoss,
    "smoothness": SmoothnessLoss,
    "taught_part": TaughtPartLoss,
    "taught_uv": TaughtUvLoss,
}


def loss_terms(**given: Any) -> Mapping[str, LossTerm]:
    """The usual terms and some others or with other settings, as in YAML: a number is a weight."""
    return LOSS.terms(given)


__all__ = [
    "LOSSES",
    "BackgroundLoss", "CoarseLoss", "EquivarianceLoss", "KeypointMapLoss", "KeypointPartLoss", "LossTerm",
    "MapLabels", "PartLoss", "SmoothnessLoss", "UvLoss", "count_labels", "loss_terms",
    "needed_features", "total_loss",
]  # fmt: skip
