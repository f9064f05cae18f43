"""Losses with named terms."""

from slimdp.losses.counts import label_counts, label_shares
from slimdp.losses.total import needed_features, total_loss

__all__ = ["label_counts", "label_shares", "needed_features", "total_loss"]
