"""How many labels each term of the loss has: what its mean divides by."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from slimdp.losses.targets import BACKGROUND, has_uv
from slimdp.structures import IGNORE, LabelSource, PoseBatch


def count_labels(batch: PoseBatch) -> dict[str, Tensor]:
    """Labels of each term, scalars on the batch's device; points of confidence 0 do not count."""
    counted = torch.ones_like(batch.part, dtype=torch.bool)
    if batch.confidence is not None:
        counted &= batch.confidence > 0
    of_keypoint = torch.zeros_like(counted) if batch.source is None else batch.source == LabelSource.KEYPOINT
    with_uv = counted & has_uv(batch)
    anchored = (counted & of_keypoint).sum()
    heat = torch.zeros_like(anchored) if batch.keypoints is None else (batch.keypoints[..., 2] > 0).sum()
    paired = torch.zeros_like(anchored) if batch.valid_1 is None else batch.valid_1.sum()
    return {
        "part": (counted & ~of_keypoint).sum(),
        "coarse": (batch.coarse != IGNORE).sum(),
        "background": (batch.coarse == BACKGROUND).sum(),
        "uv": (with_uv & ~of_keypoint).sum(),
        "keypoint_part": anchored,
        "keypoint_uv": (with_uv & of_keypoint).sum(),
        "keypoint_map": heat,
        "equivariance": paired,  # map pixels, whose features need no label
    }


def label_counts(batch: PoseBatch) -> dict[str, int]:
    """Labels of each term, by the name of its weight in `LossSettings`.

    The loss of a batch that is cut into parts, for several processes or one part after the other, is the sum
    of the parts' losses, each weighted with its share of the labels:
    mean(batch) = sum over parts of count(part) / count(batch) * mean(part).
    """
    return {name: int(count) for name, count in count_labels(batch).items()}


def label_shares(counts: Mapping[str, int], totals: Mapping[str, int]) -> dict[str, float]:
    """Each term's share of the labels of the whole batch, 0..1; 0 where the batch has none."""
    return {name: count / max(totals[name], 1) for name, count in counts.items()}
