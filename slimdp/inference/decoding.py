"""From a network's maps to an answer for every pixel: part, (u, v), and whether it is the person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from slimdp.maps import upsample_map
from slimdp.structures import DensePoseMaps


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
    people = (prediction.map(partial(one_person, index=i)) for i in range(len(prediction.fine_segm)))
    decoded = [_decode_crop(person, stride) for person in people]
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


def one_person(maps: Tensor, index: int) -> Tensor:
    """Maps (1, C, h, w) of (N, C, h, w), float32, in the layout that is compared five times as fast."""
    return maps[index : index + 1].float().contiguous(memory_format=torch.channels_last)


def _decode_crop(prediction: DensePoseMaps, stride: int) -> DecodedMaps:
    part, uv, log_odds = decode_together(prediction, stride)
    return DecodedMaps(part, uv, log_odds > 0)


def decode_together(prediction: DensePoseMaps, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """`decode` of all crops at once: part (B, S, S), u and v (B, 2, S, S), a person's log odds (B, S, S)."""
    return decide(prediction, lambda maps: upsample_map(maps, stride))


def decide(prediction: DensePoseMaps, enlarge: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The same where `enlarge` up-samples maps (B, C, h, w) in another way."""
    best = enlarge(prediction.fine_segm)[:, 1:].argmax(dim=1, keepdim=True)  # channel, 0..P - 1
    uv = [enlarge(maps).gather(1, best) for maps in (prediction.u, prediction.v)]
    log_odds = enlarge(person_log_odds(prediction)[:, None]).squeeze(1)
    return (best.squeeze(1) + 1).to(torch.uint8), torch.cat(uv, dim=1).clamp(0, 1), log_odds
