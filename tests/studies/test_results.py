from __future__ import annotations

import json
from pathlib import Path

import pytest

from slimdp.config import ConfigError
from slimdp.report.tables import Spread
from slimdp.studies import RunResult, find_studies
from slimdp.studies.results import (
    describe_scores,
    flat_rows,
    groups_of,
    missing_runs,
    read_scores,
    save_scores,
    table_rows,
)
from slimdp.studies.settings import COLUMNS, ColumnSettings, RowGroup


def result(row: str, seed: int, at_10: float) -> RunResult:
    percent = {"5cm": at_10 / 2, "10cm": at_10, "20cm": at_10 + 10}
    scores = {f"points.localization.{name}": value for name, value in percent.items()}
    full = {f"points.full.{name}": value - 1 for name, value in percent.items()}
    return RunResult(
        row=row,
        seed=seed,
        scores={"": {**scores, **full}},
        seconds=10.0,
        shared_seconds=2.0,
        machine="2 cores",
        commit="abc",
    )


#: Row b gains 1, 2 and 6 over a: 3 in the mean, with a deviation of the root of 7.
RESULTS = [
    result("b", 1, 22.0), result("b", 0, 11.0), result("b", 2, 36.0),
    result("a", 0, 10.0), result("a", 1, 20.0), result("a", 2, 30.0),
    result("c", 1, 21.0),
]  # fmt: skip
PAPER = {"a": {"5cm": 21.0, "10cm": 42.0}, "b": {"10cm": 43.5}, "d": {"10cm": 50.0}}
NAMES = ("a", "b", "c", "d")
OVER_A = groups_of(NAMES)
GROUPS = (
    RowGroup(title="Up", baseline="a", rows=("a", "b")),
    RowGroup(title="Down", baseline="c", rows=("c", "d")),
)


def test_means_spreads_and_paired_gains_are_those_of_the_hand() -> None:
    a, b, c = table_rows(RESULTS, OVER_A, PAPER)
    assert a.scores["10cm"] == Spread(20.0, 10.0)
    assert a.scores["5cm"] == Spread(10.0, 5.0)
    assert a.gains == {}
    assert a.paper_gains == {}
    assert b.seeds == (0, 1, 2)
    assert b.scores["10cm"].mean == 23.0
    assert b.gains["10cm"].mean == 3.0
    assert b.gains["10cm"].deviation == pytest.approx(7**0.5)
    assert b.paper_gains == {"10cm": 1.5}
    assert c.seeds == (1,)
    assert c.gains["20cm"] == Spread(1.0, None)  # on the one seed that both have
    (full, *_) = table_rows(RESULTS, OVER_A, PAPER, full=True)
    assert full.scores["10cm"].mean == 19.0


def test_what_is_not_known_is_empty_in_a_csv_file() -> None:
    rows = table_rows(RESULTS, OVER_A, PAPER)
    flat = flat_rows(rows, COLUMNS, {"a": "the first"})
    assert [cells["10cm_gain"] for cells in flat] == ["", 3.0, 1.0]
    assert [cells["10cm_gain_sd"] for cells in flat] == ["", 2.646, ""]
    assert [cells["10cm_paper"] for cells in flat] == [42.0, 43.5, ""]
    assert [cells["title"] for cells in flat] == ["the first", "b", "c"]


def test_each_group_is_compared_with_its_own_baseline() -> None:
    results = [*RESULTS, result("d", 1, 25.0), result("d", 2, 99.0)]
    a, b, c, d = rows = table_rows(results, GROUPS, PAPER)
    assert [row.baseline for row in rows] == ["a", "a", "c", "c"]
    assert b.gains["10cm"].mean == 3.0
    assert (a.gains, c.gains) == ({}, {})
    assert d.gains["10cm"] == Spread(4.0, None)  # on seed 1: of c there is no other
    assert d.paper_gains == {}  # of c the paper says nothing
    assert [cells["baseline"] for cells in flat_rows(rows, COLUMNS, {"a": "the first"})] == [
        "a",
        "a",
        "c",
        "c",
    ]
    over_d = table_rows(results, groups_of(NAMES, GROUPS, "d"), PAPER)
    assert [row.baseline for row in over_d] == ["d"] * 4


def of_earlier_version(result: RunResult) -> dict[str, object]:
    """As results.json had it."""
    forms = {
        name: {k.rpartition(".")[2]: v for k, v in result.on("").items() if k.startswith(f"points.{form}.")}
        for name, form in (("scores", "localization"), ("full", "full"))
    }
    return {**result.plain(), **forms, "others": {"clips": forms}}


def test_results_of_several_files_are_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    save_scores(folder / "scores.jsonl", RESULTS[:4])
    other = tmp_path / "other.jsonl"
    save_scores(other, RESULTS[3:])
    assert read_scores([folder, other]) == RESULTS
    save_scores(other, [RESULTS[0].replace(seconds=1.0)])
    with pytest.raises(ConfigError, match=r"other\.jsonl: another result for row b, seed 1"):
        read_scores([folder, other])


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps([of_earlier_version(each) for each in RESULTS]))
    found = read_scores([tmp_path / "results.json"])
    assert [each.on("") for each in found] == [each.on("") for each in RESULTS]
    assert [each.on("clips") for each in found] == [each.on("") for each in RESULTS]
    assert [each.replace(scores=RESULTS[0].scores) for each in found] == [
        each.replace(scores=RESULTS[0].scores) for each in RESULTS
    ]


