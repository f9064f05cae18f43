from __future__ import annotations

from torch import Tensor

from slimdp.losses.equivariance import cosine_errors


def cosine_loss(features_0: Tensor, features_1: Tensor, flow_0to1: Tensor, valid_0: Tensor) -> Tensor:
    """L_cos, the mean over valid pixels (Slim DensePose, 3.2.2); 0 where there is none."""
    unlike, counted = cosine_errors(features_0, features_1, flow_0to1, valid_0)
    return unlike.sum() / counted.sum().clamp(min=1)
