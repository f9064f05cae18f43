"""Region proposals and box head of torchvision that learn nothing from crowds.

Nobody labelled the people of a crowd one by one: a box on it may or may not be one of them. Like Detectron,
training leaves out what lies in a crowd by more than MOST_IN_CROWD and would count as background. What
overlaps a labelled person enough stays that person's, here also for proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork

#: The share of a box in crowds from which on it is left out (Detectron, TRAIN.CROWD_FILTER_THRESH).
MOST_IN_CROWD = 0.7
_NEITHER = -1  # as torchvision labels what is no sample


@dataclass(frozen=True)
class Crowds:
    """Where the crowds of B pictures are."""

    inside: Tensor  # (B, h, w) bool
    stride: int  # px of the pictures to one of `inside`


def crowd_share(corners: Tensor, inside: Tensor, stride: int) -> Tensor:
    """The share of each box's area in the picture that is crowd, (A,) in 0..1; 0 for a box beyond it.

    Args:
        corners: (A, 4) x0, y0, x1, y1, px; pixel i reaches from i to i + 1.
        inside: (h, w) bool of the picture, `stride` px to one of it.
    """
    height, width = inside.shape
    corners = corners.double()  # sums of a whole picture differ by little of a small box
    sums = corners.new_zeros(height + 1, width + 1)  # of all px above and left of a corner
    sums[1:, 1:] = inside.double().cumsum(0).cumsum(1)
    x, y = (corners[:, 0::2] / stride).clamp(0, width), (corners[:, 1::2] / stride).clamp(0, height)
    # Between the corners of px the sum of a picture of squares rises bilinearly.
    column, row = x.floor().long().clamp(max=width - 1), y.floor().long().clamp(max=height - 1)
    right, down = (x - column)[:, None, :], (y - row)[:, :, None]
    row, column = row[:, :, None], column[:, None, :]
    upper = sums[row, column] * (1 - right) + sums[row, column + 1] * right
    lower = sums[row + 1, column] * (1 - right) + sums[row + 1, column + 1] * right
    at = upper * (1 - down) + lower * down  # (A, 2, 2): top and bottom by left and right
    covered = at[:, 1, 1] - at[:, 0, 1] - at[:, 1, 0] + at[:, 0, 0]
    area = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
    return torch.where(area > 0, covered / area.clamp(min=1e-6), 0)


def leave_out_crowds(
    labels: Sequence[Tensor], boxes: Sequence[Tensor], crowds: Crowds | None
) -> list[Tensor]:
    """Labels (A,) of the boxes (A, 4) of each picture, corners, with _NEITHER for background in crowds."""
    if crowds is None:
        return list(labels)
    shares = [crowd_share(each, inside, crowds.stride) for each, inside in zip(boxes, crowds.inside)]
    return [
        label.masked_fill((label == 0) & (share > MOST_IN_CROWD), _NEITHER)
        for label, share in zip(labels, shares, strict=True)
    ]


class CrowdProposals(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's region proposals; anchors on the crowds of the pictures that come next teach nothing."""

    crowds: Crowds | None = None

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Labels (A,) of the anchors of each picture, 1, 0 or neither, and the boxes that they are of."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        return leave_out_crowds(labels, anchors, self.crowds), boxes

    def compute_loss(
        self, objectness: Tensor, deltas: Tensor, labels: list[Tensor], targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """As torchvision's; 0 where nothing is left to learn from."""
        if self.crowds is not None and all((label == _NEITHER).all() for label in labels):
            return objectness.sum() * 0, deltas.sum() * 0
        losses: tuple[Tensor, Tensor] = super().compute_loss(objectness, deltas, labels, targets)
        return losses


class CrowdRoiHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's box head; proposals on the crowds of the pictures that come next teach nothing."""

    crowds: Crowds | None = None

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Whom each proposal is of, (A,) int64, and its label, 1, 0 or neither, picture by picture."""
        matched, found = super().assign_targets_to_proposals(proposals, boxes, labels)
        return matched, leave_out_crowds(found, proposals, self.crowds)


def box_losses(
    logits: Tensor, offsets: Tensor, labels: list[Tensor], targets: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """torchvision's loss of the box head; 0 where no proposal is left to learn from."""
    if not len(logits):
        return logits.sum(), offsets.sum()
    losses: tuple[Tensor, Tensor] = fastrcnn_loss(logits, offsets, labels, targets)
    return losses
