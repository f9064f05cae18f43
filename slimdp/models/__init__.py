"""Networks from crops to dense pose."""

from slimdp.models.hourglass import StackedHourglass

__all__ = ["StackedHourglass"]
