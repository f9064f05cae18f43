"""Optimisers by name: torch's own, which do not import torch's compiler here.

torch wraps the methods of its optimisers for its compiler, and the first call of each imports that: 1.5 s
of computing time before the first step of a run that compiles no optimiser. Here the same methods are
called as they are under these wraps, without gradients as torch does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from slimdp.config import OptimiserSettings, StageSettings

#: Parameters with their weight decay, as torch's optimisers take them.
Groups = list[dict[str, Any]]


class _Unwrapped(torch.optim.Optimizer):
    """The methods of every optimiser under torch's wraps."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class _AdamW(_Unwrapped, torch.optim.AdamW):
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class _RMSprop(_Unwrapped, torch.optim.RMSprop):
    step = torch.no_grad()(inspect.unwrap(torch.optim.RMSprop.step))


class _SGD(_Unwrapped, torch.optim.SGD):
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


def adamw(groups: Groups, rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    betas = (_or(settings.momentum, 0.9), _or(settings.smoothing, 0.999))
    return _AdamW(groups, rate, betas, fused=True)


def rmsprop(groups: Groups, rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """What Newell et al. trained the hourglass with."""
    alpha, momentum = _or(settings.smoothing, 0.99), _or(settings.momentum, 0.0)
    return _RMSprop(groups, rate, alpha, momentum=momentum)


def sgd(groups: Groups, rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return _SGD(groups, rate, _or(settings.momentum, 0.9))


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value


Maker = Callable[[Groups, float, OptimiserSettings], torch.optim.Optimizer]
#: The optimisers that `OptimiserSettings.name` may name.
MAKERS: dict[str, Maker] = {"adamw": adamw, "rmsprop": rmsprop, "sgd": sgd}


def make_optimizer(model: nn.Module, stage: StageSettings) -> torch.optim.Optimizer:
    """The optimiser of a stage; the biases and the batch norms' scales do not decay."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": stage.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return MAKERS[stage.optimiser.name](groups, stage.learning_rate, stage.optimiser)
