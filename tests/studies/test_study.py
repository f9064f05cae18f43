from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.__main__ import main
from slimdp.config import ConfigError, TrainConfig
from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.studies import Study, read_study
from slimdp.studies.study import read_snapshots, write_snapshot


def test_rows_come_in_their_order_with_every_seed(
    make_study: Callable[..., Study], base_config: TrainConfig, tmp_path: Path
) -> None:
    study = make_study(tmp_path, seeds=(3, 1), more="paper: {fast: {10cm: 42.94}}\n")
    assert study.names == ("plain", "fast", "other")
    configs = list(study.configs())
    assert [(row, seed) for row, seed, _ in configs] == [
        (row, seed) for seed in (3, 1) for row in ("plain", "fast", "other")
    ]
    assert all(config.seed == seed for _, seed, config in configs)
    assert configs[0][2].stages == base_config.stages
    assert configs[1][2].stages[1].learning_rate == 2e-2
    assert configs[2][2].stages[0].learning_rate == 1e-2
    assert study.paper() == {"fast": {"10cm": 42.94}}
    assert study.including((5, 1)).seeds == (3, 1, 5)


def test_rows_stand_in_the_order_of_their_groups(make_study: Callable[..., Study], tmp_path: Path) -> None:
    groups = [
        {"title": "Later", "baseline": "other", "rows": ["other"]},
        {"title": "First", "baseline": "fast", "rows": ["fast", "plain"]},
    ]
    make_study(tmp_path)
    values = parse_yaml((tmp_path / "study.yaml").read_text())
    values["rows"]["fast"] = {"settings": "fast.yaml", "title": "in haste"}
    (tmp_path / "study.yaml").write_text(dump_yaml({**values, "groups": groups}))
    study = read_study(tmp_path / "study.yaml")
    assert study.titles == {"other": "other", "fast": "in haste", "plain": "plain"}
    assert study.labels == {"other": "other", "fast": "in haste (fast)", "plain": "plain"}
    assert study.names == ("other", "fast", "plain")
    assert [(group.title, group.baseline) for group in study.groups] == [
        ("Later", "other"),
        ("First", "fast"),
    ]
    write_snapshot(study, tmp_path)
    assert read_snapshots(tmp_path) == [study]


def test_overrides_reach_every_row(make_study: Callable[..., Study], tmp_path: Path) -> None:
    make_study(tmp_path)
    study = read_study(tmp_path / "study.yaml", ["stages.1.steps=9", "model.features=12"])
    for _, _, config in study.configs():
        assert [stage.steps for stage in config.stages] == [6, 9]
        assert config.model.features == 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"titel": "x"}, ["study.yaml", "unknown key titel", "title, imports, evaluate, rows, base, grid"]),
        ({"title": 3}, ["title = 3", "a text"]),
        ({"rows": {}}, ["rows", "one row or more"]),
        ({"rows": ["plain.yaml"]}, ["rows = ['plain.yaml']", "name: value"]),
        ({"rows": {"a b": "plain.yaml"}}, ["rows.a b", "letters"]),
        ({"rows": {"shared": "plain.yaml"}}, ["rows.shared", "not 'shared'"]),
        ({"rows": {"a": "nowhere.yaml"}}, ["nowhere.yaml: no such settings file"]),
        ({"seeds": []}, ["seeds = []"]),
        ({"seeds": [1, 1]}, ["seeds = [1, 1]", "differ"]),
        ({"seeds": [-1]}, ["seeds.0 = -1", "0 or more"]),
        ({"seeds": ["0"]}, ["seeds.0 = '0'", "a whole number"]),
        ({"evaluate": {"images": "x"}}, ["missing key evaluate.annotations"]),
        (
            {"groups": [{"title": "A", "baseline": "plain", "rows": ["plain", "slow"]}]},
            ["study.yaml", "groups.0.rows: unknown row slow", "plain, fast, other"],
        ),
        (
            {"groups": [{"title": t, "baseline": "plain", "rows": ["plain", "fast"]} for t in "AB"]},
            ["groups.1.rows: row plain is in 'A' already"],
        ),
        (
            {"groups": [{"title": "A", "baseline": "other", "rows": ["plain", "fast"]}]},
            ["groups.0: baseline = 'other'", "own rows", "plain, fast"],
        ),
        (
            {"groups": [{"title": "A", "baseline": "plain", "rows": ["plain"]}]},
            ["groups: no group has fast, other"],
        ),
        ({"groups": [{"title": " ", "baseline": "plain", "rows": ["plain"]}]}, ["groups.0: title = ' '"]),
        ({"groups": [{"title": "A", "rows": ["plain"]}]}, ["missing key groups.0.baseline"]),
        ({"about": {"plain": "x"}}, ["study.yaml", "about is now rows.ROW.title, beside rows.ROW.settings"]),
        (
            {"rows": {"plain": {"settings": "plain.yaml", "title": "two\nlines"}}},
            ["rows.plain.title = 'two\\nlines'", "one line"],
        ),
        ({"rows": {"plain": {"title": "x"}}}, ["missing key rows.plain.settings"]),
        ({"columns": {}}, ["columns = {}", "one column or more"]),
        (
            {"columns": {"10cm": "points.10cm"}},
            ["columns.10cm.score = 'points.10cm'", "points.localization.10cm"],
        ),
        ({"paper": {"plian": {}}}, ["unknown key paper.plian", "plain, fast, other"]),
        ({"paper": {"plain": {"7cm": 1}}}, ["unknown key paper.plain.7cm", "5cm, 10cm, 20cm"]),
        ({"paper": {"plain": {"5cm": "high"}}}, ["paper.plain.5cm = 'high'", "a number"]),
    ],
)
def test_a_wrong_study_is_named_with_its_choices(
    make_study: Callable[..., Study], tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    make_study(tmp_path)
    file = tmp_path / "study.yaml"
    file.write_text(dump_yaml({**parse_yaml(file.read_text()), **changes}))
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_all_rows_with_wrong_settings_are_named_at_once(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    rows = {
        "plain": "base: base.yaml\n",
        "typo": "base: base.yaml\nstages: {1: {stepps: 3}}\n",
        "wide": "base: base.yaml\nmodel: {features: 9}\n",
    }
    with pytest.raises(ConfigError) as caught:
        list(make_study(tmp_path, rows).configs())
    lines = str(caught.value).splitlines()
    assert len(lines) == 2, lines
    assert "row typo" in lines[0]
    assert "unknown key stages.1.stepps" in lines[0]
    assert "row wide" in lines[1]
    assert "model.features = 9" in lines[1]


def test_rows_and_seeds_that_are_not_there_are_refused(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path)
    assert study.require_rows(None) == study.names
    assert study.require_rows(["other", "plain"]) == ("plain", "other")
    with pytest.raises(ConfigError, match=r"unknown key rows\.slow; there are: plain, fast, other"):
        study.require_rows(["plain", "slow"])
    with pytest.raises(ConfigError, match="0 or more"):
        study.including((-1,))


@pytest.mark.parametrize("rows", ["", ","])
def test_no_rows_are_not_chosen(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str
) -> None:
    study = make_study(tmp_path)
    with pytest.raises(SystemExit):
        main(["sweep", str(study.file), "--status", "--rows", rows])
    assert "but names with commas are wanted: a,b" in capsys.readouterr().err
