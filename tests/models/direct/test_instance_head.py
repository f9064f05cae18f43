"""The instance branch: whom locations are of, who is found, against torchvision and by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from slimdp.models.direct.instance_head import InstanceHead, Locations, detect, find_given, match_people
from slimdp.structures import PoseBatch

#: x, y, width, height of people in pictures of 128 px: large, small within it, tiny, and far away.
BOXES = torch.tensor([[5.0, 3, 100, 120], [40, 50, 30, 40], [100, 100, 9, 12], [20, 20, 60, 70]])
IMAGE_INDEX = torch.tensor([0, 0, 0, 2])


def batch_of(boxes: Tensor, image_index: Tensor, images: int = 3) -> PoseBatch:
    whole = PoseBatch.of_images(torch.zeros(images, 3, 128, 128))
    return replace(whole, box=boxes, image_index=image_index, one_each=False)


def locations(images: int = 3) -> tuple[InstanceHead, Locations]:
    torch.manual_seed(0)
    head = InstanceHead(32, 1)
    return head, head(
        {stride: torch.randn(images, 32, 128 // stride, 128 // stride) for stride in (8, 16, 32)}
    )


def torchvision_match(found: Locations, batch: PoseBatch) -> Tensor:
    """Whom torchvision's FCOS takes each location for, counted in each picture."""
    from torchvision.models.detection import FCOS

    kept: dict[str, Any] = {}

    def compute_loss(targets: Any, outputs: Any, anchors: Any, matched: list[Tensor]) -> None:
        kept["matched"] = torch.stack(matched)

    corners = torch.cat([batch.box[:, :2], batch.box[:, :2] + batch.box[:, 2:]], 1)
    targets = [{"boxes": corners[batch.image_index == image]} for image in range(len(found.logits))]
    itself: Any = SimpleNamespace(center_sampling_radius=1.5, head=SimpleNamespace(compute_loss=compute_loss))
    FCOS.compute_loss(itself, targets, {}, [found.squares] * len(targets), [256, 64, 16])
    matched: Tensor = kept["matched"]
    return matched


def test_locations_are_of_whom_torchvision_says() -> None:
    _, found = locations()
    batch = batch_of(BOXES, IMAGE_INDEX)
    in_picture = torch.tensor([0, 1, 2, 0, -1])  # of each person, and of nobody
    matched = match_people(found, batch)
    assert torch.equal(in_picture[matched], torchvision_match(found, batch))
    assert set(matched.unique().tolist()) == {-1, 0, 1, 2, 3}  # everybody has a location


def test_locations_lie_at_the_middle_of_what_they_cover() -> None:
    _, found = locations(1)
    assert found.place[:2].tolist() == [[4, 4], [12, 4]]
    assert found.place[256].tolist() == [8, 8]
    assert found.stride.tolist() == [8] * 256 + [16] * 64 + [32] * 16
    assert found.first.sum() == 256
    assert found.last.sum() == 16


@pytest.mark.parametrize("people", [BOXES, BOXES[:0]])
def test_losses_are_finite_and_reach_every_weight_but_the_controller(people: Tensor) -> None:
    head, found = locations()
    batch = batch_of(people, IMAGE_INDEX[: len(people)])
    losses = head.losses(found, match_people(found, batch), batch)
    assert list(losses) == ["person", "box", "centre"]
    total = torch.stack(list(losses.values())).sum()
    assert total.isfinite()
    (total + 0 * found.filters.sum()).backward()
    for name, weight in head.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all()


def test_people_are_counted_whatever_the_order_in_the_batch() -> None:
    """The people of a picture need not follow one another."""
    head, found = locations()
    order = torch.tensor([3, 0, 2, 1])
    losses = [
        head.losses(found, match_people(found, batch), batch)
        for batch in (batch_of(BOXES, IMAGE_INDEX), batch_of(BOXES[order], IMAGE_INDEX[order]))
    ]
    for name in losses[0]:
        torch.testing.assert_close(losses[0][name], losses[1][name])


def sure_of(found: Locations, picks: list[tuple[int, int, float, list[float]]]) -> Locations:
    """The same where some locations (picture, location, score, x0 y0 x1 y1) are people, and no other is."""
    logits, sides = torch.full_like(found.logits, -20), found.sides.detach().clone()
    for image, location, score, corners in picks:
        logits[image, location] = torch.logit(torch.tensor(score**2))
        place, box = found.place[location], torch.tensor(corners)
        sides[image, location] = torch.cat([place - box[:2], box[2:] - place]) / found.stride[location]
    return replace(found, logits=logits, sides=sides, centre=torch.full_like(found.centre, 20))


