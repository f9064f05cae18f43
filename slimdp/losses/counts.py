"""How many labels each term of the loss has: what its mean divides by."""

from __future__ import annotations

from collections.abc import Mapping

from slimdp.losses.supervised import BACKGROUND
from slimdp.structures import IGNORE, PoseBatch


def label_counts(batch: PoseBatch) -> dict[str, int]:
    """Labels of each term of `supervised_terms`, by its name.

    The loss of a batch that is cut into parts, for several processes or one part after the other, is the sum
    of the parts' losses, each weighted with its share of the labels:
    mean(batch) = sum over parts of count(part) / count(batch) * mean(part).
    """
    points = len(batch.part)
    known = int((batch.coarse != IGNORE).sum())
    outside = int((batch.coarse == BACKGROUND).sum())
    return {"part": points, "coarse": known, "background": outside, "uv": points}


def label_shares(counts: Mapping[str, int], totals: Mapping[str, int]) -> dict[str, float]:
    """Each term's share of the labels of the whole batch, 0..1; 0 where the batch has none."""
    return {name: count / max(totals[name], 1) for name, count in counts.items()}
