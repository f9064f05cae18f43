"""Where people are: torchvision's feature pyramid, region proposals and box head (Faster R-CNN).

Boxes of torchvision are corners (x0, y0, x1, y1), pixel i reaching from i to i + 1; ours are x, y, width,
height of the pixels that a box covers. So the numbers of the upper left corner are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from slimdp.models.draws import picture_seeds
from slimdp.models.regions import to_corners
from slimdp.structures import PoseBatch

#: Classes: background and person.
CLASSES = 2
#: Levels of the pyramid that regions are read from; the coarser one beyond them is for proposals alone.
LEVELS = ("4", "8", "16", "32")
ASPECTS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class DetectionSettings:
    """How people are looked for; the numbers are those of Faster R-CNN with a feature pyramid."""

    anchors_px: Sequence[int]  # sides of the anchors of the five levels
    rpn_samples: int  # anchors of a picture that teach proposals
    region_samples: int  # proposals of a picture that teach the box head
    positive_share: float  # of these, at most
    proposals: int  # of a picture, before and after suppression
    box_features: int
    detections: int  # people of a picture, at most
    score: float  # of a detection, at least
    nms: float  # of two detections that overlap by more, the surer one stays


class SeededSampler:
    """torchvision's sampler of positive and negative boxes, its draw decided by a seed a picture.

    So a picture has the same samples in whatever part of a batch, and process, it is looked at.
    """

    def __init__(self, samples: int, positive_share: float) -> None:
        from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

        self._draw = BalancedPositiveNegativeSampler(samples, positive_share)
        #: Of the pictures that come next, in their order.
        self.seeds: Sequence[int] = ()

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Masks (A,) of the positive and of the negative samples among labels (A,), a picture each."""
        devices = [labels[0].device] if labels and labels[0].device.type == "cuda" else []
        positive, negative = [], []
        with torch.random.fork_rng(devices):
            for seed, each in zip(self.seeds, labels, strict=True):
                torch.manual_seed(seed)
                (chosen,), (other,) = self._draw([each])
                positive.append(chosen)
                negative.append(other)
        return positive, negative


@dataclass(frozen=True)
class Regions:
    """R regions of people, in the order of their pictures."""

    corners: Sequence[Tensor]  # (n, 4) of each of B pictures
    person: Tensor  # (R,) int64, which of the batch's people each is of

    @property
    def box(self) -> Tensor:
        """(R, 4) x, y, width, height, px of the batch's images."""
        return from_corners(torch.cat(list(self.corners)))


class PersonDetector(nn.Module):
    """Pictures' features to boxes of people, all parts of it torchvision's.

    Args:
        channels: by stride, of the backbone's features, fine to coarse.
        width: channels of the pyramid.
    """

    def __init__(self, channels: Mapping[int, int], width: int, settings: DetectionSettings) -> None:
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
        from torchvision.models.detection.rpn import RPNHead
        from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
        from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

        from slimdp.models.region.crowds import CrowdProposals, CrowdRoiHeads

        super().__init__()
        self.pyramid: nn.Module = FeaturePyramidNetwork(list(channels.values()), width, LastLevelMaxPool())
        anchors = AnchorGenerator(tuple((side,) for side in settings.anchors_px), (ASPECTS,) * 5)
        many = {"training": settings.proposals, "testing": settings.proposals}
        self.rpn: Any = CrowdProposals(
            anchors, RPNHead(width, len(ASPECTS)), 0.7, 0.3, settings.rpn_samples, 0.5, many, many, 0.7
        )
        self.roi_heads: Any = CrowdRoiHeads(
            MultiScaleRoIAlign(list(LEVELS), 7, 2),
            TwoMLPHead(width * 7 * 7, settings.box_features),
            FastRCNNPredictor(settings.box_features, CLASSES),
            0.5, 0.5, settings.region_samples, settings.positive_share, None,
            settings.score, settings.nms, settings.detections,
        )  # fmt: skip
        self.rpn.fg_bg_sampler = SeededSampler(settings.rpn_samples, 0.5)
        self.roi_heads.fg_bg_sampler = SeededSampler(settings.region_samples, settings.positive_share)

    def features(self, levels: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """The pyramid (LEVELS, and "pool") on the backbone's features by their strides."""
        found: dict[str, Tensor] = self.pyramid({str(stride): level for stride, level in levels.items()})
        return found

    def learn(self, batch: PoseBatch, features: dict[str, Tensor]) -> tuple[Regions, dict[str, Tensor]]:
        """The regions that teach the branches, and the losses of the detection, each the mean over pictures.

        Regions are proposals that overlap a person by half or more, and the people's own boxes, as far as
        they are drawn; what lies in a crowd is no background. The losses are means over the samples: over
        pictures alike where each has as many samples as the settings ask for.
        """
        from slimdp.models.region.crowds import Crowds, box_losses

        self.rpn.fg_bg_sampler.seeds = self.roi_heads.fg_bg_sampler.seeds = picture_seeds(batch)
        crowds = None if batch.crowd is None else Crowds(batch.crowd, batch.stride)
        self.rpn.crowds = self.roi_heads.crowds = crowds
        targets, people = _targets(batch)
        images = _image_list(batch.images)
        proposals, losses = self.rpn(images, features, targets)
        proposals = [each.detach() for each in proposals]
        drawn, matched, labels, offsets = self.roi_heads.select_training_samples(proposals, targets)
        looked = self.roi_heads.box_head(self.roi_heads.box_roi_pool(features, drawn, images.image_sizes))
        logits, deltas = self.roi_heads.box_predictor(looked)
        class_loss, box_loss = box_losses(logits, deltas, labels, offsets)
        positive = [label > 0 for label in labels]
        corners = [boxes[chosen] for boxes, chosen in zip(drawn, positive)]
        person = [mine[index[chosen]] for mine, index, chosen in zip(people, matched, positive) if len(mine)]
        found = Regions(corners, torch.cat([batch.image_index[:0], *person]))
        names = {"loss_objectness": "proposal", "loss_rpn_box_reg": "proposal_box"}
        losses = {names[name]: value for name, value in losses.items()}
        return found, {**losses, "person": class_loss, "person_box": box_loss}

    def detect(self, images: Tensor, features: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Corners (n, 4) of the people in each picture, and scores (n,), the best first."""
        listed = _image_list(images)
        proposals, _ = self.rpn(listed, features)
        found, _ = self.roi_heads(features, proposals, listed.image_sizes)
        return [each["boxes"] for each in found], [each["scores"] for each in found]


def image_index(corners: Sequence[Tensor]) -> Tensor:
    """(R,) int64: the picture that each of the boxes of B pictures is in."""
    counts = torch.tensor([len(each) for each in corners], device=corners[0].device)
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def from_corners(corners: Tensor) -> Tensor:
    """(N, 4) x0, y0, x1, y1 -> x, y, width, height; sides are at least a hundredth of a px."""
    return torch.cat([corners[:, :2], (corners[:, 2:] - corners[:, :2]).clamp(min=1e-2)], dim=1)


def _image_list(images: Tensor) -> Any:
    from torchvision.models.detection.image_list import ImageList

    height, width = images.shape[-2:]
    return ImageList(images, [(height, width)] * len(images))


def _targets(batch: PoseBatch) -> tuple[list[dict[str, Tensor]], list[Tensor]]:
    """The people of each picture as torchvision takes them, and their numbers in the batch."""
    corners = to_corners(batch.box)
    people = [(batch.image_index == image).nonzero().squeeze(1) for image in range(len(batch.images))]
    targets = [{"boxes": corners[mine], "labels": torch.ones_like(mine)} for mine in people]
    return targets, people
