"""The instance branch on torchvision's parts of FCOS (Tian et al., ICCV 2019), with CondInst's controller.

Every location of the pyramid says whether it is of a person, how far the sides of the box are, how near it is
to the middle, and the filters of the person's mask head. Lengths are px of the picture from its upper left
corner: pixel 0 lies from 0 to 1, and the centre of pixel m of a level at stride (m + 1/2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slimdp.models.direct.mask_heads import HEAD_NUMBERS
from slimdp.models.heads import convolution
from slimdp.models.regions import to_corners
from slimdp.structures import PoseBatch

#: A location is of a person if it is nearer than so many strides to the middle of the box (FCOS, 3.3).
CENTRE_STRIDES = 1.5
#: The longest of the four lengths that a level answers for, in strides: below the first, up to the second.
_LENGTHS = (4.0, 8.0)
#: Of detections: the least score, the most overlap of two boxes, and how many a picture.
LEAST_SCORE, MOST_OVERLAP = 0.1, 0.6
_MOST_CANDIDATES = 1000
#: A logit whose focal loss of a negative is 0 in float32.
_SURELY_NOBODY = -50.0


@dataclass(frozen=True)
class LocationGrid:
    """Where the L locations of all levels lie."""

    squares: Tensor  # (L, 4) x0, y0, x1, y1: one stride about each location, torchvision's anchors
    first: Tensor  # (L,) bool, of the finest level
    last: Tensor  # (L,) bool, of the coarsest level

    @classmethod
    def of(cls, sizes: Mapping[int, tuple[int, int]], like: Tensor) -> LocationGrid:
        """Of levels by their strides, fine to coarse: (height, width), px of theirs; dtype, device `like`."""
        squares = [_squares(size, stride, like) for stride, size in sizes.items()]
        lengths = torch.tensor([len(each) for each in squares])
        number = torch.repeat_interleave(torch.arange(len(squares)), lengths).to(like.device)
        return cls(torch.cat(squares), number == 0, number == len(squares) - 1)

    @property
    def stride(self) -> Tensor:
        """(L,) px, of each location's level."""
        return self.squares[:, 2] - self.squares[:, 0]

    @property
    def place(self) -> Tensor:
        """(L, 2) x, y px."""
        return (self.squares[:, :2] + self.squares[:, 2:]) / 2


@dataclass(frozen=True)
class Locations(LocationGrid):
    """What L locations of all levels say of B pictures."""

    logits: Tensor  # (B, L, 1): a person
    sides: Tensor  # (B, L, 4): left, top, right, bottom, in strides
    centre: Tensor  # (B, L, 1): logit of the centerness
    filters: Tensor  # (B, L, HEAD_NUMBERS)

    @property
    def boxes(self) -> Tensor:
        """(B, L, 4) x0, y0, x1, y1 px."""
        sides = self.sides * self.stride[:, None]
        return torch.cat([self.place - sides[..., :2], self.place + sides[..., 2:]], dim=-1)

    @property
    def scores(self) -> Tensor:
        """(B, L) in 0..1: the geometric mean of a person and of the centerness, as torchvision has it."""
        return (self.logits.sigmoid() * self.centre.sigmoid()).sqrt()[..., 0]


class InstanceHead(nn.Module):
    """FCOS over levels of a pyramid, with a controller of mask heads.

    Args:
        channels: of every level, a multiple of 32.
        convolutions: of each of the two towers.
    """

    def __init__(self, channels: int, convolutions: int) -> None:
        from torchvision.models.detection.fcos import FCOSHead

        super().__init__()
        self.fcos = FCOSHead(channels, num_anchors=1, num_classes=1, num_convs=convolutions)
        self.controller = convolution(channels, HEAD_NUMBERS, 3)
        # Behind it is a ReLU, through which a length that begins below 0 would learn nothing.
        nn.init.ones_(self.fcos.regression_head.bbox_reg.bias)

    def forward(self, levels: Mapping[int, Tensor]) -> Locations:
        """Stride: (B, channels, h, w), fine to coarse -> what all locations say, in float32."""
        regression = self.fcos.regression_head
        found: list[list[Tensor]] = [[], [], [], []]
        for level in levels.values():
            tower = regression.conv(level)
            outputs = (
                self.fcos.classification_head.cls_logits(self.fcos.classification_head.conv(level)),
                regression.bbox_reg(tower).relu(), regression.bbox_ctrness(tower), self.controller(tower),
            )  # fmt: skip
            for kept, output in zip(found, outputs):
                kept.append(output.float() if output.dtype == torch.bfloat16 else output)
        logits, sides, centre, filters = (
            torch.cat([each.flatten(2).transpose(1, 2) for each in kept], dim=1) for kept in found
        )
        sizes = {stride: (level.shape[-2], level.shape[-1]) for stride, level in levels.items()}
        grid = LocationGrid.of(sizes, sides)
        return Locations(grid.squares, grid.first, grid.last, logits, sides, centre, filters)

    def losses(self, found: Locations, matched: Tensor, batch: PoseBatch) -> dict[str, Tensor]:
        """L_fcos by torchvision: focal loss, generalised IoU of boxes, cross entropy of the centerness.

        Each is the sum over its locations, divided by the number of locations that are of a person, or by 1.
        `matched` (B, L) is as of `match_people`, which says whom each location is of. A location of nobody in
        a crowd has no loss: it may be of one of these people.
        """
        boxes = to_corners(batch.box)
        of_image = [torch.where(batch.image_index == image)[0] for image in range(len(matched))]
        targets = [{"boxes": boxes[who], "labels": torch.zeros_like(who)} for who in of_image]
        # torchvision counts the people of each picture from 0; the last entry is nobody's.
        number = matched.new_full((len(boxes) + 1,), -1)
        for who in of_image:
            number[who] = torch.arange(len(who), device=who.device)
        number = number[matched]
        logits = found.logits
        if batch.crowd is not None:
            ignored = (matched < 0) & in_crowd(found.place, batch.crowd, batch.stride)
            logits = logits.masked_fill(ignored[..., None], _SURELY_NOBODY)
        outputs = {"cls_logits": logits, "bbox_regression": found.sides, "bbox_ctrness": found.centre}
        squares = [found.squares] * len(of_image)
        losses = self.fcos.compute_loss(targets, outputs, squares, list(number))
        told = {"classification": "person", "bbox_regression": "box", "bbox_ctrness": "centre"}
        return {told[name]: value for name, value in losses.items()}


