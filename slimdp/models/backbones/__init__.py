"""Backbones: networks that others stand on, with weights that have seen photographs."""

from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.blazepose import BlazePose
from slimdp.models.backbones.efficientnet_lite import EfficientNetLite0
from slimdp.models.backbones.resnet import Resnet18, Resnet34, Resnet50, Resnet101

__all__ = [
    "BACKBONES", "Backbone", "BlazePose", "EfficientNetLite0", "Resnet18", "Resnet34", "Resnet50",
    "Resnet101",
]  # fmt: skip

#: The backbones that `model.backbone` may name.
BACKBONES: dict[str, type[Backbone]] = {
    "resnet18": Resnet18,
    "resnet34": Resnet34,
    "resnet50": Resnet50,
    "resnet101": Resnet101,
    "efficientnet_lite0": EfficientNetLite0,
    "blazepose": BlazePose,
}
