"""The tables of a study as the page shows them, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slimdp.config import Settings, TrainConfig
from slimdp.report.tables import Spread
from slimdp.studies.records import RunResult
from slimdp.studies.results import TableRow, duration, flat_rows, heading
from slimdp.studies.settings import ColumnSettings
from slimdp.studies.swept import SweptStudy

_NO_PAPER = " The paper gives none of this table."
_NOT_THERE = "\u2013"


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str = "\u2013"
    best: bool = False  # of its column


@dataclass(frozen=True)
class TableBody:
    """Rows of a table that stand together: name and cells of each."""

    heading: str  # above them, over all columns; "" for none
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class PageTable:
    """A table: the first column names the rows."""

    title: str
    caption: str
    spans: tuple[tuple[str, int], ...]  # titles over some columns each, the first column left out
    columns: tuple[str, ...]  # the first one's too; a second line stands smaller below, of rows' names too
    bodies: tuple[TableBody, ...]


def score_table(swept: SweptStudy, on: str = "", full: bool = False) -> PageTable:
    """Scores of all rows on one of the sets, those that are missing too, with their spread over the seeds."""
    rows = {row.name: row for row in swept.rows(full, on)}
    theirs, columns = swept.study.paper(on, full), swept.study.columns
    cells = {}
    for group in swept.groups:
        best = _best(columns, [rows[name].scores for name in group.rows if name in rows])
        for name in group.rows:
            own = [Cell()] * (len(columns) + 1)
            if name in rows:
                row = rows[name]
                own = [_cell(columns[c], row.scores.get(c), best[c]) for c in columns]
                own.append(Cell(str(len(row.seeds))))
            paper = theirs.get(name, {})
            own += [Cell(f"{paper[c]:.2f}" if c in paper else "") for c in columns if theirs]
            cells[name] = own
    points = _are_points(swept)
    titles = tuple(column.heading for column in columns.values())
    return PageTable(
        title=f"{'Full scores' if full else 'Scores, localization only' if points else 'Scores'}{_on(on)}",
        caption=f"{_caption(points, full)} Mean and standard deviation over the seeds, the "
        f"best{_each(swept)} in bold.{_NO_PAPER if full and not theirs else ''}",
        spans=(("here", len(columns) + 1), *([("paper", len(columns))] if theirs else ())),
        columns=("row", *titles, "seeds", *(titles if theirs else ())),
        bodies=_bodies(swept, cells),
    )


def _are_points(swept: SweptStudy) -> bool:
    """Whether all columns are of points, without what is taken for background."""
    return all(each.score.startswith("points.localization.") for each in swept.study.columns.values())


def _caption(points: bool, full: bool) -> str:
    if not points:
        return "Of the averaged weights of each run's last stage."
    form = (
        "a pixel that the network calls background is wrong"
        if full
        else "the best of all parts counts everywhere"
    )
    return f"Points found within a distance along the body, percent; {form}."


def gain_table(swept: SweptStudy, on: str = "") -> PageTable | None:
    """What each row gains over its baseline, seed by seed; None where no row can be compared."""
    compared = {row.name: row for row in swept.rows(on=on) if row.gains}
    if not compared:
        return None
    paper, columns = any(row.paper_gains for row in compared.values()), swept.study.columns
    cells = {}
    for group in swept.groups:
        known = [compared[name] for name in group.rows if name in compared]
        best = _best(columns, [row.gains for row in known])
        for row in known:
            own = [_cell(columns[c], row.gains.get(c), best[c], "+") for c in columns]
            cells[row.name] = own + [Cell(_signed(row.paper_gains, c)) for c in columns if paper]
    one = len(swept.baselines) == 1
    over = swept.study.titles[swept.baselines[0]] if one else "the baseline of the group"
    unit = "Percentage points; mean" if all(each.unit == "%" for each in columns.values()) else "Mean"
    titles = tuple(column.heading for column in columns.values())
    return PageTable(
        title=f"Gained over {over}{_on(on)}",
        caption=f"{unit} and standard deviation of the differences seed by seed"
        f", the best{_each(swept)} in bold.",
        spans=(("here", len(columns)), *([("paper", len(columns))] if paper else ())),
        columns=("row", *titles, *(titles if paper else ())),
        bodies=_bodies(swept, cells, "over"),
    )


def cost_table(swept: SweptStudy) -> PageTable:
    """What the rows took, how much they saw, and what their labels cost."""
    counted = any(result.clicks is not None for result in swept.results)
    cells = {}
    for name in swept.study.names:
        results = [result for result in swept.results if result.row == name]
        if results:
            scoring, training = (
                Spread.of(seconds).mean
                for seconds in ([r.seconds for r in results], [r.shared_seconds for r in results])
            )
            stages = swept.runs[name, results[0].seed].config.stages
            crops = sum(stage.steps * stage.batch for stage in stages)
            own = [str(len(results)), duration(scoring), duration(training), f"{crops:,}"]
            clicks, hours = mean_clicks(results), mean_hours(results)
            own += ["" if clicks is None else f"{clicks:,.0f}"] * counted
            own += ["" if hours is None else f"{hours:.1f}"] * counted
            cells[name] = list(map(Cell, own))
    return PageTable(
        title="Row by row",
        caption="Of a run, mean over the seeds. Scoring: predicting and measuring the people of the "
        "evaluation. Training, its share: the time of each of its stages, divided by the number of rows of "
        "the study that have the stage, which is trained once for all of them.",
        spans=(),
        columns=(
            "row", "seeds", "scoring", "training, its share",
            "crops seen\nsecond pictures of pairs not counted",
            *(("clicks", "annotator hours") if counted else ()),
        ),
        bodies=_bodies(swept, cells),
    )  # fmt: skip


def _bodies(swept: SweptStudy, cells: Mapping[str, Sequence[Cell]], over: str = "") -> tuple[TableBody, ...]:
    """The rows that have cells, below a heading for each group that has a title and such rows; below a row's
    title its name."""
    titles = swept.study.titles
    bodies = []
    for group in swept.groups:
        rows = tuple(
            ("\n".join(dict.fromkeys([titles[name], name])), tuple(cells[name]))
            for name in group.rows
            if name in cells
        )
        if rows:
            bodies.append(TableBody(heading(group, swept.groups, titles, over), rows))
    return tuple(bodies)


def _best(
    columns: Mapping[str, ColumnSettings], spreads: Sequence[Mapping[str, Spread]]
) -> dict[str, float | None]:
    """The best mean of several rows, by column; of one row alone, none."""
    best: dict[str, float | None] = {}
    for name, column in columns.items():
        means = [each[name].mean for each in spreads if name in each]
        best[name] = column.best(means) if len(spreads) > 1 and means else None
    return best


def _cell(column: ColumnSettings, spread: Spread | None, best: float | None, sign: str = "") -> Cell:
    return Cell() if spread is None else Cell(spread.text(sign, column.form), spread.mean == best)


def _each(swept: SweptStudy) -> str:
    return " of each group" if len(swept.groups) > 1 else ""


def mean_clicks(results: Sequence[RunResult]) -> float | None:
    """Clicks behind a row's labels, mean over the seeds, whose budgets may have drawn others; None where they
    were not counted."""
    return _mean([result.clicks for result in results])


def mean_hours(results: Sequence[RunResult]) -> float | None:
    """Hours of annotators behind a row's labels, as `mean_clicks`."""
    seconds = _mean([result.annotator_seconds for result in results])
    return None if seconds is None else seconds / 3600


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def settings_table(swept: SweptStudy) -> PageTable:
    """How the settings of each row differ from its baseline's, and those of the baselines from the first."""
    seed, first = swept.study.seeds[0], swept.baselines[0]
    told = swept.study.titles[first]
    cells = {}
    for name in swept.study.names:
        other = first if name in swept.baselines else swept.baseline_of(name)
        lines = setting_lines(swept.runs[other, seed].config, swept.runs[name, seed].config)
        if name != first:
            cells[name] = [Cell("\n".join([f"beside {told}:", *lines] if name in swept.baselines else lines))]
    several = len(swept.baselines) > 1
    return PageTable(
        title=f"Settings that differ from those of {'the baseline of the group' if several else told}",
        caption=f"key: of {'the baseline' if several else told} \u2192 of the row; stages by their names, "
        "\u2013 is not there",
        spans=(),
        columns=("row", "settings"),
        bodies=_bodies(swept, cells, "beside"),
    )


