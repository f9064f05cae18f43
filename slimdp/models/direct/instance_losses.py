"""Losses of the instance branch (Direct Dense Pose, equations 8, 10 and 11)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from slimdp.structures import IGNORE

_LEAST = 1e-5


def dice_losses(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Dice loss (D,) of masks (Milletari et al., as CondInst takes it), 0 where all agrees to 1.

    1 - 2 sum(p t) / (sum(p^2) + sum(t^2)) over the known pixels.

    Args:
        logits: (D, h, w); p is their sigmoid.
        target: (D, h, w) in 0..1.
        known: (D, h, w), 1 where the target is known, else 0.
    """
    p = logits.sigmoid() * known
    target = target * known
    both = (p * target).sum((1, 2))
    return 1 - 2 * both / (p.square().sum((1, 2)) + target.square().sum((1, 2)) + _LEAST)


def mask_loss(logits: Tensor, labels: Tensor, person: Tensor) -> Tensor:
    """The mean dice loss over those of D positive locations whose person has the mask (`has_mask`).

    Equations 10 and 11.

    It is taken where the mask is used, on the raster of the global maps, as CondInst does it: at stride 8 a
    small person has a handful of pixels. 0 with a gradient of 0 where there is none.

    Args:
        logits: (D, h, w) of the locations' heads, which are enlarged to the raster of the labels.
        labels: (N, H, W) uint8 of people: 1, 0 or IGNORE, H and W multiples of h and w.
        person: (D,) int64 in 0..N-1, whom each location is of.
    """
    known = (labels != IGNORE).to(logits.dtype)
    counted = has_mask(labels).to(logits.dtype).index_select(0, person)
    target = (labels == 1).to(logits.dtype).index_select(0, person)
    enlarged = enlarge(logits, labels.shape[-1] // logits.shape[-1])
    losses = dice_losses(enlarged, target, known.index_select(0, person))
    return (losses * counted).sum() / counted.sum().clamp(min=1)


def has_mask(labels: Tensor) -> Tensor:
    """Which of N people have a mask to learn from, (N,) bool: a pixel of the labels (N, h, w) is known."""
    return (labels != IGNORE).flatten(1).any(1)


def enlarge(logits: Tensor, times: int) -> Tensor:
    """Maps (D, h, w) -> (D, times h, times w), bilinearly."""
    return F.interpolate(logits[:, None], scale_factor=times, mode="bilinear", align_corners=False)[:, 0]


def dense_pose_labels(coarse: Tensor, mask: Tensor) -> Tensor:
    """What the dense-pose masks are compared with: (N, h, w) uint8, 1, 0 or IGNORE.

    The labelled body parts, coarse (N, h, w); where they are unknown, what the outline (N, h, w) leaves out
    is not the body. A person without any labelled part has no dense-pose mask: all IGNORE.
    """
    labels = (coarse > 0).to(mask.dtype)
    labels = labels.masked_fill(coarse == IGNORE, IGNORE)
    labels = labels.masked_fill((coarse == IGNORE) & (mask == 0), 0)
    unlabelled = ~((coarse > 0) & (coarse != IGNORE)).flatten(1).any(1)
    return labels.masked_fill(unlabelled[:, None, None], IGNORE)
