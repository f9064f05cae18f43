"""Networks, from pictures to dense pose: a file each, with its settings."""

from slimdp.config import ModelSettings
from slimdp.models.hourglass import HourglassSettings, StackedHourglass
from slimdp.models.model import DensePoseModel

__all__ = ["MODELS", "DensePoseModel", "HourglassSettings", "StackedHourglass"]

#: The networks that `model.name` may name, by their settings.
MODELS: dict[str, type[ModelSettings]] = {"hourglass": HourglassSettings}
