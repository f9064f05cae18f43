from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.config import ConfigError
from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.studies import Study, read_study
from slimdp.studies.settings import check_grid, grid_names, grid_rows

GRID = {
    "rate": {"slow": {}, "fast": {"stages.1.learning_rate": 2e-2}},
    "stacks": {"s1": {"model.stacks": 1}, "s2": {"model.stacks": 2, "loss": {"uv": 3.0}}},
}


def write_grid(study: Study, **changes: Any) -> Path:
    """Let a study's file have a grid, and no rows of its own unless they are given."""
    values = parse_yaml(study.file.read_text())
    del values["rows"]
    study.file.write_text(dump_yaml({**values, "base": "base.yaml", "grid": GRID, **changes}))
    return study.file


def test_a_grid_has_a_row_for_every_combination(make_study: Callable[..., Study], tmp_path: Path) -> None:
    file = write_grid(make_study(tmp_path, seeds=(0,)), rows={"own": "other.yaml"})
    study = read_study(file, ["stages.0.steps=9"])
    assert study.names == ("own", "slow-s1", "slow-s2", "fast-s1", "fast-s2")
    configs = {row: config for row, _, config in study.configs()}
    rates = {row: config.stages[1].learning_rate for row, config in configs.items()}
    assert rates == {"own": 1.5e-2, "slow-s1": 1.5e-2, "slow-s2": 1.5e-2, "fast-s1": 2e-2, "fast-s2": 2e-2}
    assert [config.model.stacks for config in configs.values()] == [1, 1, 2, 1, 2]
    assert [config.loss["uv"].weight for config in configs.values()] == [10.0, 10.0, 3.0, 10.0, 3.0]
    assert {config.stages[0].steps for config in configs.values()} == {9}
    assert study.rows[4].where.endswith(
        "base.yaml with stages.1.learning_rate=0.02 with model.stacks=2 with loss={'uv': 3.0} "
        "with stages.0.steps=9"
    )


def test_the_title_of_a_row_is_made_of_those_of_its_options(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    grid = {
        "rate": {"slow": {"title": "slowly"}, "fast": {"title": "fast", "stages.1.learning_rate": 2e-2}},
        "stacks": {"s1": {"model.stacks": 1}, "s2": {"title": "two stacks", "model.stacks": 2}},
    }
    study = read_study(write_grid(make_study(tmp_path, seeds=(0,)), grid=grid))
    assert list(study.titles.values()) == ["slowly", "slowly, two stacks", "fast", "fast, two stacks"]
    assert {config.model.stacks for _, _, config in study.configs()} == {1, 2}


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_names_and_rows_agree_and_share_nothing(sizes: list[int]) -> None:
    grid = {f"a{n}": {f"o{i}": {f"k{n}": [i]} for i in range(size)} for n, size in enumerate(sizes)}
    check_grid(grid)
    rows = list(grid_rows({"k0": [7], "other": [8]}, grid, "base"))
    assert [name for name, *_ in rows] == grid_names(grid)
    assert len({name for name, *_ in rows}) == len(rows)
    for name, values, *_ in rows:
        assert values["other"] == [8]
        for axis, option in enumerate(name.split("-")):
            assert values[f"k{axis}"] == [int(option[1:])]
            values[f"k{axis}"].append(0)  # of this row alone


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": {}}, ["base = 'base.yaml', grid = {}", "give both"]),
        ({"base": ""}, ["base = '', grid = {rate, stacks}", "give both"]),
        ({"base": "nowhere.yaml"}, ["nowhere.yaml: no such settings file"]),
        ({"grid": {"rate": {}}}, ["grid.rate = {}", "one option or more"]),
        ({"grid": {"rate": {"a": 3}}}, ["grid.rate.a = 3", "name: value"]),
        ({"grid": {"rate": {"a b": {}}}}, ["rows.a b", "letters"]),
        ({"rows": {"slow-s1": "plain.yaml"}}, ["rows.slow-s1", "two rows"]),
        (
            {"grid": {"x": {"a": {"model.stacks": 1}}, "y": {"b": {"model.stacks": 2}}}},
            ["grid.x and grid.y both change model.stacks"],
        ),
        (
            {"grid": {"x": {"a": {"model": {"stacks": 1}}}, "y": {"b": {"model.features": 8}}}},
            ["grid.x and grid.y both change model, model.features"],
        ),
        ({"grid": {"x": {"a": {"loss": {}, "loss.uv": 1}}}}, ["grid.x.a: loss and loss.uv change the same"]),
        ({"grid": {"x": {"a": {"stages.7.steps": 1}}}}, ["grid.x.a: stages has items 0..1, not '7'"]),
        ({"grid": {"x": {"a": {"seed": 1}}}}, ["grid.x changes seed", "study's `seeds`"]),
        ({"grid": {"x": {"a": {"crop.size.px": 1}}}}, ["grid.x.a: crop.size = 64 holds no 'px'"]),
        (
            {"figures": [{"title": "t", "x": "stacks", "curves": {"all": ["slow-s3"]}}]},
            ["figures.0: unknown row slow-s3", "slow-s1, slow-s2"],
        ),
    ],
)
def test_a_wrong_grid_is_named(
    make_study: Callable[..., Study], tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    file = write_grid(make_study(tmp_path), **changes)
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_settings_that_are_none_are_named_with_the_row_before_anything_runs(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    grid = {"x": {"a": {}, "b": {"model.stakcs": 2}, "c": {"model.stacks": 99}}}
    study = read_study(write_grid(make_study(tmp_path), grid=grid))
    with pytest.raises(ConfigError) as caught:
        list(study.configs())
    lines = str(caught.value).splitlines()
    assert "row b" in lines[0]
    assert "unknown key model.stakcs" in lines[0]
    assert "row c" in lines[1]
    assert "model.stacks = 99" in lines[1]
