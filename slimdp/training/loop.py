"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slimdp.config import LossSettings, StageSettings
from slimdp.losses import supervised_loss
from slimdp.models import StackedHourglass
from slimdp.structures import PersonAnnotation, PoseBatch
from slimdp.training.average import WeightAverage
from slimdp.training.monitor import Monitor
from slimdp.training.schedule import learning_rate_at


class NonFiniteLossError(FloatingPointError):
    """A loss or a gradient that is infinite or not a number."""


@dataclass
class Learner:
    """What changes while a stage runs."""

    model: StackedHourglass
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    step: int = 0  # steps of the stage that are done


def make_optimizer(model: nn.Module, stage: StageSettings) -> torch.optim.Optimizer:
    """AdamW; the biases and the batch norms' scales do not decay."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": stage.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.learning_rate, fused=True)


def train_stage(
    learner: Learner,
    stage: StageSettings,
    loss: LossSettings,
    batches: Iterable[PoseBatch],
    monitor: Monitor,
    save: Callable[[Learner], None],
    batch_people: Callable[[int], Sequence[PersonAnnotation]],
) -> None:
    """Train to the end of a stage, from the step where the learner stands.

    Args:
        learner: changed in place.
        stage, loss: settings.
        batches: one a step, from `learner.step` on.
        monitor: sees every step.
        save: called after every step; decides when to write a checkpoint.
        batch_people: who is in the batch of a step, for the error.

    Raises:
        NonFiniteLossError: naming the step and the people of its batch.
    """
    device = next(learner.model.parameters()).device
    learner.model.train()
    for batch in batches:
        rate = learning_rate_at(learner.step, stage)
        for group in learner.optimizer.param_groups:
            group["lr"] = rate

        batch = batch.to(device)
        predictions = learner.model(batch.image.contiguous(memory_format=torch.channels_last))
        total, terms = supervised_loss(predictions, batch, loss)
        learner.optimizer.zero_grad()
        total.backward()
        norm = nn.utils.clip_grad_norm_(learner.model.parameters(), stage.clip_norm)
        if not (math.isfinite(total.item()) and math.isfinite(norm.item())):
            values = {**terms, "total": total, "gradient norm": norm}
            raise non_finite_loss(stage, learner.step, rate, values, batch_people(learner.step))
        learner.optimizer.step()
        learner.average.update()
        learner.step += 1
        monitor.after_step(
            learner.step, batch, predictions[-1], {"total": total.detach(), **terms}, rate, norm
        )
        save(learner)
    assert learner.step == stage.steps, f"{learner.step} batches for {stage.steps} steps"


def non_finite_loss(
    stage: StageSettings,
    step: int,
    rate: float,
    values: Mapping[str, Tensor],
    people: Sequence[PersonAnnotation],
) -> NonFiniteLossError:
    """The error that says where training went astray, and on whom."""
    numbers = ", ".join(f"{name} {value.item():.4g}" for name, value in values.items())
    batch = ", ".join(f"{person.image.file} (annotation {person.id})" for person in people)
    return NonFiniteLossError(
        f"stage {stage.name!r}, step {step}: the loss or its gradient is not finite ({numbers}). "
        f"The batch: {batch}. Look at these labels, or lower stage.learning_rate (here {rate:.3g})"
    )
