"""What turns gradients into weights: optimisers, learning rates, and the running average of the weights.

The optimisers are torch's own, but do not import torch's compiler here: torch wraps their methods for it, and
the first call of each imports it, which took 1.5 s of computing time before the first step of a run that
compiles no optimiser. Here the same methods are called as they are under these wraps, without gradients as
torch does.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from slimdp.config import ScheduleSettings, StageSettings


def _unwrapped(kind: type[torch.optim.Optimizer]) -> Any:
    """The optimiser with the methods that are under torch's wraps."""
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(torch.optim.Optimizer, name)) for name in names}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "step": step})


_AdamW = _unwrapped(torch.optim.AdamW)
_RMSprop = _unwrapped(torch.optim.RMSprop)
_SGD = _unwrapped(torch.optim.SGD)
#: The optimisers that `OptimiserSettings.name` may name: groups of parameters with their weight decay and a
#: learning rate to each, with what is usual for it.
MAKERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    # Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).
    "adamw": lambda groups, rate, momentum=0.9, beta2=0.999: _AdamW(
        groups, rate, (momentum, beta2), fused=True
    ),
    # What Newell et al. trained the hourglass with.
    "rmsprop": lambda groups, rate, momentum=0.0, beta2=0.99: _RMSprop(
        groups, rate, beta2, momentum=momentum
    ),
    "sgd": lambda groups, rate, momentum=0.9, beta2=None: _SGD(groups, rate, momentum),
}


def freeze_backbone(model: nn.Module, stage: StageSettings) -> None:
    """Where the stage's `backbone_rate` is 0, let the backbone's weights have no gradient.

    That saves its backward pass, and keeps it out of the norm that `clip_norm` limits. It must be done before
    DistributedDataParallel looks at the weights: it would wait for the gradients of them all.
    """
    if stage.backbone_rate == 0:
        model.get_submodule("backbone").requires_grad_(False)


def set_training(model: nn.Module, stage: StageSettings) -> None:
    """Put the network into training mode, but for a backbone that the stage keeps as it is.

    In training its batch norms would take in the statistics of the stage's images.
    """
    model.train()
    if stage.backbone_rate == 0:
        model.get_submodule("backbone").eval()


#: Of a group of weights whose learning rate is not the stage's: by what that is multiplied.
RATE_SHARE = "rate_share"


def make_optimizer(model: nn.Module, stage: StageSettings) -> torch.optim.Optimizer:
    """The optimiser of a stage; the biases and the batch norms' scales do not decay.

    Where the stage's `backbone_rate` is not 1, the weights of the network's backbone are groups of their own.
    """
    slower = list(model.get_submodule("backbone").parameters()) if stage.backbone_rate != 1 else []
    numbers = {id(weight) for weight in slower}
    others = [weight for weight in model.parameters() if id(weight) not in numbers]
    groups = _by_decay(others, stage.weight_decay)
    if slower:
        share = {RATE_SHARE: stage.backbone_rate}
        groups += [group | share for group in _by_decay(slower, stage.weight_decay)]
    chosen = {key: value for key, value in stage.optimiser if key != "name" and value is not None}
    return MAKERS[stage.optimiser.name](groups, stage.learning_rate, **chosen)


def _by_decay(weights: Sequence[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    return [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


#: The schedules that `ScheduleSettings.name` may name: the share of the stage that is done, 0..1, to the
#: share of the learning rate.
FALLS: dict[str, Callable[[float, ScheduleSettings], float]] = {
    # Half a cosine down to 0 (Loshchilov and Hutter, SGDR, eq. 5, one cycle).
    "cosine": lambda share, settings: (1 + math.cos(math.pi * share)) / 2,
    # Level between the drops, and `factor` times as much after each.
    "step": lambda share, settings: settings.factor ** sum(share >= drop for drop in settings.drops),
    "constant": lambda share, settings: 1.0,
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
    start = rising if stage.schedule.name == "cosine" else 0
    share = (number - start) / (stage.steps - start)
    return stage.learning_rate * FALLS[stage.schedule.name](share, stage.schedule)


class WeightAverage:
    """Exponential moving average of a model's weights and of its batch norms' statistics.

    The average steadies what the last few small batches did to the weights (Polyak and Juditsky, 1992).
    Early on, when there is little to average, it forgets faster: the decay of update n is the smaller of
    `decay` and (1 + n) / (10 + n).
    The model must keep the tensors of its weights, as it does in training.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
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
        torch._foreach_lerp_(*self._averaged, 1 - decay)
        if self._counted[0]:
            torch._foreach_copy_(*self._counted)
        self.updates += 1

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, value in state.items():
            self.state[name].copy_(value)
        self.updates = updates


def between(weights: Mapping[str, Tensor], others: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the straight way to others, with this share of those; what is counted stays.

    A network that went from the others to these on few labels does better on what these do not show, and
    hardly worse on what they do, part of the way back (Wortsman et al., CVPR 2022, robust fine-tuning of
    zero-shot models).
    """
    return {
        name: torch.lerp(value, others[name].to(value), share) if value.is_floating_point() else value
        for name, value in weights.items()
    }
