"""A running average of the weights: what is evaluated."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's weights and of its batch norms' statistics.

    The average steadies what the last few small batches did to the weights (Polyak and Juditsky, 1992).
    Early on, when there is little to average, it forgets faster: the decay of update n is the smaller of
    `decay` and (1 + n) / (10 + n).

    Args:
        model: whose weights it follows; it must keep their tensors, as it does in training.
        decay: share of the average that stays at an update.
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
