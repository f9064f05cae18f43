"""The fully convolutional network over whole pictures."""

from __future__ import annotations

from dataclasses import replace

import torch

from slimdp.losses import loss_terms, total_loss
from slimdp.models import DenseFcn
from slimdp.models.fcn import FcnSettings
from slimdp.models.regions import picture_labels
from slimdp.structures import IGNORE, PoseBatch
from tests.narrow_backbone import Narrow


def network() -> DenseFcn:
    torch.manual_seed(0)
    return DenseFcn(Narrow(8), 8, spec=FcnSettings(input="image").spec)


def pictures() -> PoseBatch:
    """Three of 64 px: the first shows two people, the second one without labels, the third nobody."""
    coarse = torch.full((3, 8, 8), 0)
    box = torch.tensor([[0.0, 0, 32, 64], [32, 0, 32, 64], [0, 0, 32, 32]])
    coarse[0, 2:6, 1] = 3
    coarse[0, :, 4:] = IGNORE  # the other one's box
    coarse[1, 4, 6] = 5
    coarse[1, :, :4] = IGNORE
    coarse[2, :4, :4] = IGNORE  # no mask
    plain = PoseBatch.of_pictures(torch.rand(3, 3, 64, 64), torch.tensor([0, 0, 1]), box)
    return replace(
        plain, to_detect=False, coarse=coarse, instance_index=torch.tensor([0, 1, 1]),
        points=torch.tensor([[12.0, 20], [50, 36], [51, 36]]), part=torch.tensor([2, 3, 3]),
        uv=torch.rand(3, 2),
    )  # fmt: skip


def test_everybody_is_in_one_map() -> None:
    labels = picture_labels(pictures())
    first = torch.zeros(8, 8, dtype=torch.int64)
    first[2:6, 1], first[4, 6] = 3, 5
    assert torch.equal(labels.coarse[0], first)
    second = torch.zeros(8, 8, dtype=torch.int64)
    second[:4, :4] = IGNORE
    assert torch.equal(labels.coarse[1], second)
    assert not labels.coarse[2].any()
    assert labels.instance_index.tolist() == [0, 0, 0]
    assert labels.outline_weight is not None
    assert labels.outline_weight.tolist() == [2, 1, 0]
    assert labels.stride == 8


def test_its_loss_is_that_of_the_pictures() -> None:
    model, batch = network(), pictures()
    output = model(batch)
    assert output.regions is not None
    total, report = total_loss(output, batch, loss_terms())
    total.backward()
    assert all(weight.grad is not None for weight in model.head.parameters())
    assert all(report[f"stack0/{name}"] > 0 for name in ("part", "uv", "coarse", "background"))
    nobody = replace(
        batch, image_index=batch.image_index[:0], box=batch.box[:0], coarse=batch.coarse[:0],
        annotation_id=batch.annotation_id[:0], instance_index=batch.instance_index[:0],
        points=batch.points[:0], part=batch.part[:0], uv=batch.uv[:0],
    )  # fmt: skip
    assert total_loss(model(nobody), nobody, loss_terms())[0] == 0


def test_each_person_is_answered_by_the_maps_of_the_picture() -> None:
    model, batch = network().eval(), pictures()
    with torch.no_grad():
        output = model(batch)
    found = output.instances
    assert found is not None
    assert torch.equal(found.maps.u, output.best.u[[0, 0, 1]])
    assert found.window.tolist() == [[0, 0, 64, 64]] * 3
    assert torch.equal(found.box, batch.box)


def test_background_in_a_crowd_is_not_known() -> None:
    """By a loop over the map pixels of every picture."""
    batch = pictures()
    crowd = torch.zeros(3, 8, 8, dtype=torch.bool)
    crowd[0, 3:6, :4] = crowd[1, :, 2:] = crowd[2] = True
    plain, found = picture_labels(batch), picture_labels(replace(batch, crowd=crowd))
    for image in range(3):
        for row in range(8):
            for column in range(8):
                before = int(plain.coarse[image, row, column])
                hidden = before == 0 and bool(crowd[image, row, column])
                assert int(found.coarse[image, row, column]) == (IGNORE if hidden else before)
    assert (plain.coarse != found.coarse).flatten(1).any(1).all()
    assert found.crowd is None
