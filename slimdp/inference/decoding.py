"""From a network's maps to an answer for every pixel: part, (u, v), and whether it is the person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from slimdp.geometry import map_from_crop
from slimdp.maps import bilinear_taps, upsample_map
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


@dataclass(frozen=True)
class DecodedPerson:
    """What one crop of S x S px shows where the person is and a pixel around, which is all that is drawn."""

    pixels: CropPixels  # those pixels, M
    part: np.ndarray  # (M,) int64, 1..P: the best of all parts
    uv: np.ndarray  # (M, 2) float32 in [0, 1], on that part
    foreground: np.ndarray  # (S, S) bool


class CropPixels:
    """Pixels of a crop, and how maps are read there: bilinearly, as `upsample_map` does.

    Args:
        chosen: (S, S) bool.
        stride: crop px to a map px.
    """

    def __init__(self, chosen: np.ndarray, stride: int) -> None:
        self.chosen = chosen
        row, column = np.nonzero(chosen)
        height, width = (side // stride for side in chosen.shape)
        places = map_from_crop(np.stack([column, row], axis=1).astype(np.float64), stride)
        self._taps, self._weights = bilinear_taps(places, height, width)

    def read(self, maps: Tensor) -> np.ndarray:
        """All channels of maps (1, C, h, w), (M, C)."""
        rows = maps[0].flatten(1).T.contiguous().numpy()
        taps = zip(self._taps, self._weights, strict=True)
        return sum(weight[:, None] * rows.take(tap, axis=0) for tap, weight in taps)

    def read_channel(self, maps: Tensor, channel: np.ndarray) -> np.ndarray:
        """A channel (M,) each, 0..C - 1, of maps (1, C, h, w), (M,)."""
        taps = self._taps + channel * (maps.shape[2] * maps.shape[3])
        return np.asarray((maps.contiguous().numpy().ravel().take(taps) * self._weights).sum(axis=0))

    def spread(self, values: np.ndarray, elsewhere: float, dtype: type) -> np.ndarray:
        """Values (M, ...) of the pixels in a map (..., S, S) that holds another one elsewhere."""
        maps = np.full((*self.chosen.shape, *values.shape[1:]), elsewhere, dtype)
        maps[self.chosen] = values
        return np.moveaxis(maps, (0, 1), (-2, -1))


def decode_person(prediction: DensePoseMaps, stride: int) -> DecodedPerson:
    """`decode` of the maps (1, C, h, w) of one person, for what is drawn: a third of its time.

    Drawing reads between pixels, so those around the foreground have answers too.
    """
    log_odds = upsample_map(person_log_odds(prediction)[None], stride)[0, 0].numpy()
    foreground = log_odds > 0
    near = cv2.dilate(foreground.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    pixels = CropPixels(near, stride)
    channel = pixels.read(prediction.fine_segm[:, 1:]).argmax(axis=1)
    uv = [pixels.read_channel(maps, channel).clip(0, 1) for maps in (prediction.u, prediction.v)]
    return DecodedPerson(pixels, channel + 1, np.stack(uv, axis=1), foreground)


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
