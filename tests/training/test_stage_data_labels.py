"""Budgets of the data that a stage learns from, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slimdp.config import (
    BudgetSettings,
    ConfigError,
    DataSource,
    TrainConfig,
    ValidationSettings,
    config_from_dict,
    config_to_dict,
)
from slimdp.data import AnnotationError, Clicks, read_annotations, write_annotations
from slimdp.losses import loss_terms, total_loss
from slimdp.training import load_checkpoint, train
from slimdp.training.stage_data import Sets, clicks_of, read_stages, source_labels

POINTS = 240  # of the three ellipses


def with_budgets(config: TrainConfig, *budgets: BudgetSettings | None) -> TrainConfig:
    """One source and budget a stage."""
    stages = tuple(
        stage.replace(data=(stage.data[0].replace(budget=budget),))
        for stage, budget in zip(config.stages, budgets)
    )
    return config.replace(stages=stages)


def test_a_stage_sees_what_its_budget_leaves(small_run: TrainConfig) -> None:
    half, one = BudgetSettings(points=0.5), BudgetSettings(images=0.34, parts="kept", masks="dropped")
    stills, clips = read_stages(with_budgets(small_run, half, one))
    people = [stills.people.person(index) for index in range(stills.people.sizes[0])]
    assert sum(len(person.points) for person in people) == POINTS / 2
    people = [clips.people.person(index) for index in range(clips.people.sizes[0])]
    assert sorted(person.has_uv.sum() for person in people) == [0, 0, 80]
    assert sorted(person.coarse is not None for person in people) == [False, False, True]
    batch = next(clips.batches(0, workers=0))
    assert batch.uv.isnan().any()


def test_a_file_is_read_once_and_stays_whole(ellipses: DataSource) -> None:
    sets: Sets = {}
    few = source_labels(ellipses.replace(budget=BudgetSettings(points=0.1)), sets)
    (whole,) = sets.values()
    assert sum(len(person.points) for person in whole.people) == POINTS
    assert sum(len(person.points) for person in few.people) == POINTS / 10
    assert source_labels(ellipses, sets) is whole


@pytest.mark.parametrize(
    "budget",
    [
        {"points": 0.0, "parts": "kept"},
        {"images": 0.5, "parts": "kept"},
        {"points": 0.0, "masks": "kept"},
    ],
    ids=str,
)
def test_two_steps_on_a_budget(small_run: TrainConfig, tmp_path: Path, budget: dict[str, Any]) -> None:
    config = with_budgets(small_run, BudgetSettings(**budget))
    config = config.replace(stages=(config.stages[0].replace(steps=2),))
    weights = load_checkpoint(train(config, tmp_path / "run")).best_weights
    assert all(values.isfinite().all() for values in weights.values() if values.is_floating_point())


def test_no_labels_of_uv_leave_its_outputs_alone(small_run: TrainConfig) -> None:
    """Segmentation only: no gradient reaches what predicts u and v."""
    from slimdp.models import StackedHourglass

    config = with_budgets(small_run, BudgetSettings(points=0.0, parts="kept"))
    batch = next(read_stages(config)[0].batches(0, workers=0)).to("cpu")
    torch.manual_seed(0)
    output = StackedHourglass(1, 8)(batch)
    prediction = output.best
    for maps in (prediction.u, prediction.fine_segm):
        maps.retain_grad()
    total, terms = total_loss(output, batch, loss_terms())
    total.backward()
    assert not prediction.u.grad.any()
    assert prediction.fine_segm.grad.any()
    assert terms["stack0/part"] > 0
    assert terms["stack0/uv"] == 0


def test_a_budget_that_leaves_nothing_is_named(ellipses: DataSource) -> None:
    none = ellipses.replace(budget=BudgetSettings(images=0))
    with pytest.raises(AnnotationError, match=r"leaves nobody any label: images = 0"):
        source_labels(none, {})
    assert source_labels(none.replace(unlabelled=True), {}).people  # to hold features equivariant


def test_settings_say_nothing_of_budgets_that_are_not_there(small_run: TrainConfig) -> None:
    """So that runs and sweeps from before there were any go on."""
    assert "budget" not in str(config_to_dict(small_run))
    budgeted = with_budgets(small_run, None, BudgetSettings(images=0.5, frames=(2, 7)))
    values = config_to_dict(budgeted)
    assert [["budget" in source for source in stage["data"]] for stage in values["stages"]] == [
        [False],
        [True],
    ]
    assert config_from_dict(values, "here") == budgeted


def test_a_budget_may_draw_with_the_seed_of_the_run(small_run: TrainConfig, ellipses: DataSource) -> None:
    drawn, kept = BudgetSettings(points=0.5, seed=None), BudgetSettings(points=0.5)
    values = config_to_dict(with_budgets(small_run, drawn, kept)) | {"seed": 7}
    config = config_from_dict(values, "here")
    assert [stage.data[0].budget for stage in config.stages] == [drawn.replace(seed=7), kept]
    assert config_from_dict(config_to_dict(config), "here") == config
    with pytest.raises(ConfigError, match="give a number"):  # a run that nobody read has no seed to tell
        source_labels(ellipses.replace(budget=drawn), {})


def test_budgets_that_cannot_be_are_refused(small_run: TrainConfig, ellipses: DataSource) -> None:
    values = config_to_dict(small_run)
    values["stages"][1]["data"][0]["budget"] = {"points": 3}
    with pytest.raises(ConfigError, match=r"here: stages.1.data.0.budget.points = 3.0"):
        config_from_dict(values, "here")
    with pytest.raises(ConfigError, match=r"^data\.0\.budget = .* left out"):
        ValidationSettings(data=(ellipses.replace(budget=BudgetSettings()),))
    dropped = with_budgets(small_run, None, BudgetSettings(keypoints="dropped"))
    read_stages(dropped)
    with pytest.raises(ConfigError, match=r"stages.1: its loss learns from keypoints, but the budgets"):
        read_stages(dropped.replace(loss=loss_terms(keypoint_uv=1.0)))


def test_clicks_of_a_run_count_each_label_once(small_run: TrainConfig) -> None:
    whole = Clicks(points=POINTS, masks=9, boxes=3)  # (3 coarse parts: torso, two legs)
    assert clicks_of(small_run) == whole
    tenth = BudgetSettings(points=0.1)
    assert clicks_of(with_budgets(small_run, tenth, None)) == whole
    assert clicks_of(with_budgets(small_run, tenth, tenth)) == replace(whole, points=24)
    assert clicks_of(with_budgets(small_run, tenth, BudgetSettings(points=0.5))) == replace(whole, points=120)
    parts = BudgetSettings(images=0.3, parts="kept")
    assert clicks_of(with_budgets(small_run, parts, parts)) == replace(whole, points=80, parts=160)
    # Of different draws the union; what one knows by its part and the other with (u, v) is no part alone.
    first, second = (BudgetSettings(points=0.5, parts="kept", seed=seed) for seed in (1, 2))
    either = clicks_of(with_budgets(small_run, first, second))
    assert 120 < either.points < POINTS
    assert either.parts == POINTS - either.points


def test_clicks_of_keypoints_count_where_they_are_learned_from(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path
) -> None:
    people = read_annotations(ellipses.annotations, ellipses.images).people
    keypoints = np.array([[20.0, 30, 2], [40, 50, 1], [0, 0, 0]])
    named = [replace(p, keypoints=keypoints, keypoint_names=("nose", "a", "b")) for p in people]
    write_annotations(tmp_path / "k.json", [person.image for person in people], named)
    source = ellipses.replace(annotations=str(tmp_path / "k.json"))
    config = small_run.replace(stages=(small_run.stages[0].replace(data=(source,)),))
    assert clicks_of(config).keypoints == 0
    assert clicks_of(config.replace(loss=loss_terms(keypoint_uv=1.0))).keypoints == 6
    nothing_else = source.replace(budget=BudgetSettings(images=0.0))
    config = config.replace(stages=(config.stages[0].replace(data=(nothing_else,)),))
    assert clicks_of(config) == Clicks()
    config = config.replace(model=config.model.replace(keypoints=("nose",)))
    assert clicks_of(config) == Clicks(keypoints=6, boxes=3)
