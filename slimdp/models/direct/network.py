"""The network of Direct Dense Pose (Ma et al.): a pyramid, an instance branch and a global branch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor, nn
from typing_extensions import Self

from slimdp.config import ModelSpec
from slimdp.config.base import NotNegative, Wanted, require, within
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.settings import BackboneSettings
from slimdp.models.direct.global_branch import GlobalBranch, person_maps
from slimdp.models.direct.instance_head import (
    Chosen,
    InstanceHead,
    LocationGrid,
    Locations,
    detect,
    find_given,
    match_people,
)
from slimdp.models.direct.instance_losses import dense_pose_labels, enlarge, has_mask, mask_loss
from slimdp.models.direct.mask_heads import MaskFeatures, conv_norm_relu, mask_logits
from slimdp.models.draws import draw_people
from slimdp.models.heads import float_images
from slimdp.models.model import DensePoseModel
from slimdp.models.regions import inside_boxes, without_crowds
from slimdp.structures import IGNORE, DensePoseMaps, Instances, ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: Strides of the global maps and of the masks.
MAP_STRIDE, MASK_STRIDE = 4, 8
#: Levels that people are looked for in; the finest is for the global maps alone.
_PEOPLE_STRIDES = (8, 16, 32)
#: A relative coordinate of 1 is so many strides of the level (CondInst: the size of interest).
_REACH_STRIDES = 8
#: Positive locations of a micro-batch whose masks are learned from; of more, evenly spread ones.
MOST_LOCATIONS = 256
#: The global branch learns within predicted masks that overlap the true ones by so much: "estimated masks
#: contain many errors in the early training stage" (section 5), and would break its learning.
LEAST_MASK_OVERLAP = 0.5
#: The global branch looks at people as sure as this, or half as sure as the surest of their picture.
SURE = 0.3
#: How much wider than the box the window of a person's maps is, to each side, and their most px.
_WIDER, _MOST_SIDE = 0.1, 112
SPEC = ModelSpec(stride=MAP_STRIDE, size_multiple=32, input="image", detects=True)

_Channels = Wanted(
    "a multiple of 32, at least 32", lambda n: n >= 32 and n % 32 == 0, {"minimum": 32, "multipleOf": 32}
)


class DirectSettings(BackboneSettings):
    """Direct Dense Pose: whole pictures, without boxes."""

    BACKBONE_STRIDE: ClassVar[int] = 32

    name: Literal["direct"] = "direct"
    channels: Annotated[int, _Channels] = 128  # of the pyramid and all that stands on it
    tower: Annotated[int, within(1, 8)] = 4  # convolutions of each tower that looks for people
    sparse: bool = True  # the global branch looks at people alone; false: everywhere
    instance_norm: bool = True  # it normalises person by person; false: by batch norm
    mask_weight: NotNegative = 5.0  # of the losses of both masks (lambda 1)
    predicted_masks: Annotated[float, within(0, 1)] = 1.0  # of good ones the share to learn within
    detections: Annotated[int, within(1, 1000)] = 100  # people of a picture, at most

    @model_validator(mode="after")
    def _check_keypoints(self) -> Self:
        require(not self.keypoints, "keypoints", list(self.keypoints), "none: this network has no heat maps")
        return self

    @property
    def spec(self) -> ModelSpec:
        return SPEC

    @property
    def reads_masks(self) -> bool:
        return True

    @property
    def cost(self) -> float:
        return self.backbone_kind.COST + _BRANCHES_COST * (self.channels / 64) ** 2

    def build(self, layout: PartLayout) -> DirectDensePose:
        backbone = self.backbone_kind(self.BACKBONE_STRIDE)
        return DirectDensePose(
            backbone, self.channels, tower=self.tower, sparse=self.sparse, instance_norm=self.instance_norm,
            mask_weight=self.mask_weight, layout=layout, predicted_masks=self.predicted_masks,
            detections=self.detections,
        )  # fmt: skip


#: As `Backbone.COST`, of all that stands on a backbone, with 64 channels.
_BRANCHES_COST = 4.0


class Aggregation(nn.Module):
    """All levels of a pyramid at stride 4, added (3.2): each doubled, after a convolution, until it is there.

    Args:
        channels: of each level and of the sum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList(
            nn.Sequential(*(conv_norm_relu(channels, channels) for _ in range(max(doublings, 1))))
            for doublings in range(4)
        )

    def forward(self, levels: Mapping[int, Tensor]) -> Tensor:
        """Stride 4, 8, 16, 32: (B, channels, h, w) -> the sum, of the finest level's raster."""
        finest, together = min(levels), []
        for (stride, level), way in zip(levels.items(), self.ways):
            assert isinstance(way, nn.Sequential)
            for step in way:
                level = step(level)
                if stride > finest:
                    level = F.interpolate(level, scale_factor=2, mode="bilinear", align_corners=False)
            together.append(level)
        return torch.stack(together).sum(0)


