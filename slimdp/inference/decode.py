"""From the network's maps to an answer for every pixel of the crop, those of mirrored crops turned back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from slimdp.maps import upsample_map
from slimdp.structures import DensePoseMaps
from slimdp.surface.symmetry import UvSymmetry


@dataclass(frozen=True)
class DecodedMaps:
    """What B crops of S x S px show."""

    part: Tensor  # (B, S, S) uint8, 1..P: the best of all parts, on background too
    uv: Tensor  # (B, 2, S, S) float32 in [0, 1], on that part
    foreground: Tensor  # (B, S, S) bool


def decode(prediction: DensePoseMaps, stride: int) -> DecodedMaps:
    """Read one stack's maps: up-sampled first, then compared.

    A pixel is foreground where `person_log_odds` are over 0. `part` and `uv` do not look at the background:
    the "localization only" form of the scores asks for the best of all parts everywhere (Slim DensePose,
    table 2).
    """
    # One crop at a time: the 88 maps of a single person take 23 MB at 256 px.
    decoded = [_decode_crop(_crop(prediction, i), stride) for i in range(len(prediction.fine_segm))]
    return DecodedMaps(
        part=torch.cat([maps.part for maps in decoded]),
        uv=torch.cat([maps.uv for maps in decoded]),
        foreground=torch.cat([maps.foreground for maps in decoded]),
    )


def person_log_odds(prediction: DensePoseMaps) -> Tensor:
    """How much more likely a person is than background, by the parts and by the coarse parts: (B, h, w).

    The sum of the log odds of both, each of all parts together against background. DensePose (3.2) asks
    whether background is the single likeliest class of either one. That loses whom the network sees, but is
    not sure which part of: several parts share the odds, and each of them is below background's
    (docs/evaluation.md has what that costs).
    """
    heads = prediction.fine_segm, prediction.coarse_segm
    by_head = [scores[:, 1:].logsumexp(dim=1) - scores[:, 0] for scores in heads]
    return torch.stack(by_head).sum(dim=0)


def _crop(prediction: DensePoseMaps, index: int) -> DensePoseMaps:
    """One crop's maps, float32, in the layout in which they are resized and compared five times as fast."""

    def one(maps: Tensor) -> Tensor:
        return maps[index : index + 1].float().contiguous(memory_format=torch.channels_last)

    return prediction.map(one)


def _decode_crop(prediction: DensePoseMaps, stride: int) -> DecodedMaps:
    best = upsample_map(prediction.fine_segm, stride)[:, 1:].argmax(dim=1, keepdim=True)  # channel, 0..P - 1
    uv = [upsample_map(maps, stride).gather(1, best) for maps in (prediction.u, prediction.v)]
    return DecodedMaps(
        part=(best.squeeze(1) + 1).to(torch.uint8),
        uv=torch.cat(uv, dim=1).clamp(0, 1),
        foreground=upsample_map(person_log_odds(prediction)[:, None], stride).squeeze(1) > 0,
    )


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
