"""Accuracy of a study's rows, one by one and over stacks, clicks, hours or another number."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from slimdp.config import ModelSettings, TrainConfig, config_to_dict
from slimdp.report.plots import Curve, Plot, curve_plot, row_plot
from slimdp.studies.figures import CLICKS, HOURS, MOST_CURVES, STACKS, FigureSettings
from slimdp.studies.page.page_parts import PagePicture, csv_bytes
from slimdp.studies.page.row_tables import mean_clicks, mean_hours
from slimdp.studies.page.sources import SweptStudy
from slimdp.studies.study import COLUMNS, Scores
from slimdp.studies.table import TableRow

#: The column of a chart that has room for one.
MAIN_COLUMN = "10cm"
_SPREAD = "Bars: one standard deviation over the seeds to each side."


def rows_picture(swept: SweptStudy, on: str = "") -> PagePicture:
    """All rows by one score on one of the sets, each seed of its own."""
    values: dict[str, list[float]] = {name: [] for name in swept.study.names}
    lines = []
    for result in sorted(swept.results, key=lambda result: result.seed):
        scores = swept.scores(result, on)
        if scores is not None:
            values[result.row].append(scores[MAIN_COLUMN])
            lines.append((result.row, result.seed, *(scores[column] for column in COLUMNS)))
    breaks = np.cumsum([len(group.rows) for group in swept.groups])[:-1].tolist()
    chart = row_plot(values, f"points {_within(MAIN_COLUMN)}, %", breaks)
    words = "; ".join(f"{name} {np.mean(each):.1f}" for name, each in values.items() if each)
    where = f", on {on}" if on else ""
    return _picture(
        f"{swept.key}_rows{'_' * bool(on)}{on}",
        f"Every row, points {_within(MAIN_COLUMN)}{where}",
        f"Percent of points {_within(MAIN_COLUMN)}{where}, by row: {words}",
        chart,
        "Rings: seeds; marks: their mean.",
        csv_bytes(["row", "seed", *COLUMNS], lines),
    )


def study_figures(swept: SweptStudy) -> tuple[list[PagePicture], list[str]]:
    """The figures that a study asks for, or, where it asks for none, accuracy over the stacks of rows that
    differ in nothing else; a chart a column, as far as there are results.

    Returns:
        the charts, and for each figure that cannot be drawn its title and the reason.
    """
    pictures, left_out = [], []
    for number, figure in enumerate(swept.study.figures or _stack_figures(swept), start=1):
        table = {row.name: row for row in swept.rows(on=figure.scored_on)}
        numbers = {name: _number(swept, figure, name) for name in figure.rows if name in table}
        known = {name: x for name, x in numbers.items() if x is not None and (x > 0 or not figure.log)}
        if known:
            name = f"{swept.key}_figure{number}"
            paper = swept.paper(figure.scored_on)
            pictures += [_column_picture(name, figure, table, known, paper, column) for column in COLUMNS]
        else:
            reason = f"its rows have no {figure.x} to stand at" if numbers else "none of its rows is done"
            left_out.append(f"{figure.title}: {reason}")
    return pictures, left_out


def _column_picture(
    name: str,
    figure: FigureSettings,
    table: Mapping[str, TableRow],
    numbers: Mapping[str, float],
    paper: Scores,
    column: str,
) -> PagePicture:
    curves, lines = {}, []
    theirs = _paper_curves(figure, numbers, paper, column) if figure.paper else {}
    for title, rows in figure.curves.items():
        known = sorted((row for row in rows if row in numbers), key=lambda row: numbers[row])
        spreads = [table[row].scores[column] for row in known]
        mean = np.array([spread.mean for spread in spreads])
        deviation = np.array([spread.deviation or 0.0 for spread in spreads])
        x = np.array([numbers[row] for row in known])
        if known:
            curves[title] = Curve(x, mean, mean - deviation, mean + deviation)
        lines += [
            (
                title,
                row,
                numbers[row],
                each.mean,
                each.deviation,
                len(table[row].seeds),
                paper.get(row, {}).get(column),
            )
            for row, each in zip(known, spreads)
        ]
    drawn = {**curves, **{f"paper, {title}": curve for title, curve in theirs.items()}}
    words = "; ".join(
        f"{title}: " + ", ".join(f"{y:.1f} at {x:g}" for x, y in zip(curve.x, curve.y))
        for title, curve in drawn.items()
    )
    spread = _SPREAD if any(line[4] is not None for line in lines) else "One seed each."
    y_title = f"points {_within(column)}, %"
    return _picture(
        f"{name}_{column}",
        f"{figure.title}, {_within(column)}",
        f"{y_title}, over {figure.axis}. {words}",
        curve_plot(curves, figure.axis, y_title, figure.log, theirs),
        f"{spread} Dashed: the paper's numbers." if theirs else spread,
        csv_bytes(
            ["curve", "row", figure.x, f"{column}_mean", f"{column}_sd", "seeds", f"{column}_paper"], lines
        ),
    )


def _paper_curves(
    figure: FigureSettings, numbers: Mapping[str, float], paper: Scores, column: str
) -> dict[str, Curve]:
    """The paper's numbers of the curves of which it has all rows, and of which all stand on the axis."""
    curves = {}
    for title, rows in figure.curves.items():
        if all(row in numbers and column in paper.get(row, {}) for row in rows):
            order = sorted(rows, key=lambda row: numbers[row])
            y = np.array([paper[row][column] for row in order])
            curves[title] = Curve(np.array([numbers[row] for row in order]), y, y, y)
    return curves


def _number(swept: SweptStudy, figure: FigureSettings, row: str) -> float | None:
    """Where a row stands on a figure's axis; None where that is not known."""
    if row in figure.at:
        return figure.at[row]
    results = [result for result in swept.results if result.row == row]
    if figure.x == STACKS:
        return _stages(swept.runs[row, results[0].seed].config.model)
    assert figure.x in (CLICKS, HOURS), "a study's figures were checked when it was read"
    return mean_clicks(results) if figure.x == CLICKS else mean_hours(results)


def _stack_figures(swept: SweptStudy) -> list[FigureSettings]:
    """Curves of rows that differ in their stacks alone."""
    groups: dict[str, dict[float, str]] = {}
    for name in swept.study.names:
        config = swept.runs[name, swept.study.seeds[0]].config
        stages = _stages(config.model)
        if stages is not None:
            groups.setdefault(_without_stages(config), {}).setdefault(stages, name)
    curves = {
        " / ".join(by_stacks.values()): tuple(by_stacks.values())
        for by_stacks in groups.values()
        if len(by_stacks) > 1
    }
    shown = dict(list(curves.items())[:MOST_CURVES])
    return [FigureSettings("Accuracy over stacks", STACKS, shown)] if shown else []


def _stages(model: ModelSettings) -> float | None:
    """How many stages a network has, e.g. stacks; None where its settings do not say."""
    return None if model.STAGES is None else float(getattr(model, model.STAGES))


def _without_stages(config: TrainConfig) -> str:
    values = config_to_dict(config)
    return json.dumps({**values, "model": {**values["model"], config.model.STAGES: None}}, sort_keys=True)


def _picture(name: str, title: str, alt: str, chart: Plot, caption: str, numbers: bytes) -> PagePicture:
    files = {".png": chart.png, ".csv": numbers}
    return PagePicture(name, title, alt, "image/svg+xml", chart.svg, caption, files)


def _within(column: str) -> str:
    return f"within {column.replace('cm', ' cm')}"
