"""Predictions of mirrored crops, brought back, to be averaged with those of the crops themselves."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from slimdp.structures import DensePoseMaps
from slimdp.surface.symmetry import UvSymmetry


def mirror_prediction(prediction: DensePoseMaps, symmetry: UvSymmetry) -> DensePoseMaps:
    """What a prediction of a mirrored crop says of the crop itself (docs/data.md).

    The maps are mirrored, the channels of left and right change places, and u, v go through the symmetry of
    the body.
    """
    part_channels = torch.as_tensor(symmetry.layout.flip_part, device=prediction.fine_segm.device)
    coarse_channels = torch.as_tensor(symmetry.layout.flip_coarse, device=prediction.fine_segm.device)
    u, v = _mirror_uv(prediction.u.flip(-1), prediction.v.flip(-1), symmetry)
    return DensePoseMaps(
        fine_segm=prediction.fine_segm.flip(-1)[:, part_channels],
        u=u,
        v=v,
        coarse_segm=prediction.coarse_segm.flip(-1)[:, coarse_channels],
    )


def mean_prediction(a: DensePoseMaps, b: DensePoseMaps) -> DensePoseMaps:
    """The mean of two predictions of the same crops: of log probabilities, and of u and v within 0..1."""
    return DensePoseMaps(
        fine_segm=(a.fine_segm.log_softmax(1) + b.fine_segm.log_softmax(1)) / 2,
        u=(a.u.clamp(0, 1) + b.u.clamp(0, 1)) / 2,
        v=(a.v.clamp(0, 1) + b.v.clamp(0, 1)) / 2,
        coarse_segm=(a.coarse_segm.log_softmax(1) + b.coarse_segm.log_softmax(1)) / 2,
    )


def _mirror_uv(u: Tensor, v: Tensor, symmetry: UvSymmetry) -> tuple[Tensor, Tensor]:
    """u and v (B, P, h, w) of the mirrored body, channel p - 1 for its part p, to those of the body."""
    mirrored = symmetry.layout.flip_part[1:]  # the mirrored body's part that becomes part 1, 2, ..., P
    source = torch.as_tensor(mirrored - 1, device=u.device)
    values = torch.stack([u[:, source], v[:, source]], dim=-1).clamp(0, 1)  # (B, P, h, w, 2)
    part = np.broadcast_to(mirrored[None, :, None, None], values.shape[:-1])
    _, flipped = symmetry.flip(part.ravel(), values.reshape(-1, 2).cpu().numpy())
    result = torch.as_tensor(flipped, device=u.device, dtype=u.dtype).reshape(values.shape)
    return result[..., 0], result[..., 1]
