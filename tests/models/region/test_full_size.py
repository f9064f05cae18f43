"""The region network in the paper's size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from slimdp.losses import count_labels, loss_terms
from slimdp.models import RegionSettings
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE
from slimdp.training.loop import MicroBatch, add_gradients

KEYPOINTS = ("nose", "left_knee", "right_knee")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_paper_s_cascade_takes_two_steps() -> None:
    """ResNet-50, eight layers of 512 channels, masks, keypoints, two stages (DensePose, table 1)."""
    torch.manual_seed(0)
    settings = RegionSettings(backbone="resnet50", masks=True, keypoints=KEYPOINTS, stages=2)
    model, terms = settings.build(PEOPLE).train(), loss_terms()
    box = torch.tensor([[20.0, 10, 100, 200], [130, 40, 80, 180]])
    person = torch.arange(2).repeat_interleave(100)
    batch = replace(
        PoseBatch.of_pictures(torch.rand(1, 3, 256, 256), torch.zeros(2, dtype=torch.int64), box),
        to_detect=False, coarse=torch.randint(0, 15, (2, 128, 128)), mask=torch.randint(0, 2, (2, 128, 128)),
        keypoints=torch.tensor([[[60.0, 80, 2]], [[170, 120, 2]]]).expand(2, 3, 3), instance_index=person,
        points=box[person, :2] + torch.rand(200, 2) * box[person, 2:], part=torch.randint(1, 25, (200,)),
        uv=torch.rand(200, 2), confidence=torch.ones(200),
    )  # fmt: skip
    part = MicroBatch(batch, count_labels(terms, batch))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for _ in range(2):
        optimizer.zero_grad()
        _, losses = add_gradients(model, [part], part.counts, terms, 1, bf16=False)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert all(torch.isfinite(value) for value in losses.values())
    assert sum(weight.numel() for weight in model.parameters()) > 80e6
