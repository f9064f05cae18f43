"""From the network's maps to an answer for every pixel of the crop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from slimdp.maps import upsample_map
from slimdp.structures import Prediction


@dataclass(frozen=True)
class DecodedMaps:
    """What B crops of S x S px show."""

    part: Tensor  # (B, S, S) uint8, 1..24: the best of the 24 parts, on background too
    uv: Tensor  # (B, 2, S, S) float32 in [0, 1], on that part
    foreground: Tensor  # (B, S, S) bool


def decode(prediction: Prediction) -> DecodedMaps:
    """Read one stack's maps as DensePose does: scores up-sampled first, then compared.

    A pixel is foreground where background wins neither among the coarse parts nor among the 25 classes:
    DensePose takes the best of 25 where the coarse segmentation says "person", and that may still be
    background. `part` and `uv` do not look at the background: the "localization only" form of the scores
    asks for the best of the 24 parts everywhere (Slim DensePose, table 2).
    """
    # One crop at a time: the 88 maps of a single one take 23 MB at 256 px.
    decoded = [_decode_crop(_crop(prediction, i)) for i in range(len(prediction.part_logits))]
    return DecodedMaps(
        part=torch.cat([maps.part for maps in decoded]),
        uv=torch.cat([maps.uv for maps in decoded]),
        foreground=torch.cat([maps.foreground for maps in decoded]),
    )


def _crop(prediction: Prediction, index: int) -> Prediction:
    """One crop's maps, float32, in the layout in which they are resized and compared five times as fast."""

    def one(maps: Tensor) -> Tensor:
        return maps[index : index + 1].float().contiguous(memory_format=torch.channels_last)

    return Prediction(
        part_logits=one(prediction.part_logits),
        u=one(prediction.u),
        v=one(prediction.v),
        coarse_logits=one(prediction.coarse_logits),
        features=prediction.features[index : index + 1],
    )


def _decode_crop(prediction: Prediction) -> DecodedMaps:
    scores, coarse = upsample_map(prediction.part_logits), upsample_map(prediction.coarse_logits)
    best_score, best = scores[:, 1:].max(dim=1, keepdim=True)  # best: channel of the best part, 0..23
    uv = [upsample_map(maps).gather(1, best) for maps in (prediction.u, prediction.v)]
    return DecodedMaps(
        part=(best.squeeze(1) + 1).to(torch.uint8),
        uv=torch.cat(uv, dim=1).clamp(0, 1),
        foreground=(best_score.squeeze(1) > scores[:, 0]) & (coarse[:, 1:].amax(dim=1) > coarse[:, 0]),
    )
