"""A backbone with a feature pyramid (Lin et al., CVPR 2017), its levels fused at a quarter of the crop.

All levels are enlarged to the finest one and added, as by Kirillov et al. (CVPR 2019, panoptic feature
pyramids), in one step each; one head sees the sum. Hourglasses may follow, which correct what it says
(Newell et al., ECCV 2016): a backbone that has seen photographs, in the place of their stem.
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
from slimdp.models.heads import HEAD_FEATURES, DensePoseHead, float_images, head_features, output_channels
from slimdp.models.hourglass import DEPTH, Stacks
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
#: With hourglasses, which halve the map of a quarter of the crop.
STACKED_SPEC = ModelSpec(stride=4, size_multiple=4 * 2**DEPTH, features=tuple(FEATURES))


class FpnSettings(BackboneSettings):
    """A backbone with a feature pyramid."""

    BACKBONE_STRIDE: ClassVar[int] = 32

    name: Literal["fpn"] = "fpn"
    channels: Annotated[int, within(8, 1024)] = 128  # of the pyramid and of the features before the output
    stacks: Annotated[int, within(0, 16)] = 0  # hourglasses that correct the output, one after another

    @property
    def spec(self) -> ModelSpec:
        return STACKED_SPEC if self.stacks else SPEC

    @property
    def cost(self) -> float:
        return self.backbone_kind.COST + (_PYRAMID_COST + _STACK_COST * self.stacks) * self.channels / 64

    def build(self, layout: PartLayout) -> FeaturePyramid:
        backbone = self.backbone_kind(self.BACKBONE_STRIDE)
        return FeaturePyramid(backbone, self.channels, self.keypoints, layout, self.stacks)


#: As `Backbone.COST`, of a pyramid of 64 channels and its head.
_PYRAMID_COST = 1.2
_STACK_COST = 0.7  # of a hourglass of 64 channels


class FeaturePyramid(DensePoseModel):
    """Images through a backbone, its pyramid and one head.

    Args:
        backbone: with features of strides 4 to 32.
        channels: of the pyramid and of the features before the output.
        keypoints: names of the heat maps, in the order of their channels.
        layout: the parts of the surface.
        stacks: number of hourglasses after the head, a stage each.
    """

    FOLDS = True

    def __init__(
        self,
        backbone: Backbone,
        channels: int,
        keypoints: Sequence[str] = (),
        layout: PartLayout = PEOPLE,
        stacks: int = 0,
    ) -> None:
        super().__init__()
        self.spec = STACKED_SPEC if stacks else SPEC
        self.keypoints, self.layout = tuple(keypoints), layout
        self.backbone = backbone
        self.pyramid = _Pyramid(list(backbone.channels.values()), channels)
        self.head = DensePoseHead(channels, channels, self.keypoints, layout)
        self.refinement = (
            Stacks(stacks, channels, output_channels(layout), len(self.keypoints), corrects=True)
            if stacks
            else None
        )

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """Predict from images; a stage, and one a hourglass. Raises ValueError for images of other shapes.

        Args:
            batch: its images alone are looked at: (B, 3, H, W) RGB, float in 0..1 or uint8, H and W
                multiples of 32, with hourglasses of 64.
            features: names of `FEATURES` to give of each stage; those of the pyramid are the same in all.
        """
        images = float_images(batch.images, self.spec.size_multiple, next(self.parameters()).dtype)
        levels = self.backbone(images)
        finest, *coarser = of_strides = self.pyramid(list(levels.values()))
        pyramid = {f"pyramid_{stride}": level for stride, level in zip(levels, of_strides)}
        fused = finest
        for level in coarser:
            fused = fused + F.interpolate(level, finest.shape[-2:], mode="bilinear", align_corners=False)
        maps, found = self.head(fused)
        stages, asked = [maps], [found | {"fused": fused, **pyramid}]
        if self.refinement is not None:
            first = (found["features"], found["output"], maps.keypoint_maps)
            for levels, its_maps in self.refinement.run(fused, first):
                stages.append(its_maps)
                asked.append(head_features(levels[3], levels[4], its_maps) | {"fused": levels[0], **pyramid})
        return ModelOutput(
            tuple(stages), tuple({name: of_stage[name] for name in features} for of_stage in asked)
        )


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