FILES = {"annotations": "people.json", "images": "."}


def study_of(folder: Path, *sets: str) -> Path:
    """A study of a row that is scored on some sets."""
    folder.mkdir(exist_ok=True)
    base = Path(__file__).parents[2] / "experiments" / "smoke.yaml"
    (folder / "base.yaml").write_text(f"base: {base}\n")
    values = {"title": "t", "rows": {"a": "base.yaml"}, "evaluate": dict.fromkeys(sets, FILES)}
    (folder / "study.yaml").write_text(json.dumps(values))
    return folder / "study.yaml"


@pytest.mark.parametrize(
    ("sets", "first"),
    [
        (["clips", "stills"], 10.0),
        (["stills", "clips"], 50.0),
        (["stills"], 50.0),
        (["new", "stills"], None),  # on which nobody scored it yet
    ],
)
def test_the_first_set_is_the_studys_whatever_was_scored_first(
    tmp_path: Path, sets: list[str], first: float | None
) -> None:
    scores = {"clips": RESULTS[3].on(""), "stills": result("a", 0, 50.0).on("")}
    save_scores(tmp_path / "scores.jsonl", [RESULTS[3].replace(scores=scores)])
    (swept,) = find_studies([tmp_path / "scores.jsonl"], study_of(tmp_path, *sets))
    (found,) = swept.results
    assert list(found.scores) == sets
    assert found.on("").get("points.localization.10cm") == first
    assert [row.scores["10cm"].mean for row in swept.rows()] == ([] if first is None else [first])
    assert [row.scores["10cm"].mean for row in swept.rows(on="stills")] == [50.0]


def test_of_no_set_of_the_study_there_is_no_result(tmp_path: Path) -> None:
    save_scores(tmp_path / "scores.jsonl", [RESULTS[3].replace(scores={"clips": RESULTS[3].on("")})])
    (swept,) = find_studies([tmp_path / "scores.jsonl"], study_of(tmp_path, "stills"))
    assert swept.results == ()


def test_a_set_without_a_name_is_the_first_but_never_one_that_is_named_beside_it(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps([of_earlier_version(result("a", 0, 10.0))]))
    for sets in (["stills", "clips"], ["clips"]):
        (swept,) = find_studies([tmp_path / "results.json"], study_of(tmp_path, *sets))
        (found,) = swept.results
        assert list(found.scores) == sets


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "no scores of runs"),
        ("{", r"x\.json, line 1"),
        ("{}", r"missing key results\.0\.row"),
        ('[{"row": "a"}]', r"missing key results\.0\.seed"),
        (json.dumps([{**RESULTS[0].plain(), "scores": {}}]), "those of one set or more"),
    ],
)
def test_what_is_no_result_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_scores([tmp_path / "x.json"])
    with pytest.raises(ConfigError, match="no such file"):
        read_scores([tmp_path])


def test_rows_are_named_by_the_seeds_that_they_lack() -> None:
    assert missing_runs(RESULTS, NAMES, (0, 1, 2)) == {(0, 2): ["c"], (0, 1, 2): ["d"]}


def test_columns_are_any_scores() -> None:
    columns = {"ten": ColumnSettings(score="points.localization.10cm", title="ten cm")}
    assert (columns["ten"].axis, COLUMNS["10cm"].axis) == ("ten cm, %", "points within 10 cm, %")
    (_, b, _) = table_rows(RESULTS, OVER_A, {"b": {"ten": 43.5}}, columns)
    assert (b.scores["ten"].mean, b.paper) == (23.0, {"ten": 43.5})
    assert describe_scores(RESULTS[0], COLUMNS) == "5 cm 11.0 %, 10 cm 22.0 %, 20 cm 32.0 %"
    with pytest.raises(ConfigError, match=r"row b, seed 0 has no points\.localization\.30cm"):
        table_rows(RESULTS, OVER_A, {}, {"far": ColumnSettings(score="points.localization.30cm")})


def test_a_result_without_a_column_leaves_its_cell_empty() -> None:
    less = {"": {"points.localization.10cm": 22.0}}
    rows = table_rows([RESULTS[0].replace(scores=less), *RESULTS[3:]], OVER_A, {})
    b = next(row for row in rows if row.name == "b")
    assert (list(b.scores), list(b.gains)) == (["10cm"], ["10cm"])
    assert flat_rows(rows, COLUMNS, {})[1]["5cm"] == ""


def test_unknown_rows_and_baselines_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown row c; there are: a, b"):
        table_rows(RESULTS, groups_of("ab"), {})
    with pytest.raises(ConfigError, match="unknown row base; there are: a, b, c"):
        groups_of("abc", baseline="base")


def test_a_gain_that_rounds_to_nothing_has_no_sign() -> None:
    assert [Spread(mean, None).text("+") for mean in (-0.04, 0.04, 0.06, -0.06)] == [
        "0.0",
        "0.0",
        "+0.1",
        "-0.1",
    ]
    assert Spread(-0.01, 0.3).text("+") == "0.0 ± 0.3"
