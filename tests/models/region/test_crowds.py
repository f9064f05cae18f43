"""Crowds in training: what lies on one is neither a person nor background, for all networks of pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from slimdp.losses import loss_terms, total_loss
from slimdp.models import RegionNetwork, RegionSettings
from slimdp.models.backbones import BACKBONES
from slimdp.models.region.crowds import MOST_IN_CROWD, Crowds, crowd_share, leave_out_crowds
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE
from tests.narrow_backbone import Narrow

STRIDE = 2


def slow_share(box: Tensor, inside: Tensor, stride: int, fine: int = 20) -> float:
    """By counting places, `fine` to a px of the picture."""
    height, width = inside.shape
    x0, y0, x1, y1 = (round(float(value) * fine) for value in box)
    known = found = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            if 0 <= x < width * stride * fine and 0 <= y < height * stride * fine:
                known += 1
                found += bool(inside[y // (stride * fine), x // (stride * fine)])
    return found / known if known else 0.0


def test_the_share_of_a_box_is_that_of_the_count() -> None:
    generator = torch.Generator().manual_seed(0)
    inside = torch.rand(5, 7, generator=generator) < 0.5
    corner = torch.randint(-40, 200, (30, 2), generator=generator) / 20
    sides = torch.randint(1, 160, (30, 2), generator=generator) / 20
    boxes = torch.cat([corner, corner + sides], dim=1)
    wanted = [slow_share(box, inside, STRIDE) for box in boxes]
    assert crowd_share(boxes, inside, STRIDE).tolist() == pytest.approx(wanted, abs=1e-5)
    assert 0 < sum(wanted) < 30


def test_boxes_by_hand() -> None:
    """A crowd of 4 x 4 px in the corner: boxes within, half within, beside it and beyond the picture."""
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[:2, :2] = True
    boxes = torch.tensor(
        [[0.0, 0, 4, 4], [1, 0, 3, 2], [2, 0, 6, 4], [4, 4, 8, 8], [-3, -3, 2, 2], [9, 9, 12, 12]]
    )
    assert crowd_share(boxes, inside, STRIDE).tolist() == [1, 1, 0.5, 0, 1, 0]
    assert crowd_share(boxes[:0], inside, STRIDE).shape == (0,)


def test_background_alone_is_left_out_and_only_in_crowds() -> None:
    inside = torch.zeros(2, 10, 10, dtype=torch.bool)
    inside[0, :, :5] = True  # px 0 to 10 of 20
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [4, 0, 12, 9], [2, 0, 14, 9], [12, 0, 20, 9]])
    labels = torch.tensor([0, 1, 0, 0, 0])
    assert 8 / 12 < MOST_IN_CROWD < 6 / 8
    found, other = leave_out_crowds([labels, labels], [boxes, boxes], Crowds(inside, STRIDE))
    assert found.tolist() == [-1, 1, -1, 0, 0]
    assert other.tolist() == labels.tolist()
    assert leave_out_crowds([labels], [boxes], None)[0].tolist() == labels.tolist()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> RegionNetwork:
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)
    settings = RegionSettings(
        backbone="resnet18", channels=8, layers=1, head_channels=8, box_features=8, rpn_samples=32,
        region_samples=8, positive_share=0.5, proposals=40, detections=5, anchors_px=(8, 16, 24, 32, 48),
    )  # fmt: skip
    torch.manual_seed(0)
    return settings.replace(backbone="narrow").build(PEOPLE)


def picture(box: list[list[float]], crowd: Tensor | None) -> PoseBatch:
    """One picture of 64 px with people who have no points."""
    generator = torch.Generator().manual_seed(2)
    index = torch.zeros(len(box), dtype=torch.int64)
    images = torch.rand(1, 3, 64, 64, generator=generator)
    given = PoseBatch.of_pictures(images, index, torch.tensor(box).view(-1, 4))
    coarse = torch.zeros(len(box), 32, 32, dtype=torch.int64)
    return replace(given, to_detect=False, coarse=coarse, crowd=None if crowd is None else crowd[None])


class Spy:
    """A sampler that keeps the labels it is asked about."""

    def __init__(self, sampler: object) -> None:
        self.sampler, self.labels = sampler, torch.zeros(0)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "seeds":
            self.sampler.seeds = value  # type: ignore[attr-defined]
        else:
            super().__setattr__(name, value)

    def __call__(self, labels: list[Tensor]) -> object:
        self.labels = labels[0].clone()
        return self.sampler(labels)  # type: ignore[operator]


def labels_in_training(network: RegionNetwork, batch: PoseBatch) -> tuple[Tensor, Tensor, float]:
    """Labels of the anchors and of the proposals of a picture, and the loss."""
    rpn, heads = network.detector.rpn, network.detector.roi_heads
    rpn.fg_bg_sampler, heads.fg_bg_sampler = Spy(rpn.fg_bg_sampler), Spy(heads.fg_bg_sampler)
    total, _ = total_loss(network(batch), batch, loss_terms())
    total.backward()
    return rpn.fg_bg_sampler.labels, heads.fg_bg_sampler.labels, float(total.detach())


def test_a_network_learns_no_background_from_a_crowd(
    network: RegionNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right half is a crowd; its anchors and proposals are no samples, and a labelled person still is."""
    crowd, person = torch.zeros(32, 32, dtype=torch.bool), [[36.0, 4, 20, 40]]
    crowd[:, 16:] = True
    boxes: list[Tensor] = []
    assign = network.detector.rpn.assign_targets_to_anchors

    def spy(anchors: list[Tensor], targets: list[dict[str, Tensor]]) -> object:
        boxes.append(anchors[0])
        return assign(anchors, targets)

    monkeypatch.setattr(network.detector.rpn, "assign_targets_to_anchors", spy)
    without, _, _ = labels_in_training(network, picture(person, None))
    anchors, proposals, _ = labels_in_training(network, picture(person, crowd))
    left_out = [slow_share(box, crowd, STRIDE, fine=1) > MOST_IN_CROWD for box in boxes[0].round()]
    wanted = torch.where(torch.tensor(left_out) & (without == 0), -1, without)
    assert (anchors == wanted).float().mean() > 0.98  # the count takes whole px, and a share is near 0.7
    assert torch.equal(anchors == 1, without == 1)
    assert 0 < int((wanted != without).sum()) < len(wanted)
    assert (proposals == 1).any()


@pytest.mark.parametrize("people", [[], [[4.0, 6, 20, 40]]], ids=["nobody", "a person"])
def test_a_picture_that_is_all_crowd_teaches_people_alone(
    network: RegionNetwork, people: list[list[float]]
) -> None:
    everywhere = torch.ones(32, 32, dtype=torch.bool)
    anchors, proposals, loss = labels_in_training(network, picture(people, everywhere))
    assert not (anchors == 0).any()
    assert not (proposals == 0).any()
    assert (loss > 0) == bool(people)
    missing = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert missing == []


def test_without_a_crowd_there_is_background(network: RegionNetwork) -> None:
    anchors, proposals, _ = labels_in_training(network, picture([], torch.zeros(32, 32, dtype=torch.bool)))
    assert (anchors == 0).all()
    assert (proposals == 0).all()
