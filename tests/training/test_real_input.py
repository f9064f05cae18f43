"""Real pictures, real labels, one real step: from the annotation files to changed weights."""

from __future__ import annotations

from pathlib import Path

import torch

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import PoseDataset, collate, read_annotations
from slimdp.losses import loss_terms, total_loss
from slimdp.models import StackedHourglass
from slimdp.surface import UvSymmetry


def test_posetrack_and_densepose_train_in_one_batch(samples: Path) -> None:
    """PoseTrack's people have boxes and keypoints but no dense labels: only their outside teaches."""
    dense = read_annotations(samples / "densepose/one_person.json", samples / "densepose")
    track = read_annotations(
        samples / "posetrack18/annotations/test_posetrack18_val.json", samples / "posetrack18"
    )
    assert len(track.people) == 14
    people = PoseDataset(
        [dense, track],
        CropSettings(size=128),
        AugmentSettings(),
        UvSymmetry(),
        seed=0,
        labelled_only=False,
        stride=4,
    )
    assert people.sizes == (1, 14)
    batch = collate([people[index] for index in range(len(people))])
    assert batch.images.shape == (15, 3, 128, 128)
    assert set(batch.instance_index.tolist()) == {0}  # all points are the DensePose person's
    assert (batch.coarse[1:] <= 0).logical_or(batch.coarse[1:] == 255).all()

    torch.manual_seed(0)
    model = StackedHourglass(stacks=1, features=16)
    before = [weights.clone() for weights in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    total, terms = total_loss(model(batch.to("cpu")), batch, loss_terms())
    total.backward()
    optimizer.step()
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["stack0/uv"] > 0
    assert all(torch.isfinite(weights).all() for weights in model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
