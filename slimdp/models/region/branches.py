"""What is said of each region: dense pose, and beside it masks and keypoints (DensePose, 3.2, 3.3).

The branches are those of Mask R-CNN, as torchvision has them; the dense one has the layers of the keypoint
branch (3.2). A further stage sees the region's features and all that the stage before said (figure 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.models.heads import output_channels
from slimdp.models.region.detection import Regions
from slimdp.models.regions import sample_regions, to_corners
from slimdp.structures import IGNORE, DensePoseMaps, PoseBatch
from slimdp.surface.layout import PartLayout

#: Sides of the maps that the branches give: of dense pose and keypoints, and of masks.
SIDE, MASK_SIDE = 56, 28
#: Of what a branch sees of a region.
POOLED = 14


@dataclass(frozen=True)
class BranchSettings:
    """What the branches are made of."""

    layers: int  # 3 x 3 convolutions of the dense and of the keypoint branch
    channels: int  # of these
    mask_channels: int  # of the four convolutions of the mask branch; 0: there is none
    keypoints: int  # names; 0: there is no such branch


@dataclass(frozen=True)
class StageOutput:
    """What a stage says of R regions."""

    dense: DensePoseMaps  # (R, C, 56, 56)
    mask: Tensor | None  # (R, 1, 28, 28) log odds of the person
    keypoints: Tensor | None  # (R, K, 56, 56) scores of the place of each keypoint

    def all(self) -> list[Tensor]:
        """All maps of 56 px, those of masks enlarged."""
        dense = self.dense
        maps = [dense.fine_segm, dense.u, dense.v, dense.coarse_segm]
        if self.mask is not None:
            maps.append(F.interpolate(self.mask, scale_factor=2.0, mode="nearest"))
        return maps if self.keypoints is None else [*maps, self.keypoints]


class RegionStage(nn.Module):
    """One stage: (R, width, 14, 14) features of regions to what all branches say of them.

    Args:
        width: channels of the features.
        after: channels of what the stage before said; 0: this is the first one.
    """

    def __init__(self, width: int, settings: BranchSettings, layout: PartLayout, after: int = 0) -> None:
        super().__init__()
        self.outputs = output_channels(layout)
        self.dense: Any = _dense_branch(width, settings, sum(self.outputs))
        bias = self.dense[-1].kps_score_lowres.bias
        with torch.no_grad():
            bias[self.outputs[0] : sum(self.outputs[:3])] = 0.5  # u and v start in the middle of their range
        self.mask: Any = _mask_branch(width, settings.mask_channels) if settings.mask_channels else None
        self.keypoints: Any = (
            _dense_branch(width, settings, settings.keypoints) if settings.keypoints else None
        )
        # Maps of 56 px to 14: a pixel for each 4 x 4.
        self.returned = nn.Conv2d(after, width, SIDE // POOLED, SIDE // POOLED) if after else None

    @property
    def maps(self) -> int:
        """Channels of `StageOutput.all`."""
        keypoints = 0 if self.keypoints is None else self.keypoints[-1].out_channels
        return sum(self.outputs) + (self.mask is not None) + int(keypoints)

    def forward(self, features: Tensor, before: StageOutput | None = None) -> StageOutput:
        """What it says; `before` is what the stage before said of the same regions."""
        if self.returned is not None:
            assert before is not None, "a further stage sees the one before"
            features = features + self.returned(torch.cat(before.all(), dim=1))
        dense = DensePoseMaps(*self.dense(features).split(self.outputs, dim=1))
        mask = None if self.mask is None else self.mask(features)
        return StageOutput(dense, mask, None if self.keypoints is None else self.keypoints(features))


def _dense_branch(width: int, settings: BranchSettings, outputs: int) -> Any:
    """Convolutions at 14 px, a deconvolution to 28 and bilinear up-sampling to 56."""
    from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor

    layers = KeypointRCNNHeads(width, (settings.channels,) * settings.layers)
    return nn.Sequential(layers, KeypointRCNNPredictor(settings.channels, outputs))


def _mask_branch(width: int, channels: int) -> Any:
    """Four convolutions at 14 px, and a deconvolution to 28."""
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

    return nn.Sequential(MaskRCNNHeads(width, (channels,) * 4, 1), MaskRCNNPredictor(channels, channels, 1))


def auxiliary_losses(stages: Sequence[StageOutput], batch: PoseBatch, regions: Regions) -> dict[str, Tensor]:
    """The losses of masks and keypoints at every stage, each the mean over pictures.

    In a picture it is the mean over people, of a person over the regions; people without the label are left
    out, and a picture without any of them counts 0.
    """
    found = {}
    for number, stage in enumerate(stages):
        for name, (errors, counted) in _errors(stage, batch, regions).items():
            found[f"{name}{number}"] = _mean_over_pictures(errors, counted, batch, regions)
    return found


def _errors(stage: StageOutput, batch: PoseBatch, regions: Regions) -> dict[str, tuple[Tensor, Tensor]]:
    """Errors (R,) of each branch, and which count (R,)."""
    found = {}
    if stage.mask is not None:
        assert batch.mask is not None
        target = sample_regions(batch.mask, regions.box, regions.person, MASK_SIDE, batch.stride)
        found["mask"] = mask_errors(stage.mask.squeeze(1), target)
    if stage.keypoints is not None:
        assert batch.keypoints is not None
        found["keypoint"] = keypoint_errors(stage.keypoints, batch.keypoints[regions.person], regions.box)
    return found


def mask_errors(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean binary cross entropy (R,) over the known pixels of masks, and whether there are any (R,).

    Of log odds (R, h, w) and labels (R, h, w): 1, 0 or IGNORE.
    """
    known = (target != IGNORE).to(logits.dtype)
    errors = F.binary_cross_entropy_with_logits(logits, (target == 1).to(logits.dtype), reduction="none")
    pixels = known.sum((1, 2))
    return (errors * known).sum((1, 2)) / pixels.clamp(min=1), pixels > 0


def keypoint_errors(scores: Tensor, keypoints: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy (R,) over all places of a map, of the known keypoints in it; whether there are any.

    Mask R-CNN, 5. Of scores (R, K, h, w), keypoints (R, K, 3) x, y, px of the picture, visibility, and boxes
    (R, 4) x, y, width, height.
    """
    from torchvision.models.detection.roi_heads import keypoints_to_heatmap

    places = keypoints.to(scores.dtype) + scores.new_tensor([0.5, 0.5, 0])  # a pixel begins at its number
    index, valid = keypoints_to_heatmap(places, to_corners(box), scores.shape[-1])
    errors = F.cross_entropy(scores.flatten(2).flatten(0, 1), index.flatten(), reduction="none")
    valid = valid.to(scores.dtype)
    count = valid.sum(1)
    return (errors.view_as(valid) * valid).sum(1) / count.clamp(min=1), count > 0


def _mean_over_pictures(errors: Tensor, counted: Tensor, batch: PoseBatch, regions: Regions) -> Tensor:
    weight = counted.to(errors.dtype)
    people, pictures = len(batch.box), len(batch.images)
    of_person = errors.new_zeros(people).index_add(0, regions.person, weight)  # its regions that count
    image = batch.image_index
    in_picture = errors.new_zeros(pictures).index_add(0, image, (of_person > 0).to(errors.dtype))
    share = weight / of_person[regions.person].clamp(min=1)
    return (errors * share / in_picture[image[regions.person]].clamp(min=1)).sum() / pictures
