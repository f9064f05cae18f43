"""Losses with named terms."""

from slimdp.losses.counts import label_counts, label_shares
from slimdp.losses.equivariance import needs_levels
from slimdp.losses.total import total_loss

__all__ = ["label_counts", "label_shares", "needs_levels", "total_loss"]