def match_people(found: LocationGrid, batch: PoseBatch) -> Tensor:
    """Whom of the batch's people each location is of, (B, L) int64, -1 for nobody (FCOS, 3.2 and 3.3).

    It lies in the box near its middle, and the longest of the four lengths is one of its level's; of several
    people it is the smallest one's.
    """
    boxes, matched = to_corners(batch.box), []
    for image in range(len(batch.images)):  # of a few people each: all with all would take B times as much
        people = (batch.image_index == image).nonzero()[:, 0]
        # Behind them is nobody, whom -1 asks for.
        matched.append(torch.cat([people, people.new_tensor([-1])])[_smallest_around(found, boxes[people])])
    return torch.stack(matched)


def _smallest_around(found: LocationGrid, boxes: Tensor) -> Tensor:
    """Which of N boxes (N, 4) x0, y0, x1, y1 px of one picture each location is of, (L,) int64, -1: none."""
    place, stride = found.place, found.stride
    if not len(boxes):
        return torch.full_like(stride, -1, dtype=torch.int64)
    near = (place[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(2) < CENTRE_STRIDES * stride[
        :, None
    ]
    lengths = torch.cat([place[:, None] - boxes[:, :2], boxes[:, 2:] - place[:, None]], dim=2)  # (L, N, 4)
    shortest = torch.where(found.first, 0, _LENGTHS[0] * stride)[:, None]
    longest = torch.where(found.last, torch.inf, _LENGTHS[1] * stride)[:, None]
    length = lengths.amax(2)
    able = near & (lengths.amin(2) > 0) & (length > shortest) & (length <= longest)  # (L, N)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    smallest = torch.where(able, area, torch.inf).min(dim=1)
    return torch.where(smallest.values.isfinite(), smallest.indices, -1)


def in_crowd(place: Tensor, crowd: Tensor, stride: int) -> Tensor:
    """Which of L places are in a crowd of each picture, (B, L) bool.

    Places (L, 2) x, y, px of the pictures from the upper left corner; crowd (B, h, w) bool, `stride` px of
    the pictures to one of it.
    """
    column, row = (place / stride).floor().long().unbind(1)
    height, width = crowd.shape[-2:]
    return crowd[:, row.clamp(0, height - 1), column.clamp(0, width - 1)]


@dataclass(frozen=True)
class Chosen:
    """The locations of D people."""

    image: Tensor  # (D,) int64: the picture
    location: Tensor  # (D,) int64 in 0..L-1
    score: Tensor  # (D,)
    box: Tensor  # (D, 4) x, y, width, height, px of the picture


def detect(found: Locations, size: tuple[int, int], most: int) -> Chosen:
    """The people in pictures of a size (height, width), px: the best of all locations, the surest first.

    `most` of a picture.
    """
    from torchvision.ops import clip_boxes_to_image, nms

    boxes, scores = found.boxes, found.scores
    kept = []
    for image in range(len(scores)):
        best = scores[image].topk(min(_MOST_CANDIDATES, scores.shape[1]))
        location = best.indices[best.values > LEAST_SCORE]
        corners = clip_boxes_to_image(boxes[image, location], size)
        shown = (corners[:, 2:] - corners[:, :2]).amin(1) >= 1
        location, corners = location[shown], corners[shown]
        chosen = nms(corners, scores[image, location], MOST_OVERLAP)[:most]
        box = torch.cat([corners[chosen, :2], corners[chosen, 2:] - corners[chosen, :2]], dim=1)
        location = location[chosen]
        kept.append((torch.full_like(location, image), location, scores[image, location], box))
    return Chosen(*(torch.cat(each) for each in zip(*kept)))


def find_given(found: Locations, batch: PoseBatch) -> Chosen:
    """For each given box the location whose own box fits best, by overlap times score.

    Where none of them overlaps it, the location nearest to its middle.
    """
    from torchvision.ops import box_iou

    boxes, scores, place = found.boxes, found.scores, found.place
    middles, location = batch.box[:, :2] + batch.box[:, 2:] / 2, []
    for box, middle, image in zip(to_corners(batch.box), middles, batch.image_index.tolist()):
        fit = box_iou(box[None], boxes[image])[0] * scores[image]
        apart = (place - middle).square().sum(1)
        location.append(torch.where(fit.max() > 0, fit.argmax(), apart.argmin()))
    index = torch.stack(location) if location else batch.image_index
    return Chosen(batch.image_index, index, torch.ones_like(batch.box[:, 0]), batch.box)


def _squares(size: tuple[int, int], stride: int, like: Tensor) -> Tensor:
    """The squares (h w, 4) x0, y0, x1, y1 px that the pixels of a level cover, row by row."""
    y, x = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    corner = torch.stack([x, y], dim=-1).view(-1, 2)
    return (torch.cat([corner, corner + 1], dim=1) * stride).to(like)
