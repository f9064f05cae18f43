"""The fully convolutional network (DensePose, 3.1; DP-FCN): a backbone of stride 8, as DeepLab has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch

from slimdp.config import ModelSpec
from slimdp.config.base import within
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.settings import BackboneSettings
from slimdp.models.heads import HEAD_FEATURES, DensePoseHead, float_images
from slimdp.models.model import DensePoseModel
from slimdp.models.regions import picture_labels
from slimdp.structures import DensePoseMaps, Instances, ModelOutput, PoseBatch
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
    input: Literal["crop", "image"] = "crop"  # crops of people, or whole pictures with all people in them
    channels: Annotated[int, within(8, 4096)] = 256  # of the features before the output

    @property
    def spec(self) -> ModelSpec:
        return replace(SPEC, input=self.input)

    @property
    def cost(self) -> float:
        return _DILATED_COST * self.backbone_kind.COST

    def build(self, layout: PartLayout) -> DenseFcn:
        backbone = self.backbone_kind(self.BACKBONE_STRIDE)
        return DenseFcn(backbone, self.channels, self.keypoints, layout, self.spec)


#: Of a backbone of stride 8, in those of stride 32: its last two layers see 4 and 16 times as many pixels.
_DILATED_COST = 5.0


class DenseFcn(DensePoseModel):
    """Images of any size through a dilated backbone to scores of the parts and u, v of each, at stride 8.

    Args:
        backbone: with features of stride 8 at the coarsest.
        channels: of the features before the output.
        keypoints: names of the heat maps, in the order of their channels.
        layout: the parts of the surface.
        spec: SPEC, of crops or of whole pictures.
    """

    FOLDS = True

    def __init__(
        self, backbone: Backbone, channels: int, keypoints: Sequence[str] = (), layout: PartLayout = PEOPLE,
        spec: ModelSpec = SPEC,
    ) -> None:  # fmt: skip
        super().__init__()
        self.spec, self.keypoints, self.layout = spec, tuple(keypoints), layout
        self.backbone = backbone
        self.head = DensePoseHead(backbone.channels[SPEC.stride], channels, self.keypoints, layout)

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """Predict from images, in one stage; raises ValueError for images of other shapes.

        Of whole pictures it learns from everybody's labels in one map; in evaluation each person of the batch
        gets the maps of the whole picture.

        Args:
            batch: (B, 3, H, W) RGB, float in 0..1 or uint8, H and W multiples of 8.
            features: names of `FEATURES` to give.
        """
        images = float_images(batch.images, SPEC.size_multiple, next(self.parameters()).dtype)
        levels = self.backbone(images)
        maps, found = self.head(levels[SPEC.stride])
        found |= {f"backbone_{stride}": level for stride, level in levels.items()}
        asked = ({name: found[name] for name in features},)
        if self.spec.input == "crop":
            return ModelOutput((maps,), asked)
        if self.training:
            return ModelOutput((maps,), asked, regions=picture_labels(batch))
        return ModelOutput((maps,), asked, instances=_of_people(maps, batch))


def _of_people(maps: DensePoseMaps, batch: PoseBatch) -> Instances:
    """The maps of each person's picture."""
    height, width = batch.images.shape[-2:]
    window = batch.box.new_tensor([0, 0, width, height]).expand(len(batch.box), 4)
    score = torch.ones_like(batch.box[:, 0])
    return Instances(batch.image_index, batch.box, score, maps.map(batch.of_instances), window)
