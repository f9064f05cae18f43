from __future__ import annotations

from collections import OrderedDict
from typing import get_args

import pytest
import torch
from torch import nn

from slimdp.config import DataSource, OptimiserSettings, StageSettings
from slimdp.config.learning import Optimiser
from slimdp.training.optimisation import MAKERS, RATE_SHARE, make_optimizer


def stage(settings: OptimiserSettings, decay: float = 0.0) -> StageSettings:
    data = (DataSource(annotations="x", images="y"),)
    return StageSettings(
        name="a", data=data, steps=10, learning_rate=0.1, weight_decay=decay, optimiser=settings
    )


def test_every_optimiser_of_the_settings_is_there() -> None:
    assert tuple(MAKERS) == get_args(Optimiser)


def steps(settings: OptimiserSettings, gradients: list[float]) -> list[float]:
    """What one weight of 0 does under gradients, one a step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = make_optimizer(model, stage(settings))
    values = []
    for gradient in gradients:
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimizer.step()
        values.append(model.weight.item())
    return values


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        # rate * (momentum * velocity + gradient)
        (OptimiserSettings(name="sgd"), [-0.1 * 2, -0.1 * (2 + 0.9 * 2 + 2)]),
        (OptimiserSettings(name="sgd", momentum=0.5), [-0.1 * 2, -0.1 * (2 + 0.5 * 2 + 2)]),
        # rate * gradient / sqrt(0.01 * gradient^2), then / sqrt(0.99 * 0.01 + 0.01) of it
        (OptimiserSettings(name="rmsprop"), [-1.0, -1.0 - 0.1 / (0.99 * 0.01 + 0.01) ** 0.5]),
        (OptimiserSettings(name="rmsprop", beta2=0.75), [-0.2, -0.2 - 0.1 / (0.75 * 0.25 + 0.25) ** 0.5]),
        # equal gradients: the rate itself
        (OptimiserSettings(name="adamw"), [-0.1, -0.2]),
    ],
)
def test_a_step_by_hand(settings: OptimiserSettings, wanted: list[float]) -> None:
    assert steps(settings, [2.0, 2.0]) == pytest.approx(wanted, rel=1e-5)


def test_a_backbone_learns_at_a_rate_of_its_own() -> None:
    model = nn.Sequential(OrderedDict(backbone=nn.Linear(1, 1), head=nn.Linear(1, 1)))
    of_stage = stage(OptimiserSettings(name="sgd")).model_copy(update={"backbone_rate": 0.25})
    groups = make_optimizer(model, of_stage).param_groups
    shares = {id(weight): group.get(RATE_SHARE, 1.0) for group in groups for weight in group["params"]}
    assert [shares[id(weight)] for weight in model.backbone.parameters()] == [0.25, 0.25]
    assert [shares[id(weight)] for weight in model.head.parameters()] == [1.0, 1.0]
    decays = {id(weight): group["weight_decay"] > 0 for group in groups for weight in group["params"]}
    assert all(
        decays[id(weight)] == (weight.ndim > 1 and of_stage.weight_decay > 0) for weight in model.parameters()
    )


@pytest.mark.parametrize("name", get_args(Optimiser))
def test_only_weights_decay(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    nn.init.ones_(model[0].weight)
    nn.init.ones_(model[0].bias)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(model, stage(OptimiserSettings(name=name), decay=0.5)).step()
    assert model[0].weight.item() < 1
    assert model[0].bias.item() == model[1].weight.item() == 1


@pytest.mark.parametrize("name", get_args(Optimiser))
def test_steps_are_those_of_torchs_own_bit_for_bit(name: str) -> None:
    own = {"adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}[name]
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    optimizer = make_optimizer(ours, stage(OptimiserSettings(name=name), decay=0.1))
    groups = [
        {"params": [theirs.weight], "weight_decay": 0.1},
        {"params": [theirs.bias], "weight_decay": 0.0},
    ]
    given = {"adamw": {"fused": True}, "rmsprop": {"alpha": 0.99}, "sgd": {"momentum": 0.9}}[name]
    reference = own(groups, 0.1, **given)
    inputs = torch.Generator().manual_seed(0)
    for _ in range(4):
        images = torch.randn(5, 3, generator=inputs)
        for model, steps_of in ((ours, optimizer), (theirs, reference)):
            steps_of.zero_grad()
            model(images).square().sum().backward()
            steps_of.step()
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
    for one, other in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(one, other)
        assert one.requires_grad
    again = make_optimizer(ours, stage(OptimiserSettings(name=name), decay=0.1))
    again.load_state_dict(reference.state_dict())
    states = [each.state_dict() for each in (optimizer, reference, again)]
    assert states[0]["param_groups"] == states[1]["param_groups"] == states[2]["param_groups"]
    assert str(states[0]["state"]) == str(states[1]["state"]) == str(states[2]["state"])


def test_no_method_is_wrapped_for_the_compiler() -> None:
    """What torch wraps for it imports it: 1.5 s of computing time before the first step."""
    for name in get_args(Optimiser):
        kind = type(make_optimizer(nn.Linear(1, 1), stage(OptimiserSettings(name=name))))
        for method in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
            assert not hasattr(getattr(kind, method), "__wrapped__"), (name, method)
        layer, layers = kind.step, []
        while layer is not None:
            layers.append(layer.__code__.co_name)
            layer = getattr(layer, "__wrapped__", None)
        assert "_use_grad" not in layers
