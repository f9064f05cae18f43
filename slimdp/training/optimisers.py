"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from slimdp.config import OptimiserSettings, StageSettings


def adamw(groups: list[dict[str, Any]], rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    return torch.optim.AdamW(groups, rate, (settings.momentum, settings.smoothing), fused=True)


def rmsprop(groups: list[dict[str, Any]], rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """What Newell et al. trained the hourglass with."""
    return torch.optim.RMSprop(groups, rate, settings.smoothing, momentum=settings.momentum)


def sgd(groups: list[dict[str, Any]], rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(groups, rate, settings.momentum)


Maker = Callable[[list[dict[str, Any]], float, OptimiserSettings], torch.optim.Optimizer]
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