def scores_csv(swept: SweptStudy, rows: Sequence[TableRow]) -> bytes:
    """All numbers of the scores and the gains, a line a row."""
    flat = flat_rows(rows, swept.study.columns, swept.study.titles)
    return csv_bytes(list(flat[0]), [list(cells.values()) for cells in flat])


def cost_csv(swept: SweptStudy) -> bytes:
    """Seconds, machine and commit of every run."""
    header = [
        "row", "seed", "seconds", "shared_seconds", "clicks", "annotator_seconds", "machine", "commit",
    ]  # fmt: skip
    return csv_bytes(header, [[getattr(result, name) for name in header] for result in swept.results])


def _signed(gains: Mapping[str, float], column: str) -> str:
    return f"{gains[column]:+.2f}" if column in gains else ""


def _on(name: str) -> str:
    return f", on {name}" if name else ""


def setting_lines(first: TrainConfig, own: TrainConfig) -> list[str]:
    """Lines `key: A \u2192 B` of what differs; stages are known by their names, other items by their places.

    Of what only one of them has, values that nobody chose (defaults) are left out; of a stage that `own`
    lacks, all.
    """
    theirs, ours = dict(_flat(first, "")), dict(_flat(own, ""))
    gone = {f"stages.{stage.name}." for stage in first.stages} - {f"stages.{s.name}." for s in own.stages}
    lines = [f"{stage[:-1]}: there \u2192 {_NOT_THERE}" for stage in sorted(gone)]
    for key in dict.fromkeys([*theirs, *ours]):
        sides = [flat.get(key) for flat in (theirs, ours)]
        chosen = all(sides) or not any(side[1] for side in sides if side is not None)
        if chosen and sides[0] != sides[1] and not key.startswith(tuple(gone)):
            there, now = (_NOT_THERE if side is None else _words(side[0]) for side in sides)
            lines.append(f"{key}: {there} \u2192 {now}")
    return lines


def _flat(value: Any, key: str, default: bool = False) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """The plain values below a setting, with their keys and whether each is what it is by default."""
    if isinstance(value, Settings):
        for name, each in type(value).model_fields.items():
            below = getattr(value, name)
            yield from _flat(below, f"{key}.{name}" if key else name, below == each.default)
    elif isinstance(value, tuple) and value and all(isinstance(each, Settings) for each in value):
        for place, each in enumerate(value):
            below = f"{key}.{getattr(each, 'name', place)}"
            yield from (item for item in _flat(each, below) if item[0] != f"{below}.name")
    else:
        yield key, (value, default)


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_words, value)) or "none"
    if value is None:
        return _NOT_THERE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Rows of a table as CSV; None is empty, and numbers have six digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue().encode("utf-8")
