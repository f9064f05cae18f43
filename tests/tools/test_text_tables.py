from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from text_tables import TextTables, complete_results

from slimdp.config import ConfigError
from slimdp.studies.results import TableRow, groups_of, table_rows
from slimdp.studies.settings import COLUMNS, ColumnSettings, RowGroup
from tests.studies.test_results import GROUPS, NAMES, OVER_A, PAPER, RESULTS, result


def tables(
    rows: Sequence[TableRow],
    groups: Sequence[RowGroup],
    markdown: bool = True,
    labels: Mapping[str, str] = {},
) -> TextTables:
    return TextTables(rows, groups, COLUMNS, labels, markdown)


def test_the_lines_say_it() -> None:
    rows = table_rows(RESULTS, OVER_A, PAPER)
    lines = tables(rows, OVER_A, markdown=False).scores().splitlines()
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
    gains = tables(rows, OVER_A).gains().splitlines()
    assert gains[0].startswith("| over a ")
    assert [cell.strip() for cell in gains[2].split("|")] == [
        "", "b", "+1.5 ± 1.3", "+3.0 ± 2.6", "+3.0 ± 2.6", "", "+1.50", "", "",
    ]  # fmt: skip
    assert tables(rows[:1], OVER_A).gains() == ""


def test_the_share_of_a_gap_is_that_of_the_hand() -> None:
    rows = table_rows(RESULTS, OVER_A, PAPER)
    lines = tables(rows, OVER_A).gaps("b").splitlines()
    # c gains 0.5, 1 and 1 over a on their one seed, b gains 1.5, 3 and 3 on all.
    assert [cell.strip() for cell in lines[2].split("|")] == ["", "c", "33", "33", "33", ""]
    assert len(lines) == 3
    with pytest.raises(ConfigError, match="ceiling a: no gain over a is known"):
        tables(rows, OVER_A).gaps("a")
    worse = table_rows(RESULTS, groups_of(NAMES, baseline="b"), PAPER)
    assert "no gap" in tables(worse, OVER_A).gaps("a")


def test_a_gap_is_shared_by_the_rows_of_its_baseline() -> None:
    groups = (
        RowGroup(title="Up", baseline="a", rows=("a", "b", "c")),
        RowGroup(title="Down", baseline="d", rows=("d", "e")),
    )
    rows = table_rows([*RESULTS, result("d", 1, 25.0), result("e", 1, 26.0)], groups, PAPER)
    assert [row.name for row in rows if row.gains] == ["b", "c", "e"]
    assert [line.split("|")[1].strip() for line in tables(rows, groups).gaps("b").splitlines()[2:]] == ["c"]
    assert tables(rows, groups).gaps("e") == ""  # nobody is on the way


def test_a_group_without_results_has_no_heading() -> None:
    rows = table_rows(RESULTS[:6], GROUPS, PAPER)
    assert "Down" not in tables(rows, GROUPS).scores()


def test_a_table_of_groups_says_their_titles_and_baselines() -> None:
    results = [*RESULTS, result("d", 1, 25.0), result("d", 2, 99.0)]
    rows = table_rows(results, GROUPS, PAPER)
    lines = [line.split("|")[1].strip() for line in tables(rows, GROUPS).gains().splitlines()]
    assert lines == ["gained", lines[1], "**Up, over a**", "b", "**Down, over c**", "d"]
    plain = tables(rows, GROUPS, markdown=False).scores().splitlines()
    assert [line.split()[0] for line in plain[2:]] == ["Up", "a", "b", "Down", "c", "d"]
    over_d = table_rows(results, groups_of(NAMES, GROUPS, "d"), PAPER)
    text = tables(over_d, groups_of(NAMES, GROUPS, "d"), markdown=False).gains().splitlines()
    assert text[0].startswith("over d ")
    assert text[2] == "Up"


def test_columns_are_any_scores() -> None:
    columns = {"ten": ColumnSettings(score="points.localization.10cm", title="ten cm")}
    rows = table_rows(RESULTS, OVER_A, {"b": {"ten": 43.5}}, columns)
    lines = TextTables(rows, OVER_A, columns, {"a": "the first (a)"}, markdown=False).scores().splitlines()
    assert lines[0].split() == ["row", "ten", "cm", "seeds", "paper,", "ten", "cm"]
    assert lines[2].startswith("the first (a)  20.0 ± 10.0")
    assert lines[3].split()[-1] == "43.50"


def test_a_result_without_a_column_leaves_its_cell_empty() -> None:
    less = {"": {"points.localization.10cm": 22.0}}
    rows = table_rows([RESULTS[0].replace(scores=less), *RESULTS[3:]], OVER_A, {})
    line = next(line for line in tables(rows, OVER_A, markdown=False).scores().splitlines() if line[0] == "b")
    assert line.split() == ["b", "22.0", "1"]


def test_only_complete_rows_are_kept() -> None:
    kept = complete_results(RESULTS, NAMES, (0, 1, 2))
    assert [(each.row, each.seed) for each in kept] == [(row, seed) for row in "ab" for seed in (0, 1, 2)]
