from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from slimdp.config import ConfigError
from slimdp.studies import RunResult
from slimdp.studies.groups import RowGroup, groups_of
from slimdp.studies.table import (
    Spread,
    complete_results,
    flat_rows,
    gain_lines,
    gap_lines,
    missing_runs,
    read_results,
    score_lines,
    table_rows,
)


def result(row: str, seed: int, at_10: float) -> RunResult:
    scores = {"5cm": at_10 / 2, "10cm": at_10, "20cm": at_10 + 10}
    full = {name: value - 1 for name, value in scores.items()}
    return RunResult(row, seed, scores, full, 10.0, 2.0, "2 cores", "abc")


#: Row b gains 1, 2 and 6 over a: 3 in the mean, with a deviation of the root of 7.
RESULTS = [
    result("b", 1, 22.0), result("b", 0, 11.0), result("b", 2, 36.0),
    result("a", 0, 10.0), result("a", 1, 20.0), result("a", 2, 30.0),
    result("c", 1, 21.0),
]  # fmt: skip
PAPER = {"a": {"5cm": 21.0, "10cm": 42.0}, "b": {"10cm": 43.5}, "d": {"10cm": 50.0}}
NAMES = ("a", "b", "c", "d")
OVER_A = groups_of(NAMES)
GROUPS = (RowGroup("Up", "a", ("a", "b")), RowGroup("Down", "c", ("c", "d")))


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


def test_the_lines_say_it() -> None:
    rows = table_rows(RESULTS, OVER_A, PAPER)
    lines = score_lines(rows, OVER_A, markdown=False).splitlines()
    assert lines[2].split() == [
        "a",
        "10.0",
        "±",
        "5.0",
        "20.0",
        "±",
        "10.0",
        "30.0",
        "±",
        "10.0",
        "3",
        "21.00",
        "42.00",
    ]
    assert lines[4].split() == ["c", "10.5", "21.0", "31.0", "1"]
    gains = gain_lines(rows, OVER_A).splitlines()
    assert gains[0].startswith("| over a ")
    assert [cell.strip() for cell in gains[2].split("|")] == [
        "", "b", "+1.5 ± 1.3", "+3.0 ± 2.6", "+3.0 ± 2.6", "", "+1.50", "", "",
    ]  # fmt: skip
    assert gain_lines(rows[:1], OVER_A) == ""
    flat = flat_rows(rows)
    assert [cells["10cm_gain"] for cells in flat] == ["", 3.0, 1.0]
    assert [cells["10cm_gain_sd"] for cells in flat] == ["", 2.646, ""]
    assert [cells["10cm_paper"] for cells in flat] == [42.0, 43.5, ""]


def test_the_share_of_a_gap_is_that_of_the_hand() -> None:
    rows = table_rows(RESULTS, OVER_A, PAPER)
    lines = gap_lines(rows, "b").splitlines()
    # c gains 0.5, 1 and 1 over a on their one seed, b gains 1.5, 3 and 3 on all.
    assert [cell.strip() for cell in lines[2].split("|")] == ["", "c", "33", "33", "33", ""]
    assert len(lines) == 3
    with pytest.raises(ConfigError, match="ceiling a: no gain over a is known"):
        gap_lines(rows, "a")
    worse = table_rows(RESULTS, groups_of(NAMES, baseline="b"), PAPER)
    assert "no gap" in gap_lines(worse, "a")


def test_each_group_is_compared_with_its_own_baseline() -> None:
    results = [*RESULTS, result("d", 1, 25.0), result("d", 2, 99.0)]
    a, b, c, d = rows = table_rows(results, GROUPS, PAPER)
    assert [row.baseline for row in rows] == ["a", "a", "c", "c"]
    assert b.gains["10cm"].mean == 3.0
    assert (a.gains, c.gains) == ({}, {})
    assert d.gains["10cm"] == Spread(4.0, None)  # on seed 1: of c there is no other
    assert d.paper_gains == {}  # of c the paper says nothing
    lines = [line.split("|")[1].strip() for line in gain_lines(rows, GROUPS).splitlines()]
    assert lines == ["gained", lines[1], "**Up, over a**", "b", "**Down, over c**", "d"]
    plain = score_lines(rows, GROUPS, markdown=False).splitlines()
    assert [line.split()[0] for line in plain[2:]] == ["Up", "a", "b", "Down", "c", "d"]
    assert [cells["baseline"] for cells in flat_rows(rows)] == ["a", "a", "c", "c"]
    over_d = table_rows(results, groups_of(NAMES, GROUPS, "d"), PAPER)
    assert [row.baseline for row in over_d] == ["d"] * 4
    text = gain_lines(over_d, groups_of(NAMES, GROUPS, "d"), markdown=False).splitlines()
    assert text[0].startswith("over d ")
    assert text[2] == "Up"


def test_a_gap_is_shared_by_the_rows_of_its_baseline() -> None:
    groups = (RowGroup("Up", "a", ("a", "b", "c")), RowGroup("Down", "d", ("d", "e")))
    rows = table_rows([*RESULTS, result("d", 1, 25.0), result("e", 1, 26.0)], groups, PAPER)
    assert [row.name for row in rows if row.gains] == ["b", "c", "e"]
    assert [line.split("|")[1].strip() for line in gap_lines(rows, "b").splitlines()[2:]] == ["c"]
    assert gap_lines(rows, "e") == ""  # nobody is on the way


def test_a_group_without_results_has_no_heading() -> None:
    rows = table_rows(RESULTS[:6], GROUPS, PAPER)
    assert "Down" not in score_lines(rows, GROUPS)


def test_only_complete_rows_are_kept_and_the_rest_is_named() -> None:
    kept = complete_results(RESULTS, NAMES, (0, 1, 2))
    assert [(each.row, each.seed) for each in kept] == [(row, seed) for row in "ab" for seed in (0, 1, 2)]
    assert missing_runs(RESULTS, NAMES, (0, 1, 2)) == {(0, 2): ["c"], (0, 1, 2): ["d"]}


def test_results_of_several_files_are_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps([asdict(each) for each in RESULTS[:4]]))
    other = tmp_path / "other.json"
    other.write_text(json.dumps([asdict(each) for each in RESULTS[3:]]))
    assert read_results([folder, other]) == RESULTS
    other.write_text(json.dumps([asdict(replace(RESULTS[0], seconds=1.0))]))
    with pytest.raises(ConfigError, match=r"other\.json: another result for row b, seed 1"):
        read_results([folder, other])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "no list of results"),
        ("{}", r"results = \{\}, but a list"),
        ('[{"row": "a"}]', r"missing key results\.0\.seed"),
        (
            json.dumps([asdict(replace(RESULTS[0], scores={"5cm": 1.0}, full={"5cm": 1.0}))]),
            "has no 10cm, 20cm",
        ),
    ],
)
def test_what_is_no_result_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_results([tmp_path / "x.json"])
    with pytest.raises(ConfigError, match="no such file"):
        read_results([tmp_path])


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
