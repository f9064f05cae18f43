"""Dynamic mask heads, all at once, against a loop over people; and their losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.models.direct.instance_losses import dense_pose_labels, dice_losses, mask_loss
from slimdp.models.direct.mask_heads import HEAD_NUMBERS, WIDTH, mask_logits, split_filters
from slimdp.structures import IGNORE

STRIDE = 8
LOCATION = torch.tensor([[12.0, 20.0], [4.0, 4.0], [44.0, 28.0]], dtype=torch.float64)
REACH = torch.tensor([64.0, 64.0, 128.0], dtype=torch.float64)
IMAGE_INDEX = torch.tensor([0, 1, 1])


def loop(features: Tensor, filters: Tensor) -> Tensor:
    """Person by person, the convolutions as CondInst writes them; x and y pixel by pixel."""
    masks = []
    for numbers, image, (x, y), reach in zip(filters, IMAGE_INDEX, LOCATION, REACH):
        height, width = features.shape[-2:]
        place = features.new_empty(2, height, width)
        for row in range(height):
            for column in range(width):
                place[0, row, column] = (STRIDE * column + STRIDE / 2 - x) / reach
                place[1, row, column] = (STRIDE * row + STRIDE / 2 - y) / reach
        seen = torch.cat([features[image], place])[None]
        begin = 0
        for inputs, outputs in ((WIDTH + 2, WIDTH), (WIDTH, WIDTH), (WIDTH, 2)):
            weight = numbers[begin : begin + inputs * outputs].view(outputs, inputs, 1, 1)
            bias = numbers[begin + inputs * outputs : begin + inputs * outputs + outputs]
            begin += inputs * outputs + outputs
            seen = F.conv2d(seen, weight, bias)
            seen = seen if outputs == 2 else seen.relu()
        masks.append(seen[0])
    return torch.stack(masks)


def test_all_heads_at_once_are_the_loop_over_people() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, WIDTH, 5, 7, dtype=torch.float64, requires_grad=True)
    filters = torch.randn(3, HEAD_NUMBERS, dtype=torch.float64, requires_grad=True)
    found = mask_logits(features, filters, IMAGE_INDEX, LOCATION, REACH, STRIDE)
    wanted = loop(features, filters)
    torch.testing.assert_close(found, wanted)
    pull = torch.randn_like(found)
    of_found = torch.autograd.grad((found * pull).sum(), (features, filters))
    of_wanted = torch.autograd.grad((wanted * pull).sum(), (features, filters))
    for one, other in zip(of_found, of_wanted):
        torch.testing.assert_close(one, other)


def test_a_head_has_the_numbers_of_its_layers() -> None:
    assert HEAD_NUMBERS == (10 * 8 + 8) + (8 * 8 + 8) + (8 * 2 + 2)
    shapes = [(tuple(w.shape), tuple(b.shape)) for w, b in split_filters(torch.zeros(3, HEAD_NUMBERS))]
    assert shapes == [((3, 8, 10), (3, 8)), ((3, 8, 8), (3, 8)), ((3, 2, 8), (3, 2))]


def test_nobody_has_no_masks_and_a_gradient_of_nothing() -> None:
    features = torch.randn(2, WIDTH, 5, 7, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    found = mask_logits(features, torch.zeros(0, HEAD_NUMBERS), none, torch.zeros(0, 2), torch.zeros(0), 8)
    assert found.shape == (0, 2, 5, 7)
    mask_loss(found[:, 0], torch.zeros(0, 10, 14, dtype=torch.uint8), none).backward()
    assert features.grad is not None
    assert not features.grad.any()


def test_dice_by_hand() -> None:
    logits = torch.tensor([[[30.0, 30.0, -30.0, -30.0]]]).expand(3, 1, 4)
    target = torch.tensor([[[1.0, 1, 0, 0]], [[0, 0, 1, 1]], [[1, 0, 0, 0]]])
    known = torch.ones(3, 1, 4)
    assert dice_losses(logits, target, known).tolist() == pytest.approx([0, 1, 1 - 2 / 3], abs=1e-4)
    known[2, 0, 1] = 0  # what is wrong is not known
    assert dice_losses(logits, target, known)[2].item() == pytest.approx(0, abs=1e-4)


def test_dice_gradcheck() -> None:
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    target, known = torch.rand(2, 3, 4, dtype=torch.float64), torch.ones(2, 3, 4, dtype=torch.float64)
    known[0, 1] = 0
    assert torch.autograd.gradcheck(lambda logits: dice_losses(logits, target, known), (logits,))


def test_the_mask_loss_is_the_mean_over_locations_whose_person_has_a_mask() -> None:
    """Labels twice as fine: the masks are compared with them where they are enlarged to."""
    torch.manual_seed(0)
    labels = torch.full((2, 4, 4), IGNORE, dtype=torch.uint8)
    labels[0] = 0
    labels[0, 0:2, 0:3] = 1
    logits, person = torch.randn(3, 2, 2), torch.tensor([0, 1, 0])
    target = (labels[[0, 0]] == 1).float()
    fine = F.interpolate(logits[None, [0, 2]], size=(4, 4), mode="bilinear")[0]
    wanted = dice_losses(fine, target, torch.ones(2, 4, 4)).mean()
    torch.testing.assert_close(mask_loss(logits, labels, person), wanted)
    assert mask_loss(logits, labels, torch.tensor([1, 1, 1])).item() == 0


def test_the_dense_pose_mask_is_the_labelled_body_within_the_outline() -> None:
    coarse = torch.tensor([[[3, 0, IGNORE, IGNORE]], [[0, 0, IGNORE, IGNORE]]])
    mask = torch.tensor([[[1, 1, 0, 1]], [[1, 1, 0, 1]]], dtype=torch.uint8)
    assert dense_pose_labels(coarse, mask).tolist() == [[[1, 0, 0, IGNORE]], [[IGNORE] * 4]]
