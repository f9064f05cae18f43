from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.__main__ import main
from slimdp.config import ConfigError, DataSource
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


ROWS = {"plain": "base: base.yaml\n", "added": ADDED}


def test_own_files_may_say_whose_place_they_take(
    make_study: Callable[..., Study], labels: DataSource, tmp_path: Path
) -> None:
    file = make_study(tmp_path, ROWS, (0,)).file
    first = Path(labels.annotations)
    given = [("second=clips.json", "videos"), (f"{first.stem}=mine.json", "pictures")]
    own = DataOverride.of_words(given, [])
    study = read_study(file, data_override=own)
    _, added = (config for _, _, config in study.configs())
    assert [stage.data[0].annotations for stage in added.stages] == ["mine.json", "clips.json"]
    assert added.stages[1].data[0].images == "videos"
    assert study.replaced == (
        f"to train on: {labels.annotations} -> mine.json",
        "to train on: second.json -> clips.json",
    )
    for name in (first.name, labels.annotations):  # the file's own name will do, with its folders too
        named = DataOverride.of_words([given[0], (f"{name}=mine.json", "pictures")], [])
        assert read_study(file, data_override=named).replaced == study.replaced
    for words, message in (
        ([given[0], ("third=mine.json", "pictures")], "--data third=mine.json: the study has no set of this"),
        ([given[0], given[0]], "files for this set were given before: clips.json"),
        ([given[0]], f"--data was not given for {first.stem}, which the rows train on too"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_study(file, data_override=DataOverride.of_words(words, []))
    with pytest.raises(ConfigError, match="2 times, but 1 times with a name"):
        DataOverride.of_words([given[0], *MINE], [])


def test_a_file_with_an_equals_sign_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "rate=1.json").touch()
    own = DataOverride.of_words([(str(tmp_path / "rate=1.json"), "pictures")], [])
    assert own.train == ((str(tmp_path / "rate=1.json"), "pictures"),)
    assert own.train_names == ()


def test_two_sets_of_one_name_are_told_apart_by_their_folders(
    make_study: Callable[..., Study], labels: DataSource, tmp_path: Path
) -> None:
    here = f"there/{Path(labels.annotations).name}"
    file = make_study(tmp_path, {"both": ADDED.replace("second.json", here)}, (0,)).file
    given = [(f"{Path(labels.annotations).stem}=mine.json", "pictures")]
    with pytest.raises(
        ConfigError, match=f"several sets of this name; there are: {labels.annotations}, {here}"
    ):
        read_study(file, data_override=DataOverride.of_words(given, []))
    given = [(f"{here}=clips.json", "videos"), (f"{labels.annotations}=mine.json", "pictures")]
    (row,) = read_study(file, data_override=DataOverride.of_words(given, [])).rows
    assert [stage["data"][0]["annotations"] for stage in row.values["stages"]] == ["mine.json", "clips.json"]


def test_only_the_chosen_rows_need_files_and_the_command_for_more_says_which_they_are(
    make_study: Callable[..., Study], labels: DataSource, tmp_path: Path
) -> None:
    file = make_study(tmp_path, {"added": ADDED, "plain": ROWS["plain"]}, (0,)).file
    own = DataOverride.of_words(MINE, [])
    study = read_study(file, data_override=own, rows=["plain"])
    added, plain = (config for _, _, config in study.configs())
    assert {source.annotations for stage in plain.stages for source in stage.data} == {"mine.json"}
    assert added.stages[1].data[0].annotations == "second.json"  # nobody asked for it
    name = Path(labels.annotations).stem
    assert f"--data {name}=mine.json pictures --rows plain" in study.sweep_command(None, ["plain"], (0,))
    with pytest.raises(ConfigError, match=r"given 1 times, but the sets that the chosen rows train on are 2"):
        read_study(file, data_override=own, rows=["added"])
    # Files for all sets mean the same whatever rows are chosen.
    for rows in (None, ["plain"], ["added"]):
        both = DataOverride.of_words([*MINE, ("clips.json", "videos")], [])
        found = read_study(file, data_override=both, rows=rows)
        assert found.replaced[1:] == ("to train on: second.json -> clips.json",)


def test_a_row_that_serves_a_chosen_one_needs_its_files_too(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    file = make_study(tmp_path, ROWS, (0,)).file
    values = parse_yaml(file.read_text())
    values["rows"]["plain"] = {"settings": "plain.yaml", "boxes_of": "added"}
    file.write_text(dump_yaml(values))
    with pytest.raises(ConfigError, match="rows train on are 2"):
        read_study(file, data_override=DataOverride(train=MINE), rows=["plain"])


def test_a_set_to_score_on_is_named_and_the_first_ones_numbers_stay_its_own(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    file = make_study(tmp_path).file
    values = parse_yaml(file.read_text())
    sets = {name: {"annotations": f"a/{name}_val.json", "images": "."} for name in ("track", "coco")}
    figure = {"title": "of the first", "x": "stacks", "curves": {"all": ["plain"]}}
    papers = {"paper": {"plain": {"5cm": 1.5}}, "paper_full": {"plain": {"5cm": 1.0}}}
    file.write_text(dump_yaml({**values, **papers, "evaluate": sets, "figures": [figure]}))
    for name in ("coco", "coco_val", "coco_val.json", "a/coco_val.json"):
        study = read_study(file, data_override=DataOverride.of_words([], [(f"{name}=mine.json", "here")]))
        assert [(each, of.annotations) for each, of in study.evaluate.items()] == [("coco", "mine.json")]
        assert study.replaced == ("to score on: a/coco_val.json -> mine.json",)
        # What the study says of its first set is none of this one's.
        assert (study.paper(), study.paper(full=True), study.figures) == ({}, {}, ())
    both = [("coco=c.json", "here"), ("track=t.json", "here")]
    study = read_study(file, data_override=DataOverride.of_words([], both))
    assert [(each, of.annotations) for each, of in study.evaluate.items()] == [
        ("track", "t.json"),
        ("coco", "c.json"),
    ]
    with pytest.raises(
        ConfigError, match="has no set of this name; there are: track, coco; did you mean coco"
    ):
        read_study(file, data_override=DataOverride.of_words([], [("cocoa=mine.json", "here")]))


def test_what_took_whose_place_is_printed_before_anything_else(
    make_study: Callable[..., Study],
    labels: DataSource,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = make_study(tmp_path, ROWS, (0,)).file
    command = ["sweep", str(file), "--out", str(tmp_path / "out"), "--rows", "plain", "--data", *MINE[0]]
    told = f"to train on: {labels.annotations} -> mine.json"
    assert main([*command, "--status"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == told
    assert main(command) == 2  # mine.json is not there
    said = capsys.readouterr()
    assert said.out.splitlines() == [told]
    assert "nothing was begun" in said.err


def test_a_share_that_was_chosen_for_the_studys_own_people_is_told_and_chosen_anew_for_a_row() -> None:
    """0.71 of our stills are as many people as our clips have; of DensePose-COCO it is 0.21."""
    file = Path(__file__).parents[2] / "experiments" / "table5" / "study.yaml"
    own = DataOverride.of_words([("clips_train=track.json", "t"), ("stills_train=coco.json", "c")], [])
    key = "stages.0.data.0.budget.images"
    assert read_study(file, data_override=own).replaced[2:] == (
        "shares chosen for runs/small/stills_train.json are now taken of coco.json: coco_subset (images: "
        f"0.71); to choose another: --set coco_subset:{key}=SHARE",
    )
    study = read_study(file, [f"coco_subset:{key}=0.21"], own)
    assert len(study.replaced) == 2
    budgets = {row.name: row.values["stages"][0]["data"][0].get("budget") for row in study.rows}
    assert budgets.pop("coco_subset")["images"] == 0.21
    assert set(budgets.values()) == {None}
    assert f"--set coco_subset:{key}=0.21" in study.sweep_command(None, study.names, study.seeds)
    others = read_study(file, data_override=own, rows=["coco", "track"])
    assert len(others.replaced) == 2  # the row is not asked for


def test_a_setting_of_one_row_names_a_row(make_study: Callable[..., Study], tmp_path: Path) -> None:
    file = make_study(tmp_path).file
    study = read_study(file, ["stages.0.steps=7", "fast:stages.0.steps=9"])
    steps = {row.name: row.values["stages"][0]["steps"] for row in study.rows}
    assert steps == {"plain": 7, "fast": 9, "other": 7}
    assert [row.where.endswith("fast:stages.0.steps=9") for row in study.rows] == [False] * 3
    assert [row.where.endswith("with stages.0.steps=9") for row in study.rows] == [False, True, False]
    with pytest.raises(ConfigError, match=r"--set fats:stages.0.steps=9: unknown row fats; .*mean fast"):
        read_study(file, ["fats:stages.0.steps=9"])
    with pytest.raises(ConfigError, match="every run has one of the study's seeds"):
        read_study(file, ["fast:seed=3"])