class DirectDensePose(DensePoseModel):
    """Pictures to people, their masks, and one map of dense pose for all of them.

    Args:
        backbone: with features of strides 4 to 32.
        channels, tower, sparse, instance_norm, mask_weight, predicted_masks, detections: as of
            `DirectSettings`.
        layout: the parts of the surface.
    """

    FOLDS = True

    def __init__(
        self, backbone: Backbone, channels: int, *, tower: int = 4, sparse: bool = True,
        instance_norm: bool = True, mask_weight: float = 5.0, layout: PartLayout = PEOPLE,
        predicted_masks: float = 1.0, detections: int = 100,
    ) -> None:  # fmt: skip
        from torchvision.ops import FeaturePyramidNetwork

        super().__init__()
        self.spec, self.layout, self.mask_weight = SPEC, layout, mask_weight
        self.predicted_masks, self.detections = predicted_masks, detections
        self.backbone = backbone
        self.pyramid: nn.Module = FeaturePyramidNetwork(list(backbone.channels.values()), channels)
        self.aggregation = Aggregation(channels)
        self.instances = InstanceHead(channels, tower)
        self.mask_features = MaskFeatures(channels)
        self.iuv = GlobalBranch(channels, layout, sparse, instance_norm)

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """In training losses of its own and the global maps; in evaluation the people whom it finds.

        In evaluation a batch with people in boxes gets these people's maps instead. Raises ValueError for
        images of other shapes.

        Args:
            batch: its images (B, 3, H, W) RGB, H and W multiples of 32; in training with all people in them.
            features: none can be asked for.
        """
        images = float_images(batch.images, SPEC.size_multiple, next(self.parameters()).dtype)
        levels = {str(stride): level for stride, level in self.backbone(images).items()}
        pyramid: dict[int, Tensor] = {int(name): level for name, level in self.pyramid(levels).items()}
        people = self.instances({stride: pyramid[stride] for stride in _PEOPLE_STRIDES})
        together = self.aggregation(pyramid)
        seen = SharedFeatures(together, self.mask_features(together).to(people.filters.dtype), people)
        return self._learn(seen, batch) if self.training else self._find(seen, batch)

    def loss_counts(self, batch: PoseBatch) -> Mapping[str, int]:
        """Locations that are of a person, and of these the ones whose person has the mask.

        All of them, also where masks are learned at MOST_LOCATIONS: their mean stands for that of all.
        """
        height, width = batch.images.shape[-2:]
        # Half as precise weights still give locations in float32.
        dtype = torch.promote_types(next(self.parameters()).dtype, torch.float32)
        sizes = {stride: (height // stride, width // stride) for stride in _PEOPLE_STRIDES}
        matched = match_people(LocationGrid.of(sizes, batch.box.new_empty(0, dtype=dtype)), batch)
        matched = matched[matched >= 0]
        masks = {name: has_mask(labels)[matched] for name, labels in mask_labels(batch).items()}
        counts = dict.fromkeys(("person", "box", "centre"), len(matched))
        return counts | {name: int(counted.sum()) for name, counted in masks.items()}

    def _learn(self, seen: SharedFeatures, batch: PoseBatch) -> ModelOutput:
        """Equations 7 and 8, and what equation 9 compares."""
        matched = match_people(seen.people, batch)
        losses = self.instances.losses(seen.people, matched, batch)
        image, location = spread_locations(*(matched >= 0).nonzero().unbind(1))
        logits = self.person_masks(seen, image, location)
        for of_heads, (name, labels) in zip(logits.unbind(1), mask_labels(batch).items()):
            losses[name] = self.mask_weight * mask_loss(of_heads, labels, matched[image, location])
        maps = self.iuv(seen.features, self._masks_to_learn_within(seen, batch), batch.image_index)
        return ModelOutput((maps,), ({},), losses, regions=shared_labels(batch))

    @torch.no_grad()
    def _masks_to_learn_within(self, seen: SharedFeatures, batch: PoseBatch) -> Tensor:
        """People's masks (N, h, w) bool, map px: predicted ones where they are good, else the true ones."""
        true = true_masks(batch)
        if self.predicted_masks == 0:
            return true
        drawn = draw_people(batch, self.predicted_masks)  # without people too: processes draw alike
        if not len(true):
            return true
        chosen = find_given(seen.people, batch)
        predicted = predicted_masks(self.person_masks(seen, chosen.image, chosen.location))
        taken = drawn & (mask_overlap(predicted, true) >= LEAST_MASK_OVERLAP)
        return torch.where(taken[:, None, None], predicted, true)

    def _find(self, seen: SharedFeatures, batch: PoseBatch) -> ModelOutput:
        height, width = batch.images.shape[-2:]
        if batch.to_detect:
            chosen = detect(seen.people, (height, width), self.detections)
        else:
            chosen = find_given(seen.people, batch)
        logits = self.person_masks(seen, chosen.image, chosen.location)
        looked_at = sure_people(chosen.score, chosen.image)
        maps = self.iuv(seen.features, predicted_masks(logits[looked_at]), chosen.image[looked_at])
        return ModelOutput((), instances=_instances(maps, logits[:, 1], chosen, (height, width)))

    def person_masks(self, seen: SharedFeatures, image: Tensor, location: Tensor) -> Tensor:
        """The masks (D, 2, h, w) at stride 8 of D locations."""
        people = seen.people
        reach = _REACH_STRIDES * people.stride[location]
        with torch.autocast(reach.device.type, enabled=False):
            return mask_logits(
                seen.of_masks,
                people.filters[image, location],
                image,
                people.place[location],
                reach,
                MASK_STRIDE,
            )


@dataclass(frozen=True)
class SharedFeatures:
    """What the branches look at."""

    features: Tensor  # (B, channels, H / 4, W / 4)
    of_masks: Tensor  # (B, WIDTH, H / 8, W / 8)
    people: Locations


def mask_labels(batch: PoseBatch) -> dict[str, Tensor]:
    """What the masks of a head, in its order, are compared with, by their loss: (N, h, w) 1, 0 or IGNORE."""
    assert batch.mask is not None, "the data set of pictures gives the outlines"
    return {"mask": batch.mask, "dense_pose_mask": dense_pose_labels(batch.coarse, batch.mask)}


def true_masks(batch: PoseBatch) -> Tensor:
    """Where each person is, (N, h, w) bool, map px: by the outline, or without one all of the box."""
    assert batch.mask is not None
    in_box = inside_boxes(batch.box, (batch.mask.shape[-2], batch.mask.shape[-1]), batch.stride)
    unknown = (batch.mask == IGNORE).flatten(1).all(1)[:, None, None]
    return torch.where(unknown, in_box, batch.mask == 1)


def predicted_masks(logits: Tensor) -> Tensor:
    """Where each person is, (D, h, w) bool, map px, by the masks (D, 2, h / 2, w / 2) of heads."""
    return enlarge(logits[:, 0], MASK_STRIDE // MAP_STRIDE) > 0


def sure_people(score: Tensor, image: Tensor) -> Tensor:
    """Which of D people with scores (D,) in pictures (D,) the global branch looks at, (D,) bool.

    Dozens of detections of little score would blur whom it normalises by, and widen where it looks.
    """
    rivals = torch.where(image[:, None] == image, score, 0.0)  # (D, D)
    best = rivals.max(dim=1).values if len(score) else score
    return score >= (best / 2).clamp(max=SURE)


def mask_overlap(masks: Tensor, others: Tensor) -> Tensor:
    """The intersection over the union of each mask (N, h, w) bool with its other one, (N,) in 0..1."""
    both, either = (masks & others).sum((1, 2)), (masks | others).sum((1, 2))
    return both / either.clamp(min=1)


def shared_labels(batch: PoseBatch) -> PoseBatch:
    """The labels of a batch for maps that show everybody: what is background of one may be somebody else.

    Where another person of the picture is, or may be, or a crowd, the coarse label of background becomes
    IGNORE.
    """
    assert batch.mask is not None
    taken = true_masks(batch).to(torch.int64)
    everybody = taken.new_zeros(len(batch.images), *taken.shape[1:]).index_add(0, batch.image_index, taken)
    others = everybody[batch.image_index] - taken > 0
    crowd = None if batch.crowd is None else batch.of_instances(batch.crowd)
    coarse = batch.coarse.masked_fill(others & (batch.coarse == 0), IGNORE)
    return replace(batch, coarse=without_crowds(coarse, crowd), crowd=None)


def spread_locations(image: Tensor, location: Tensor) -> tuple[Tensor, Tensor]:
    """MOST_LOCATIONS of the locations (D,), evenly spread, or all of them."""
    if len(image) <= MOST_LOCATIONS:
        return image, location
    kept = torch.arange(MOST_LOCATIONS, device=image.device) * len(image) // MOST_LOCATIONS
    return image[kept], location[kept]


def _instances(maps: DensePoseMaps, dense_pose: Tensor, chosen: Chosen, size: tuple[int, int]) -> Instances:
    """People in pictures of a size (height, width), px, with their maps over windows about the boxes."""
    most = chosen.box.new_tensor([size[1], size[0]])
    wider = _WIDER * chosen.box[:, 2:]
    near = (chosen.box[:, :2] - wider).clamp(min=0)
    far = torch.minimum(chosen.box[:, :2] + chosen.box[:, 2:] + wider, most)
    near = torch.minimum(near, most - 1)
    window = torch.cat([near, (far - near).clamp(min=1)], dim=1)
    side = min(max(maps.fine_segm.shape[-2:]), _MOST_SIDE)
    of_people = person_maps(maps, dense_pose, chosen.image, window, side, (MAP_STRIDE, MASK_STRIDE))
    return Instances(chosen.image, chosen.box, chosen.score, of_people, window)
