"""Losses with named terms."""

from slimdp.losses.counts import label_counts, label_shares
from slimdp.losses.supervised import supervised_loss

__all__ = ["label_counts", "label_shares", "supervised_loss"]
