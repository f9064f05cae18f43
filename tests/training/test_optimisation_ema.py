from __future__ import annotations

import pytest
import torch
from torch import nn

from slimdp.training.optimisation import WeightAverage


def model_of(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    set_to(model, value)
    return model


@torch.no_grad()
def set_to(model: nn.Module, value: float) -> None:
    """What an optimiser's step does: other values in the same tensors."""
    model[0].weight.fill_(value)
    model[1].running_mean.fill_(10 * value)
    model[1].num_batches_tracked.fill_(int(value))


def test_it_follows_the_formula_with_a_shorter_memory_early_on() -> None:
    model = model_of(0)
    average = WeightAverage(model, decay=0.15)
    wanted = 0.0
    for value, decay in ((1.0, 0.1), (2.0, 0.15), (4.0, 0.15)):  # (1 + n) / (10 + n) = 0.1, 0.18, 0.25
        set_to(model, value)
        average.update()
        wanted = decay * wanted + (1 - decay) * value
        assert average.state["0.weight"].item() == pytest.approx(wanted)
        assert average.state["1.running_mean"].item() == pytest.approx(10 * wanted)
        assert average.state["1.num_batches_tracked"].item() == int(value)


def test_without_decay_it_is_the_last_weights() -> None:
    model = model_of(0)
    average = WeightAverage(model, decay=0.0)
    set_to(model, 3)
    average.update()
    assert average.state["0.weight"].item() == 3


def test_it_does_not_share_memory_with_the_model() -> None:
    model = model_of(1)
    average = WeightAverage(model, decay=0.9)
    set_to(model, 5)
    assert average.state["0.weight"].item() == 1


def test_a_loaded_average_goes_on_where_it_stopped() -> None:
    model = model_of(0)
    straight, first = WeightAverage(model, decay=0.9), WeightAverage(model, decay=0.9)
    for value in (1, 2):
        set_to(model, value)
        straight.update()
        first.update()
    other = model_of(7)
    second = WeightAverage(other, decay=0.9)
    second.load(first.state, first.updates)
    set_to(model, 3)
    set_to(other, 3)
    straight.update()
    second.update()
    assert second.updates == 3
    assert torch.equal(second.state["0.weight"], straight.state["0.weight"])
