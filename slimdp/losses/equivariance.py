"""Features that move with the picture (Slim DensePose, 3.2.2).

Where a pixel of one frame moves to a place of another, the network's features at both should agree, up to
their length. No label is needed, only the flow between the two crops.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.maps import resize_flow, warp_maps


def cosine_loss(features_0: Tensor, features_1: Tensor, flow_0to1: Tensor, valid_0: Tensor) -> Tensor:
    """L_cos = 1 - rho(Psi(I_0), Psi_g(I_1)), the mean over valid pixels (Slim DensePose, 3.2.2).

    Args:
        features_0: (B, C, h, w), of the first crops.
        features_1: (B, C, h, w), of the second crops.
        flow_0to1: (B, 2, H, W) from the first crops to the second, px of its own raster; its raster and that
            of the features cover the same crop.
        valid_0: (B, H, W) bool, where the flow can be trusted.

    Returns:
        scalar, 0 (all alike) to 2 (all opposite); 0 with a gradient of 0 where no pixel is valid.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if features_0.shape != features_1.shape or len(flow_0to1) != len(features_0):
        raise ValueError(
            f"features of {tuple(features_0.shape)} and {tuple(features_1.shape)} with a flow of "
            f"{tuple(flow_0to1.shape)}: wanted (B, C, h, w) twice, and (B, 2, H, W)"
        )
    flow, valid = resize_flow(flow_0to1.float(), valid_0, features_0.shape[-2:])
    # Under autocast the features are half floats, whose squares overflow.
    warped_0, inside = warp_maps(features_1.float(), flow)
    alike = F.cosine_similarity(features_0.float(), warped_0, dim=1)
    counted = valid & inside
    return torch.where(counted, 1 - alike, 0).sum() / counted.sum().clamp(min=1)
