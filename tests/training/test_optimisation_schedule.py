from __future__ import annotations

import math
from typing import get_args

import pytest

from slimdp.config import DataSource, ScheduleSettings, StageSettings
from slimdp.config.learning import Schedule
from slimdp.training.optimisation import FALLS, learning_rate_at


def stage(steps: int, warmup: float, schedule: ScheduleSettings | None = None) -> StageSettings:
    schedule = schedule or ScheduleSettings()
    data = (DataSource(annotations="x", images="y"),)
    return StageSettings(
        name="a", data=data, steps=steps, learning_rate=2.0, warmup=warmup, schedule=schedule
    )


def test_it_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    rates = [learning_rate_at(step, stage(8, 0.5)) for step in range(8)]
    falling = [1 + math.cos(math.pi * share) for share in (0, 0.25, 0.5, 0.75)]
    assert rates == pytest.approx([0.4, 0.8, 1.2, 1.6, *falling])


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 300])
def test_every_step_learns_and_none_passes_the_peak(steps: int, warmup: float) -> None:
    rates = [learning_rate_at(step, stage(steps, warmup)) for step in range(steps)]
    assert min(rates) > 0
    assert max(rates) <= 2.0
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize("step", [-1, 8])
def test_a_step_outside_the_stage_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=r"steps 0\.\.7"):
        learning_rate_at(step, stage(8, 0.5))


def test_steps_drop_at_shares_of_the_stage() -> None:
    schedule = ScheduleSettings(name="step", drops=(0.5, 0.75), factor=0.1)
    rates = [learning_rate_at(step, stage(8, 0.25, schedule)) for step in range(8)]
    assert rates == pytest.approx([2 / 3, 4 / 3, 2, 2, 0.2, 0.2, 0.02, 0.02])


def test_a_constant_rate_rises_and_stays() -> None:
    rates = [learning_rate_at(step, stage(5, 0.2, ScheduleSettings(name="constant"))) for step in range(5)]
    assert rates == pytest.approx([1, 2, 2, 2, 2])


def test_every_schedule_of_the_settings_is_there() -> None:
    assert tuple(FALLS) == get_args(Schedule)
