from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.config import ConfigError
from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.studies import DataOverride, Study, read_study

MINE = (("mine.json", "pictures"),)
ADDED = "base: base.yaml\nstages: {1: {data: [{annotations: second.json, images: there, weight: 2.0}]}}\n"


def test_own_files_take_the_place_of_the_one_set_of_a_study(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    own = DataOverride(train=MINE, evaluate=(("held_out.json", "elsewhere"),))
    study = read_study(tmp_path / "study.yaml", data_override=own)
    for _, _, config in study.configs():
        for stage in config.stages:
            assert [(source.annotations, source.images) for source in stage.data] == [*MINE]
    assert (study.evaluate[""].annotations, study.evaluate[""].images) == ("held_out.json", "elsewhere")
    words = "--data mine.json pictures --evaluate held_out.json elsewhere"
    assert " ".join(own.words()) == words
    assert study.rows[0].where.endswith(words.replace(" ", " with "))


def test_the_title_says_whom_a_study_is_about(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study = make_study(tmp_path, more="people: rendered people\n")
    assert study.title == "a little study, on rendered people"
    own = DataOverride(train=MINE, evaluate=(("held_out.json", "elsewhere"),))
    assert read_study(study.file, data_override=own).title == "a little study, on mine.json and held_out.json"


def test_several_sets_are_replaced_in_the_order_in_which_rows_name_them(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path, {"plain": "base: base.yaml\n", "added": ADDED}, (0,))
    own = DataOverride(train=(*MINE, ("clips.json", "videos")))
    plain, added = (
        config for _, _, config in read_study(tmp_path / "study.yaml", data_override=own).configs()
    )
    assert {source.annotations for stage in plain.stages for source in stage.data} == {"mine.json"}
    assert [stage.data[0].annotations for stage in added.stages] == ["mine.json", "clips.json"]
    assert added.stages[1].data[0].weight == 2.0
    with pytest.raises(ConfigError, match=r"(?s)given 1 times, but .* train on are 2; .*second\.json in th"):
        read_study(tmp_path / "study.yaml", data_override=DataOverride(train=MINE))


def test_sets_to_score_on_are_replaced_one_by_one(make_study: Callable[..., Study], tmp_path: Path) -> None:
    file = make_study(tmp_path).file
    values = parse_yaml(file.read_text())
    track = {"annotations": "track.json", "images": ".", "paper": {"plain": {"5cm": 1.5}}}
    sets = {"track": track, "coco": {"annotations": "coco.json", "images": "."}}
    figures = [
        {"title": name, "x": "stacks", "curves": {"all": ["plain"]}, "scored_on": name} for name in sets
    ]
    file.write_text(dump_yaml({**values, "evaluate": sets, "figures": figures}))
    study = read_study(file)
    assert [figure.title for figure in study.figures] == ["track", "coco"]
    assert [(name, each.annotations) for name, each in study.evaluate.items()] == [
        ("track", "track.json"),
        ("coco", "coco.json"),
    ]
    one = read_study(file, data_override=DataOverride(train=(), evaluate=MINE))
    assert [(name, each.annotations) for name, each in one.evaluate.items()] == [("track", "mine.json")]
    assert one.paper() == one.paper("track") == {"plain": {"5cm": 1.5}}
    assert [figure.title for figure in one.figures] == ["track"]  # nobody scores on the other set
    both = read_study(file, data_override=DataOverride(train=(), evaluate=(*MINE, ("b.json", "c"))))
    assert both.evaluate["coco"].annotations == "b.json"
    with pytest.raises(ConfigError, match="given 2 times, but the sets that the study scores on are 1"):
        read_study(make_study(tmp_path / "one").file, data_override=DataOverride(train=(), evaluate=MINE * 2))


def test_validation_looks_at_the_own_people(make_study: Callable[..., Study], tmp_path: Path) -> None:
    watched = "base: base.yaml\nvalidation: {every: 2, data: [{annotations: a.json, images: b}]}\n"
    make_study(tmp_path, {"watched": watched}, (0,))
    ((_, _, config),) = read_study(
        tmp_path / "study.yaml", data_override=DataOverride(train=(), evaluate=MINE)
    ).configs()
    assert config.validation is not None
    assert config.validation.every == 2
    assert [(source.annotations, source.images) for source in config.validation.data] == [*MINE]
