"""The table of a study: means and spreads over the seeds, beside the paper's numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.nearest import listed
from slimdp.config import ConfigError
from slimdp.report.tables import format_table
from slimdp.settings_file import from_plain
from slimdp.studies.groups import RowGroup, baselines_of, heading
from slimdp.studies.records import RunResult
from slimdp.studies.results import RESULTS
from slimdp.studies.study import COLUMNS


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over seeds; no deviation of a single one."""

    mean: float
    deviation: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def text(self, sign: str = "") -> str:
        """ "62.3 ± 1.4"; with sign "+" also of positive numbers."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.1f}"
        # What rounds to nothing has no sign.
        mean = f"{self.mean:{sign}.1f}"
        return f"{'0.0' if mean in ('+0.0', '-0.0') else mean}{spread}"


@dataclass(frozen=True)
class TableRow:
    """A row of the table; percent by column, `COLUMNS`."""

    name: str
    seeds: tuple[int, ...]
    scores: Mapping[str, Spread]
    baseline: str  # the row that it is compared with; itself of a baseline
    gains: Mapping[
        str, Spread
    ]  # over the baseline, seed by seed; empty of the baseline, or without its seeds
    paper: Mapping[str, float]
    paper_gains: Mapping[str, float]


def read_results(places: Sequence[Path]) -> list[RunResult]:
    """The results in files, or in folders of sweeps.

    Raises:
        ConfigError: a file that is missing or holds something else, or two results for one row and seed.
    """
    found: dict[tuple[str, int], RunResult] = {}
    for place in places:
        file = place / RESULTS if place.is_dir() else place
        if not file.is_file():
            raise ConfigError(f"{file}: no such file; slimdp sweep makes it")
        try:
            values = read_json(file, "file of results")
            results: tuple[RunResult, ...] = from_plain(tuple[RunResult, ...], values, "results")
        except ValueError as error:
            raise ConfigError(f"{file}: no list of results: {error}") from error
        for result in results:
            key = result.row, result.seed
            if found.setdefault(key, result) != result:
                raise ConfigError(f"{file}: another result for row {key[0]}, seed {key[1]} came before")
            missing = [column for column in COLUMNS if column not in result.scores]
            if missing:
                raise ConfigError(f"{file}: row {key[0]}, seed {key[1]} has no {', '.join(missing)}")
    return list(found.values())


def table_rows(
    results: Sequence[RunResult],
    groups: Sequence[RowGroup],
    paper: Mapping[str, Mapping[str, float]],
    full: bool = False,
    on: str = "",
) -> list[TableRow]:
    """The rows that have results.

    Args:
        results: in any order.
        groups: `groups_of`: the rows in the order of the table, and the row that each is compared with, on
            the seeds that both have.
        paper: scores in the paper, by row and column, as far as it has them.
        full: where a pixel that the network calls background is wrong, instead of "localization only".
        on: the name of one of the study's other sets; results without a score on it are passed over.

    Raises:
        ConfigError: results of other rows.
    """
    baselines = {name: group.baseline for group in groups for name in group.rows}
    unknown = sorted({result.row for result in results} - set(baselines))
    if unknown:
        raise ConfigError(f"unknown row {unknown[0]}; there are: {listed(baselines, unknown[0])}")
    by_row: dict[str, dict[int, Mapping[str, float]]] = {name: {} for name in baselines}
    for result in sorted(results, key=lambda result: result.seed):
        if not on or on in result.others:
            score = result.on(on)
            by_row[result.row][result.seed] = score.full if full else score.scores
    rows = []
    for name, by_seed in by_row.items():
        baseline = baselines[name]
        both = [seed for seed in by_seed if seed in by_row[baseline] and name != baseline]
        theirs, first = paper.get(name, {}), paper.get(baseline, {})
        if by_seed:
            rows.append(
                TableRow(
                    name=name,
                    seeds=tuple(by_seed),
                    scores={c: Spread.of([each[c] for each in by_seed.values()]) for c in COLUMNS},
                    baseline=baseline,
                    gains={
                        c: Spread.of([by_seed[seed][c] - by_row[baseline][seed][c] for seed in both])
                        for c in COLUMNS
                        if both
                    },
                    paper=dict(theirs),
                    paper_gains={c: theirs[c] - first[c] for c in theirs if c in first and name != baseline},
                )
            )
    return rows


def score_lines(rows: Sequence[TableRow], groups: Sequence[RowGroup], markdown: bool = True) -> str:
    """The scores, ours and the paper's; the title of each group above its rows."""
    header = ["points within, %", *map(_title, COLUMNS), "seeds", *(f"paper, {_title(c)}" for c in COLUMNS)]
    body = {
        row.name: [
            *(row.scores[c].text() for c in COLUMNS),
            str(len(row.seeds)),
            *(f"{row.paper[c]:.2f}" if c in row.paper else "" for c in COLUMNS),
        ]
        for row in rows
    }
    return format_table(header, _grouped(body, groups, markdown), markdown)