def test_those_found_are_the_best_that_do_not_overlap_cut_to_the_picture() -> None:
    _, found = locations()
    sure = sure_of(
        found,
        [
            (2, 5, 0.5, [0, 0, 50, 60]), (2, 6, 0.9, [2, 0, 50, 60]),  # one person twice
            (2, 70, 0.7, [30, 0, 80, 60]), (0, 300, 0.8, [60, 60, 200, 128]),
            (0, 301, 0.05, [0, 0, 20, 20]),  # too unsure
        ],
    )  # fmt: skip
    chosen = detect(sure, (128, 128), 100)
    assert chosen.image.tolist() == [0, 2, 2]
    assert chosen.location.tolist() == [300, 6, 70]
    assert chosen.score.tolist() == pytest.approx([0.8, 0.9, 0.7], abs=1e-3)
    torch.testing.assert_close(chosen.box[0], torch.tensor([60.0, 60, 68, 68]))
    assert detect(sure, (128, 128), 1).location.tolist() == [300, 6]


def test_nobody_is_found_where_nothing_is_sure() -> None:
    _, found = locations()
    chosen = detect(sure_of(found, []), (128, 128), 100)
    assert chosen.box.shape == (0, 4)
    assert len(chosen.image) == 0


def test_given_boxes_are_answered_in_their_order_by_what_fits_best() -> None:
    _, found = locations()
    sure = sure_of(
        found,
        [(0, 10, 0.4, [5, 3, 105, 123]), (0, 11, 0.9, [60, 60, 90, 90]), (2, 12, 0.3, [20, 20, 80, 90])],
    )
    batch = batch_of(BOXES[[3, 0]], IMAGE_INDEX[[3, 0]])
    chosen = find_given(sure, batch)
    assert chosen.image.tolist() == [2, 0]
    assert chosen.location.tolist() == [12, 10]
    assert chosen.score.tolist() == [1, 1]
    assert torch.equal(chosen.box, batch.box)
    assert len(find_given(sure, batch_of(BOXES[:0], IMAGE_INDEX[:0])).location) == 0


def test_a_box_that_nothing_overlaps_is_answered_from_its_middle() -> None:
    """That is (104.5, 106) px: the nearest is pixel (6, 6) of stride 16, which lies at (104, 104)."""
    _, found = locations()
    nothing = replace(found, sides=torch.zeros_like(found.sides))
    chosen = find_given(nothing, batch_of(BOXES[2:3], IMAGE_INDEX[2:3]))
    assert chosen.location.tolist() == [256 + 6 * 8 + 6]


def test_all_locations_are_looked_at_once_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = locations()
    asked = []
    for name in ("boxes", "scores"):
        values = getattr(found, name)
        counted = property(lambda self, name=name, values=values: asked.append(name) or values)
        monkeypatch.setattr(Locations, name, counted)
    find_given(found, batch_of(BOXES, IMAGE_INDEX))
    assert sorted(asked) == ["boxes", "scores"]


def test_locations_of_nobody_in_a_crowd_have_no_loss() -> None:
    """Against the focal loss summed location by location (Lin et al., equation 5)."""
    head, found = locations()
    found = replace(found, logits=found.logits.detach().requires_grad_())
    crowd = torch.zeros(3, 32, 32, dtype=torch.bool)
    crowd[0, :, :16] = crowd[1] = True
    batch = replace(
        batch_of(BOXES, IMAGE_INDEX), coarse=torch.zeros(len(BOXES), 32, 32, dtype=torch.int64), crowd=crowd
    )
    matched = match_people(found, batch)
    loss = head.losses(found, matched, batch)["person"]
    loss.backward()
    wanted, left_out = 0.0, []
    for image in range(3):
        for number, (x, y) in enumerate(found.place.tolist()):
            positive = int(matched[image, number]) >= 0
            logit = float(found.logits[image, number, 0].detach())
            if not positive and crowd[image, int(y // 4), int(x // 4)]:
                left_out.append((image, number))
                continue
            share = 1 / (1 + math.exp(-logit if positive else logit))  # of the right answer
            wanted -= (0.25 if positive else 0.75) * (1 - share) ** 2 * math.log(share)
    assert float(loss.detach()) == pytest.approx(wanted / int((matched >= 0).sum()), rel=1e-5)
    assert found.logits.grad is not None
    assert all(found.logits.grad[image, number, 0] == 0 for image, number in left_out)
    assert 0 < len(left_out) < matched.numel()
    assert (found.logits.grad != 0).sum() == matched.numel() - len(left_out)
