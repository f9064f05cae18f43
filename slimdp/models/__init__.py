"""Networks from crops to dense pose."""

from slimdp.models.cost import multiply_adds
from slimdp.models.hourglass import LEVELS, StackedHourglass

__all__ = ["LEVELS", "StackedHourglass", "multiply_adds"]
