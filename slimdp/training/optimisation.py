"""What turns gradients into weights: optimisers, learning rates, and the running average of the weights.

The optimisers are torch's own, but do not import torch's compiler here: torch wraps their methods for it, and
the first call of each imports it, which took 1.5 s of computing time before the first step of a run that
compiles no optimiser. Here the same methods are called as they are under these wraps, without gradients as
torch does.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from slimdp.config import OptimiserSettings, ScheduleSettings, StageSettings

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
    betas = (_or(settings.momentum, 0.9), _or(settings.beta2, 0.999))
    return _AdamW(groups, rate, betas, fused=True)


def rmsprop(groups: Groups, rate: float, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """What Newell et al. trained the hourglass with."""
    alpha, momentum = _or(settings.beta2, 0.99), _or(settings.momentum, 0.0)
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


def cosine(share: float, settings: ScheduleSettings) -> float:
    """Half a cosine down to 0 (Loshchilov and Hutter, SGDR, eq. 5, one cycle)."""
    return (1 + math.cos(math.pi * share)) / 2


def step(share: float, settings: ScheduleSettings) -> float:
    """Level between the drops, and `factor` times as much after each."""
    return settings.factor ** sum(share >= drop for drop in settings.drops)


def constant(share: float, settings: ScheduleSettings) -> float:
    """Level to the end."""
    return 1.0


#: The schedules that `ScheduleSettings.name` may name: the share of the stage that is done, 0..1, to the
#: share of the learning rate.
FALLS: dict[str, Callable[[float, ScheduleSettings], float]] = {
    "cosine": cosine,
    "step": step,
    "constant": constant,
}


def learning_rate_at(number: int, stage: StageSettings) -> float:
    """The learning rate of step 0..steps - 1 of a stage: up in a line (`warmup`), then by its schedule.

    The cosine begins where the rise ends; the drops of `step` are shares of the whole stage. The rate depends
    on the step alone, so that a resumed run needs no state of a scheduler.
    """
    if not 0 <= number < stage.steps:
        raise ValueError(f"step {number} of stage {stage.name!r}, which has steps 0..{stage.steps - 1}")
    rising = round(stage.warmup * stage.steps)
    if number < rising:
        return stage.learning_rate * (number + 1) / (rising + 1)
    name = stage.schedule.name
    start = rising if name == "cosine" else 0
    share = (number - start) / (stage.steps - start)
    return stage.learning_rate * FALLS[name](share, stage.schedule)


class WeightAverage:
    """Exponential moving average of a model's weights and of its batch norms' statistics.

    The average steadies what the last few small batches did to the weights (Polyak and Juditsky, 1992).
    Early on, when there is little to average, it forgets faster: the decay of update n is the smaller of
    `decay` and (1 + n) / (10 + n).
    The model must keep the tensors of its weights, as it does in training.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        values = model.state_dict()  # they share memory with the model
        self.state = {name: value.detach().clone() for name, value in values.items()}
        averaged = [name for name, value in values.items() if value.is_floating_point()]
        counted = [name for name in values if name not in averaged]
        # Taken once, and treated all at once: a small network has hundreds of small tensors.
        self._averaged = [self.state[name] for name in averaged], [values[name] for name in averaged]
        self._counted = [self.state[name] for name in counted], [values[name] for name in counted]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's weights after a step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        average, values = self._averaged
        torch._foreach_lerp_(average, values, 1 - decay)
        if self._counted[0]:
            torch._foreach_copy_(*self._counted)
        self.updates += 1

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, value in state.items():
            self.state[name].copy_(value)
        self.updates = updates
