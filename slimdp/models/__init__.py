"""Networks, from pictures to dense pose: a file each, with its settings."""

from slimdp.config import ModelSettings
from slimdp.models.direct.network import DirectDensePose, DirectSettings
from slimdp.models.fcn import DenseFcn, FcnSettings
from slimdp.models.fpn import FeaturePyramid, FpnSettings
from slimdp.models.hourglass import HourglassSettings, StackedHourglass
from slimdp.models.model import DensePoseModel, evaluating
from slimdp.models.region.network import RegionNetwork, RegionSettings

__all__ = [
    "MODELS", "DenseFcn", "DensePoseModel", "DirectDensePose", "DirectSettings", "FcnSettings",
    "FeaturePyramid", "FpnSettings", "HourglassSettings", "RegionNetwork", "RegionSettings",
    "StackedHourglass", "evaluating",
]  # fmt: skip

#: The networks that `model.name` may name, by their settings.
MODELS: dict[str, type[ModelSettings]] = {
    "hourglass": HourglassSettings,
    "fpn": FpnSettings,
    "fcn": FcnSettings,
    "direct": DirectSettings,
    "region": RegionSettings,
}
