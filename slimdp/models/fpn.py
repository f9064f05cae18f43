"""A backbone with a feature pyramid (Lin et al., CVPR 2017), its levels fused at a quarter of the crop.

All levels are enlarged to the finest one and added, as by Kirillov et al. (CVPR 2019, panoptic feature
pyramids), in one step each; one head sees the sum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.config import ModelSpec
from slimdp.config.base import within
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.settings import BackboneSettings
from slimdp.models.heads import HEAD_FEATURES, DensePoseHead, float_images
from slimdp.models.model import DensePoseModel
from slimdp.structures import ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: The features that can be asked for: what each is, and its side for crops of S px.
FEATURES = {
    **{name: f"{told} (S / 4)" for name, told in HEAD_FEATURES.items()},
    "fused": "all levels of the pyramid, added (S / 4)",
    **{f"pyramid_{stride}": f"a level of the pyramid (S / {stride})" for stride in (4, 8, 16, 32)},
}
SPEC = ModelSpec(stride=4, size_multiple=32, features=tuple(FEATURES))


class FpnSettings(BackboneSettings):
    """A backbone with a feature pyramid."""

    BACKBONE_STRIDE: ClassVar[int] = 32

    name: Literal["fpn"] = "fpn"
    channels: Annotated[int, within(8, 1024)] = 128  # of the pyramid and of the features before the output

    @property
    def spec(self) -> ModelSpec:
        return SPEC

    @property
    def cost(self) -> float:
        return self.backbone_kind.COST + _PYRAMID_COST * self.channels / 64

    def build(self, layout: PartLayout) -> FeaturePyramid:
        backbone = self.backbone_kind(self.BACKBONE_STRIDE)
        return FeaturePyramid(backbone, self.channels, self.keypoints, layout)


#: As `Backbone.COST`, of a pyramid of 64 channels and its head.
_PYRAMID_COST = 1.2


class FeaturePyramid(DensePoseModel):
    """Images through a backbone, its pyramid and one head.

    Args:
        backbone: with features of strides 4 to 32.
        channels: of the pyramid and of the features before the output.
        keypoints: names of the heat maps, in the order of their channels.
        layout: the parts of the surface.
    """

    def __init__(
        self, backbone: Backbone, channels: int, keypoints: Sequence[str] = (), layout: PartLayout = PEOPLE
    ) -> None:
        super().__init__()
        self.spec, self.keypoints, self.layout = SPEC, tuple(keypoints), layout
        self.backbone = backbone
        self.pyramid = _Pyramid(list(backbone.channels.values()), channels)
        self.head = DensePoseHead(channels, channels, self.keypoints, layout)

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """Predict from images, in one stage; raises ValueError for images of other shapes.

        Args:
            batch: its images alone are looked at: (B, 3, H, W) RGB, float in 0..1 or uint8, H and W
                multiples of 32.
            features: names of `FEATURES` to give.
        """
        images = float_images(batch.images, SPEC.size_multiple, next(self.parameters()).dtype)
        levels = self.backbone(images)
        finest, *coarser = of_strides = self.pyramid(list(levels.values()))
        pyramid = {f"pyramid_{stride}": level for stride, level in zip(levels, of_strides)}
        fused = finest
        for level in coarser:
            fused = fused + F.interpolate(level, finest.shape[-2:], mode="bilinear", align_corners=False)
        maps, found = self.head(fused)
        found |= {"fused": fused, **pyramid}
        return ModelOutput((maps,), ({name: found[name] for name in features},))


class _Pyramid(nn.Module):
    """Each level of a backbone with the coarser ones enlarged and added, of one width (Lin et al., figure 3).

    The names and the first values of its weights are those of torchvision's FeaturePyramidNetwork, which it
    computes; to load that takes torchvision seconds.
    """

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        for width in inputs:
            self.inner_blocks.append(nn.Sequential(nn.Conv2d(width, channels, 1)))
            self.layer_blocks.append(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Features (B, C, h, w), the finest first, to as many of equal width, in the same order."""
        found: list[Tensor] = []
        above: Tensor | None = None
        for level, inner, layer in reversed(list(zip(levels, self.inner_blocks, self.layer_blocks))):
            x = inner(level)
            above = x if above is None else x + F.interpolate(above, x.shape[-2:], mode="nearest")
            found.append(layer(above))
        return found[::-1]
