"""The learning rate: a straight rise, then half a cosine down to nothing."""

from __future__ import annotations

import math

from slimdp.config import StageSettings


def learning_rate_at(step: int, stage: StageSettings) -> float:
    """The learning rate of a step 0..steps - 1 of a stage (Loshchilov and Hutter, SGDR, eq. 5, one cycle).

    It depends on the step alone, so that a resumed run needs no state of a scheduler.
    """
    if not 0 <= step < stage.steps:
        raise ValueError(f"step {step} of stage {stage.name!r}, which has steps 0..{stage.steps - 1}")
    rising = round(stage.warmup * stage.steps)
    if step < rising:
        return stage.learning_rate * (step + 1) / (rising + 1)
    share = (step - rising) / (stage.steps - rising)
    return stage.learning_rate * (1 + math.cos(math.pi * share)) / 2
