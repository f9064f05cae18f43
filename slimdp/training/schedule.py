"""The learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Callable

from slimdp.config import ScheduleSettings, StageSettings


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