def gain_lines(rows: Sequence[TableRow], groups: Sequence[RowGroup], markdown: bool = True) -> str:
    """What each row gains over its group's baseline, ours and the paper's: paired by seed."""
    baselines = baselines_of(groups)
    over = f"over {baselines[0]}" if len(baselines) == 1 else "gained"
    header = [over, *map(_title, COLUMNS), *(f"paper, {_title(c)}" for c in COLUMNS)]
    body = {
        row.name: [
            *(row.gains[c].text("+") for c in COLUMNS),
            *(f"{row.paper_gains[c]:+.2f}" if c in row.paper_gains else "" for c in COLUMNS),
        ]
        for row in rows
        if row.gains
    }
    return format_table(header, _grouped(body, groups, markdown, "over"), markdown) if body else ""


def _grouped(
    cells: Mapping[str, Sequence[str]], groups: Sequence[RowGroup], markdown: bool, over: str = ""
) -> list[list[str]]:
    """The lines of a table's rows, in their order, below a line for each group that has a title and rows."""
    lines = []
    for group in groups:
        known = [name for name in group.rows if name in cells]
        if known and group.title:
            title = heading(group, groups, over)
            lines.append([f"**{title}**" if markdown else title, *[""] * len(cells[known[0]])])
        lines += [[name, *cells[name]] for name in known]
    return lines


def gap_lines(rows: Sequence[TableRow], ceiling: str, markdown: bool = True) -> str:
    """How much of what the ceiling gains over its baseline each row gains that has the same one, in percent.

    A ratio of means over the seeds; as uncertain as both, so a deviation stands beside the gains alone.

    Raises:
        ConfigError: the ceiling has no results, or none for the baseline's seeds.
    """
    top = next((row for row in rows if row.name == ceiling), None)
    if top is None or not top.gains:
        over = "" if top is None else f" over {top.baseline}"
        raise ConfigError(
            f"ceiling {ceiling}: no gain{over} is known; it and its baseline need results of a seed"
        )
    header = [f"share of the way from {top.baseline} to {ceiling}, %", *map(_title, COLUMNS)]
    body = [
        [row.name, *(_share(row.gains[c].mean, top.gains[c].mean) for c in COLUMNS)]
        for row in rows
        if row.gains and row.baseline == top.baseline and row is not top
    ]
    return format_table(header, body, markdown) if body else ""


def _share(gain: float, of: float) -> str:
    return f"{100 * gain / of:.0f}" if of > 0 else "no gap"


def flat_rows(rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    """The same numbers for a CSV file; what is not known is empty."""
    flat = []
    for row in rows:
        cells: dict[str, Any] = {"row": row.name, "baseline": row.baseline, "seeds": len(row.seeds)}
        for column in COLUMNS:
            for kind, spreads in (("", row.scores), ("_gain", row.gains)):
                spread = spreads.get(column)
                cells[f"{column}{kind}"] = _cell(spread.mean if spread else None)
                cells[f"{column}{kind}_sd"] = _cell(spread.deviation if spread else None)
            cells[f"{column}_paper"] = _cell(row.paper.get(column))
            cells[f"{column}_paper_gain"] = _cell(row.paper_gains.get(column))
        flat.append(cells)
    return flat


def complete_results(
    results: Sequence[RunResult], names: Sequence[str], seeds: Sequence[int]
) -> list[RunResult]:
    """Those of the rows that have all seeds, in the order of the table, then of the seeds."""
    by_key = {(result.row, result.seed): result for result in results}
    complete = [name for name in names if all((name, seed) in by_key for seed in seeds)]
    return [by_key[name, seed] for name in complete for seed in seeds]


def missing_runs(
    results: Sequence[RunResult], names: Sequence[str], seeds: Sequence[int]
) -> dict[tuple[int, ...], list[str]]:
    """Rows by the seeds that they lack."""
    there = {(result.row, result.seed) for result in results}
    missing: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        lacks = tuple(seed for seed in seeds if (name, seed) not in there)
        if lacks:
            missing.setdefault(lacks, []).append(name)
    return missing


def _cell(value: float | None) -> float | str:
    return "" if value is None else round(value, 3)


def _title(column: str) -> str:
    return column.replace("cm", " cm")
