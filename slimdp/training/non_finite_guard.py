"""Stopping at a batch that teaches nothing or breaks the numbers, without making a GPU wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from slimdp.config import LossSettings, StageSettings
from slimdp.structures import PersonAnnotation

#: Steps that a GPU may be behind before the CPU asks about a step's numbers.
BEHIND = 4


class NonFiniteLossError(FloatingPointError):
    """A loss or a gradient that is infinite or not a number."""


@dataclass(frozen=True)
class _Seen:
    """The numbers of a step on their way to the CPU."""

    step: int
    rate: float
    names: tuple[str, ...]
    values: Tensor  # float32 on the CPU, once `arrived`
    arrived: torch.cuda.Event | None


class NoLabelsError(ValueError):
    """A batch that nothing can be learned from."""


class NonFiniteGuard:
    """Looks at each step's labels and numbers: on a CPU at once, on a GPU at its numbers a few steps later.

    A batch without points in sight but with outlines is learned from. A checkpoint may be written only after
    `wait`: then no number that is not finite has gone into it.

    Args:
        stage: for the error.
        batch_people: who is in the batch of a step.
    """

    def __init__(
        self, stage: StageSettings, batch_people: Callable[[int], Sequence[PersonAnnotation]]
    ) -> None:
        self._stage, self._batch_people = stage, batch_people
        self._waiting: deque[_Seen] = deque()

    def require_labels(self, step: int, counts: Mapping[str, int], weights: LossSettings) -> None:
        """Raise NoLabelsError unless some term that counts has a label; `counts` are those of the batch."""
        if any(count and getattr(weights, name) > 0 for name, count in counts.items()):
            return
        raise NoLabelsError(
            f"stage {self._stage.name!r}, step {step}: no label in sight that a loss looks at "
            f"({', '.join(f'{name} {count}' for name, count in counts.items())}). The batch: "
            f"{self._names(step)}. Look at these labels, raise stage.batch, or lower augment.shift and scale"
        )

    def check(self, step: int, rate: float, values: Mapping[str, Tensor]) -> None:
        """Take note of a step's scalars, which share a device; call it before the optimiser's step.

        Raises:
            NonFiniteLossError: these, or on a GPU those of a step before, are not all finite.
        """
        together = torch.stack([value.detach().float() for value in values.values()])
        arrived = None
        if together.device.type == "cuda":
            # Into pinned memory: that is what lets the CPU go on.
            pinned = torch.empty(together.shape, pin_memory=True)
            together = pinned.copy_(together, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        self._waiting.append(_Seen(step, rate, tuple(values), together, arrived))
        if arrived is None:
            self.wait()
        while len(self._waiting) > BEHIND:
            self._ask(self._waiting.popleft())

    def wait(self) -> None:
        """Look at all steps until now; raises as `check`."""
        while self._waiting:
            self._ask(self._waiting.popleft())

    def _ask(self, seen: _Seen) -> None:
        if seen.arrived is not None:
            seen.arrived.synchronize()
        if torch.isfinite(seen.values).all():
            return
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in zip(seen.names, seen.values.tolist()))
        raise NonFiniteLossError(
            f"stage {self._stage.name!r}, step {seen.step}: the loss or its gradient is not finite "
            f"({numbers}). The batch: {self._names(seen.step)}. Look at these labels, or lower "
            f"stage.learning_rate (here {seen.rate:.3g})"
        )

    def _names(self, step: int) -> str:
        return ", ".join(f"{p.image.file} (annotation {p.id})" for p in self._batch_people(step))
