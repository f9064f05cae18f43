"""The region network: Mask R-CNN with a branch of dense pose (DensePose, 3.2 and 3.3, figures 6 and 7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn
from typing_extensions import Self

from slimdp.config import ModelSpec
from slimdp.config.base import Many, Share, Wanted, require, within
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.settings import BackboneSettings
from slimdp.models.heads import float_images
from slimdp.models.model import DensePoseModel
from slimdp.models.region.branches import (
    POOLED,
    SIDE,
    BranchSettings,
    RegionStage,
    StageOutput,
    auxiliary_losses,
)
from slimdp.models.region.detection import (
    LEVELS,
    DetectionSettings,
    PersonDetector,
    from_corners,
    image_index,
)
from slimdp.models.regions import region_labels, to_corners
from slimdp.structures import Instances, ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: Outlines are learned from at half the picture's resolution: a person of 100 px has 50 of the branch's 56.
SPEC = ModelSpec(stride=2, size_multiple=64, input="image", detects=True)
_Sides = Wanted(
    "five rising numbers, px",
    lambda sides: len(sides) == 5 and list(sides) == sorted(set(sides)) and sides[0] > 0,
)


class RegionSettings(BackboneSettings):
    """The region network; the usual numbers are the paper's, or those of Mask R-CNN that it stands on."""

    STAGES: ClassVar[str | None] = "stages"
    BACKBONE_STRIDE: ClassVar[int] = 32

    name: Literal["region"] = "region"
    channels: Annotated[int, within(8, 1024)] = 256  # of the pyramid
    layers: Annotated[int, within(1, 16)] = 8  # 3 x 3 convolutions of the dense branch, and that of keypoints
    head_channels: Annotated[int, within(8, 2048)] = 512  # of these
    masks: bool = False  # a branch of masks beside it; `keypoints` names those of another one
    stages: Annotated[int, within(1, 4)] = 1  # of all branches, each sees what the one before says
    box_features: Annotated[int, within(8, 4096)] = 1024  # of the box head
    anchors_px: Annotated[Many[int], _Sides] = (32, 64, 128, 256, 512)  # of the levels of strides 4 to 64
    rpn_samples: Annotated[int, within(1, 4096)] = 256  # anchors of a picture that teach proposals
    region_samples: Annotated[int, within(1, 4096)] = 512  # proposals of a picture that teach the box head
    positive_share: Share = 0.25  # of these, at most; they teach the branches
    proposals: Annotated[int, within(1, 10_000)] = 1000  # of a picture
    detections: Annotated[int, within(1, 1000)] = 100  # people of a picture, at most
    score: Share = 0.05  # of a detection, at least
    nms: Share = 0.5  # of two detections that overlap by more, the surer one stays

    @property
    def spec(self) -> ModelSpec:
        return SPEC

    @property
    def reads_masks(self) -> bool:
        return self.masks

    @property
    def cost(self) -> float:
        regions = self.region_samples * self.positive_share
        branch = self.layers * (self.head_channels / 64) ** 2 * regions * self.stages
        return self.backbone_kind.COST + 1.2 * self.channels / 64 + branch / 300

    @model_validator(mode="after")
    def _check_positive(self) -> Self:
        ok = self.positive_share * self.region_samples >= 1
        wanted = f"such that it is at least one of region_samples = {self.region_samples}"
        require(ok, "positive_share", self.positive_share, wanted)
        return self

    def build(self, layout: PartLayout) -> RegionNetwork:
        given: dict[str, Any] = {name: getattr(self, name) for name in DetectionSettings.__dataclass_fields__}
        mask_channels = self.head_channels // 2 if self.masks else 0  # Mask R-CNN has 256 beside 512
        branches = BranchSettings(self.layers, self.head_channels, mask_channels, len(self.keypoints))
        backbone = self.backbone_kind(self.BACKBONE_STRIDE)
        return RegionNetwork(
            backbone, self.channels, DetectionSettings(**given), branches, stages=self.stages,
            keypoints=self.keypoints, layout=layout,
        )  # fmt: skip


class RegionNetwork(DensePoseModel):
    """Pictures through a backbone and its pyramid to people, and dense pose in the box of each.

    Args:
        backbone: with features of strides 4 to 32.
        channels: of the pyramid.
        stages: of the branches.
        keypoints: names, in the order of the channels of their branch.
        layout: the parts of the surface.
    """

    FOLDS = True

    def __init__(
        self, backbone: Backbone, channels: int, detection: DetectionSettings, branches: BranchSettings,
        stages: int = 1, keypoints: Sequence[str] = (), layout: PartLayout = PEOPLE,
    ) -> None:  # fmt: skip
        from torchvision.ops import MultiScaleRoIAlign

        super().__init__()
        self.spec, self.keypoints, self.layout = SPEC, tuple(keypoints), layout
        self.backbone = backbone
        self.detector = PersonDetector(backbone.channels, channels, detection)
        self.pool: nn.Module = MultiScaleRoIAlign(list(LEVELS), POOLED, 2)
        first = RegionStage(channels, branches, layout)
        further = [RegionStage(channels, branches, layout, first.maps) for _ in range(stages - 1)]
        self.stages = nn.ModuleList([first, *further])

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """In training what the loss looks at; in evaluation the people, as `PoseBatch.to_detect` says.

        Raises ValueError for images whose sides are no multiples of 64 px.
        """
        images = float_images(batch.images, SPEC.size_multiple, next(self.parameters()).dtype)
        levels = self.detector.features(self.backbone(images))
        if self.training:
            return self._learn(batch, levels)
        return ModelOutput((), instances=self._answer(batch, images, levels))

    def _learn(self, batch: PoseBatch, levels: dict[str, Tensor]) -> ModelOutput:
        regions, losses = self.detector.learn(batch, levels)
        stages = self._stages(levels, regions.corners, batch.images.shape[-2:])
        labels = region_labels(batch, regions.box, regions.person, SIDE)
        losses |= auxiliary_losses(stages, batch, regions)
        return ModelOutput(tuple(stage.dense for stage in stages), losses=losses, regions=labels)

    def _answer(self, batch: PoseBatch, images: Tensor, levels: dict[str, Tensor]) -> Instances:
        if batch.to_detect:
            corners, scores = self.detector.detect(images, levels)
            score = torch.cat(scores)
        else:
            given = to_corners(batch.box.to(images.dtype))
            corners = list(given.split(torch.bincount(batch.image_index, minlength=len(images)).tolist()))
            score = torch.ones_like(given[:, 0])
        dense = self._stages(levels, corners, images.shape[-2:])[-1].dense
        box = from_corners(torch.cat(corners))
        return Instances(image_index(corners), box, score, dense, window=box)

    def _stages(
        self, levels: dict[str, Tensor], corners: Sequence[Tensor], size: Sequence[int]
    ) -> list[StageOutput]:
        """What each stage says of regions (n, 4) of every picture."""
        pooled = self.pool(levels, list(corners), [tuple(size)] * len(corners))
        said: list[StageOutput] = []
        for stage in self.stages:
            said.append(stage(pooled, said[-1] if said else None))
        return said
