"""The fully convolutional dense network (DensePose, 3.1; DP-FCN): a ResNet of stride 8, as DeepLab has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar, Literal

from slimdp.config import ModelSpec
from slimdp.config.base import within
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.settings import BackboneSettings
from slimdp.models.heads import HEAD_FEATURES, DensePoseHead, float_images
from slimdp.models.model import DensePoseModel
from slimdp.structures import ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: The features that can be asked for: what each is, and its side for images of S px.
FEATURES = {
    **{name: f"{told} (S / 8)" for name, told in HEAD_FEATURES.items()},
    "backbone_4": "the backbone's first layer (S / 4)",
    "backbone_8": "the backbone's last layer (S / 8)",
}
SPEC = ModelSpec(stride=8, size_multiple=8, features=tuple(FEATURES))


class FcnSettings(BackboneSettings):
    """DensePose's fully convolutional network."""

    BACKBONE_STRIDE: ClassVar[int] = 8

    name: Literal["fcn"] = "fcn"
    channels: Annotated[int, within(8, 4096)] = 256  # of the features before the output

    @property
    def spec(self) -> ModelSpec:
        return SPEC

    @property
    def cost(self) -> float:
        return _DILATED_COST * self.backbone_kind.COST

    def build(self, layout: PartLayout) -> DenseFcn:
        backbone = self.backbone_kind(self.BACKBONE_STRIDE)
        return DenseFcn(backbone, self.channels, self.keypoints, layout)


#: Of a backbone of stride 8, in those of stride 32: its last two layers see 4 and 16 times as many pixels.
_DILATED_COST = 5.0


class DenseFcn(DensePoseModel):
    """Images of any size through a dilated backbone to scores of the parts and u, v of each, at stride 8.

    Args:
        backbone: with features of stride 8 at the coarsest.
        channels: of the features before the output.
        keypoints: names of the heat maps, in the order of their channels.
        layout: the parts of the surface.
    """

    def __init__(
        self, backbone: Backbone, channels: int, keypoints: Sequence[str] = (), layout: PartLayout = PEOPLE
    ) -> None:
        super().__init__()
        self.spec, self.keypoints, self.layout = SPEC, tuple(keypoints), layout
        self.backbone = backbone
        self.head = DensePoseHead(backbone.channels[SPEC.stride], channels, self.keypoints, layout)

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """Predict from images, in one stage; raises ValueError for images of other shapes.

        Args:
            batch: its images alone are looked at: (B, 3, H, W) RGB, float in 0..1 or uint8, H and W
                multiples of 8.
            features: names of `FEATURES` to give.
        """
        images = float_images(batch.images, SPEC.size_multiple, next(self.parameters()).dtype)
        levels = self.backbone(images)
        maps, found = self.head(levels[SPEC.stride])
        found |= {f"backbone_{stride}": level for stride, level in levels.items()}
        return ModelOutput((maps,), ({name: found[name] for name in features},))
