"""Losses with named terms."""

from slimdp.losses.supervised import supervised_loss

__all__ = ["supervised_loss"]
