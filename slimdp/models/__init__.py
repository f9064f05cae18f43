"""Networks from crops to dense pose."""

from slimdp.models.cost import multiply_adds
from slimdp.models.hourglass import FEATURES, StackedHourglass

__all__ = ["FEATURES", "StackedHourglass", "multiply_adds"]
