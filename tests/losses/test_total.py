"""Equivariance among the terms of a batch with pairs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from slimdp.losses import count_labels, loss_terms, needed_features, total_loss
from slimdp.losses.equivariance import equivariance_sum
from slimdp.models import StackedHourglass
from slimdp.models.hourglass import FEATURES
from slimdp.structures import IGNORE, DensePoseMaps, ModelOutput, PoseBatch
from tests.losses.cosine import cosine_loss

SIZE, SIDE = 64, 16


def unlabelled_pairs(pairs: list[tuple[int, int]], crops: int, seed: int = 0) -> PoseBatch:
    """Crops without any label; the flows are small and known almost everywhere."""
    generator = torch.Generator().manual_seed(seed)
    valid = torch.rand(len(pairs), SIDE, SIDE, generator=generator) < 0.9
    return dataclasses.replace(
        PoseBatch.of_images(torch.rand(crops, 3, SIZE, SIZE, generator=generator)),
        coarse=torch.full((crops, SIDE, SIDE), IGNORE),
        pairs=torch.tensor(pairs),
        flow_1to0=torch.randn(len(pairs), 2, SIDE, SIDE, generator=generator).clamp(-2, 2),
        valid_1=_inside(valid),
    )


def _inside(valid: Tensor) -> Tensor:
    """No flow of 2 px leaves the map from there."""
    valid[:, :2] = valid[:, -2:] = False
    valid[:, :, :2] = valid[:, :, -2:] = False
    return valid


def predict(batch: PoseBatch, seed: int = 0) -> ModelOutput:
    torch.manual_seed(seed)
    network = StackedHourglass(stacks=2, features=8).eval()
    return network(batch, FEATURES)


@pytest.mark.parametrize("at", FEATURES)
def test_every_level_is_the_mean_over_the_valid_pixels_of_its_pairs(at: str) -> None:
    """The flow leads from the second crop to the first: those features are warped to these pixels."""
    batch = unlabelled_pairs([(0, 2), (1, 3)], crops=4)
    output = predict(batch)
    assert batch.flow_1to0 is not None
    assert batch.valid_1 is not None
    total, terms = total_loss(output, batch, loss_terms(equivariance={"weight": 2.0, "at": at}))
    wanted = []
    for stack, of_stack in enumerate(output.features):
        features = of_stack[at]
        mean = cosine_loss(features[2:], features[:2], batch.flow_1to0, batch.valid_1)
        if at == "level_1":  # half as fine: each of its pixels counts as four
            counted = equivariance_sum(features, batch, "none") / batch.valid_1.sum()
            assert counted.item() == pytest.approx(mean.item(), rel=0.35)
            mean = counted
        assert terms[f"stack{stack}/equivariance"].item() == pytest.approx(mean.item(), rel=1e-5)
        wanted.append(2 * mean.item())
    assert total.item() == pytest.approx(sum(wanted), rel=1e-5)
    assert needed_features(loss_terms(equivariance={"weight": 2.0, "at": at})) == (at,)
    assert needed_features(loss_terms(equivariance={"at": at})) == ()


def test_the_levels_differ() -> None:
    batch = unlabelled_pairs([(0, 1)], crops=2)
    features = predict(batch).features[0]
    sums = {equivariance_sum(features[at], batch, "none").item() for at in FEATURES}
    assert len(sums) == len(FEATURES)
    assert features["level_4"].shape[1] == 88
    assert features["uv"].shape[1] == 48


@pytest.mark.parametrize("stop", ["none", "first", "second"])
def test_a_stopped_side_is_not_taught(stop: str) -> None:
    batch = unlabelled_pairs([(0, 1)], crops=2)
    maps = {
        name: torch.randn(2, channels, SIDE, SIDE)
        for name, channels in (("fine_segm", 25), ("u", 24), ("v", 24), ("coarse_segm", 15))
    }
    features = torch.randn(2, 8, SIDE, SIDE, requires_grad=True)
    total, _ = total_loss(
        ModelOutput((DensePoseMaps(**maps),), ({"level_3": features},)),
        batch,
        loss_terms(equivariance={"weight": 1.0, "at": "level_3", "stop": stop}),
    )
    total.backward()
    assert features.grad is not None
    taught = [crop.abs().sum().item() > 0 for crop in features.grad]
    assert taught == [stop != "first", stop != "second"]


def test_nothing_is_compared_without_a_weight_or_without_pairs() -> None:
    batch = unlabelled_pairs([(0, 1)], crops=2)
    output = predict(batch)
    _, terms = total_loss(output, batch, loss_terms())
    assert not any("equivariance" in name for name in terms)
    alone = dataclasses.replace(batch, pairs=None, flow_1to0=None, valid_1=None)
    total, terms = total_loss(output, alone, loss_terms(equivariance=1.0))
    assert not any("equivariance" in name for name in terms)
    assert count_labels(loss_terms(), alone)["equivariance"] == 0
    assert total.item() == 0


def test_parts_of_a_batch_add_up() -> None:
    weights = loss_terms(equivariance={"weight": 3.0, "at": "level_1"})
    whole = unlabelled_pairs([(0, 3), (1, 4), (2, 5)], crops=6)
    assert whole.flow_1to0 is not None
    assert whole.valid_1 is not None
    total, _ = total_loss(predict(whole), whole, weights)
    added = 0.0
    for chosen in ([0, 2], [1]):
        crops = torch.tensor(chosen + [3 + pair for pair in chosen])
        part = dataclasses.replace(
            whole,
            **{name: getattr(whole, name)[crops] for name in ("images", "coarse")},
            pairs=torch.tensor([(i, len(chosen) + i) for i in range(len(chosen))]),
            flow_1to0=whole.flow_1to0[chosen],
            valid_1=whole.valid_1[chosen],
        )
        counts = count_labels(weights, part)
        added += total_loss(predict(part), part, weights, counts, count_labels(weights, whole))[0].item()
    assert added == pytest.approx(total.item(), rel=1e-5)
