"""The plots of a study: scores row by row, and over stacks, clicks or other numbers; how rows learned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slimdp.config import ModelSettings, config_to_dict
from slimdp.report.plots import Curve, Plot, curve_plot, row_plot, training_plot
from slimdp.studies.page.elements import PageImage
from slimdp.studies.page.tables import csv_bytes, label_costs
from slimdp.studies.results import TableRow
from slimdp.studies.settings import CLICKS, HOURS, MOST_CURVES, STACKS, FigureSettings
from slimdp.studies.swept import SweptStudy
from slimdp.training.run_folder import read_metrics

_SPREAD = "Bars: one standard deviation over the seeds to each side."
#: What is drawn of training where a run logged it: scores on held-out people, else a loss that all rows have.
_SCORE = "validation/localization 10cm"
_SCORED = "Points within 10 cm on people who are not trained on (localization only)."
_LOSS = (
    "Cross entropy of the parts at labelled points, of the last stack: a loss that all rows have, on each "
    "row's own training labels: lower is not better between rows with other labels."
)


def rows_image(swept: SweptStudy, on: str = "") -> PageImage:
    """All rows by one score on one of the sets, each seed of its own."""
    study, main = swept.study, swept.study.columns[swept.study.main_column]
    values: dict[str, list[float]] = {name: [] for name in study.names}
    lines = []
    for result in sorted(swept.results, key=lambda result: result.seed):
        scores = result.on(on)
        if main.score in scores:
            values[result.row].append(scores[main.score])
            lines.append((result.row, result.seed, *(scores.get(c.score) for c in study.columns.values())))
    breaks = np.cumsum([len(group.rows) for group in swept.groups])[:-1].tolist()
    drawn = [(study.told_apart[name], each) for name, each in values.items()]
    words = "; ".join(f"{title} {main.told(float(np.mean(each)))}" for title, each in drawn if each)
    where = f", on {on}" if on else ""
    return _plot_image(
        f"{swept.key}_rows{'_' * bool(on)}{on}",
        f"Every row, {main.words}{where}",
        f"{main.words[0].upper()}{main.words[1:]}{where}, {main.unit}, by row: {words}",
        row_plot(drawn, main.axis, breaks),
        "Rings: seeds; marks: their mean.",
        csv_bytes(["row", "seed", *study.columns], lines),
    )


def study_figures(swept: SweptStudy) -> tuple[list[PageImage], list[str]]:
    """The figures that a study asks for, or, where it asks for none, accuracy over the stacks of rows that
    differ in nothing else; a plot a column, as far as there are results.

    Returns:
        the plots, and for each figure that cannot be drawn its title and the reason.
    """
    images, left_out = [], []
    for number, figure in enumerate(swept.study.figures or _stack_figures(swept), start=1):
        table = {row.name: row for row in swept.rows(on=figure.scored_on)}
        numbers = {name: _number(swept, figure, name) for name in figure.rows if name in table}
        known = {name: x for name, x in numbers.items() if x is not None and (x > 0 or not figure.log)}
        if known:
            name = f"{swept.key}_figure{number}"
            images += [
                _column_image(name, figure, table, known, swept, column) for column in swept.study.columns
            ]
        else:
            reason = f"its rows have no {figure.x} to stand at" if numbers else "none of its rows is done"
            left_out.append(f"{figure.title}: {reason}")
    return images, left_out


def _column_image(
    name: str,
    figure: FigureSettings,
    table: Mapping[str, TableRow],
    numbers: Mapping[str, float],
    swept: SweptStudy,
    column: str,
) -> PageImage:
    paper, about = swept.study.paper(figure.scored_on), swept.study.columns[column]
    curves, theirs, lines = {}, {}, []
    for title, rows in figure.curves.items():
        on_axis = sorted((row for row in rows if row in numbers), key=numbers.__getitem__)
        known = [row for row in on_axis if column in table[row].scores]
        spreads = [table[row].scores[column] for row in known]
        if known:
            mean = np.array([spread.mean for spread in spreads])
            deviation = np.array([spread.deviation or 0.0 for spread in spreads])
            x = np.array([numbers[row] for row in known])
            curves[title] = Curve(x, mean, mean - deviation, mean + deviation)
        # The paper's numbers of the curves of which it has all rows, and of which all stand on the axis.
        if figure.paper and len(on_axis) == len(rows) and all(column in paper.get(row, {}) for row in rows):
            x, y = np.array([(numbers[row], paper[row][column]) for row in on_axis]).T
            theirs[title] = Curve(x, y, y, y)
        for row, each in zip(known, spreads):
            of_paper, seeds = paper.get(row, {}).get(column), len(table[row].seeds)
            lines.append((title, row, numbers[row], each.mean, each.deviation, seeds, of_paper))
    drawn = {**curves, **{f"paper, {title}": curve for title, curve in theirs.items()}}
    words = "; ".join(
        f"{title}: " + ", ".join(f"{about.told(y)} at {x:g}" for x, y in zip(curve.x, curve.y))
        for title, curve in drawn.items()
    )
    spread = _SPREAD if any(line[4] is not None for line in lines) else "One seed each."
    header = ["curve", "row", figure.x, f"{column}_mean", f"{column}_sd", "seeds", f"{column}_paper"]
    return _plot_image(
        f"{name}_{column}",
        f"{figure.title}, {about.words.removeprefix('points ')}",
        f"{about.axis}, over {figure.axis}. {words}",
        curve_plot(curves, figure.axis, about.axis, figure.log, theirs),
        f"{spread} Dashed: the paper's numbers." if theirs else spread,
        csv_bytes(header, lines),
    )


def _number(swept: SweptStudy, figure: FigureSettings, row: str) -> float | None:
    """Where a row stands on a figure's axis; None where that is not known."""
    if row in figure.at:
        return figure.at[row]
    results = [result for result in swept.results if result.row == row]
    if figure.x == STACKS:
        return _stages(swept.runs[row, results[0].seed].config.model)
    return dict(zip((CLICKS, HOURS), label_costs(results)))[figure.x]  # checked when the study was read


def _stack_figures(swept: SweptStudy) -> list[FigureSettings]:
    """Curves of rows that differ in their stacks alone."""
    groups: dict[str, dict[float, str]] = {}
    for name in swept.study.names:
        config = swept.runs[name, swept.study.seeds[0]].config
        stages = _stages(config.model)
        if stages is not None:
            values = config_to_dict(config)
            values["model"][config.model.STAGES] = None
            groups.setdefault(json.dumps(values, sort_keys=True), {}).setdefault(stages, name)
    curves = {
        " / ".join(swept.study.told_apart[name] for name in by_stacks.values()): tuple(by_stacks.values())
        for by_stacks in groups.values()
        if len(by_stacks) > 1
    }
    shown = dict(list(curves.items())[:MOST_CURVES])
    return [FigureSettings(title="Accuracy over stacks", x=STACKS, curves=shown)] if shown else []


def _stages(model: ModelSettings) -> float | None:
    """How many stages a network has, e.g. stacks; None where its settings do not say."""
    return None if model.STAGES is None else float(getattr(model, model.STAGES))


def _plot_image(name: str, title: str, alt: str, plot: Plot, caption: str, numbers: bytes) -> PageImage:
    files = {".png": plot.png, ".csv": numbers}
    return PageImage(name, title, alt, "image/svg+xml", plot.svg, caption, files)


def training_images(swept: SweptStudy) -> list[PageImage]:
    """A plot for each row that has logs: mean and range over the seeds, its baseline in grey."""
    logs = {name: of_row for name in swept.study.names if (of_row := _logs(swept, name))}
    scored = all(any(_SCORE in line for line in log) for of_row in logs.values() for log in of_row)
    curves = {name: _curve(of_row, _SCORE if scored else _part_loss(of_row)) for name, of_row in logs.items()}
    drawn = {name: curve for name, curve in curves.items() if curve is not None}
    # Of the upright axis of all plots, with a little room.
    low = min((float(curve.low.min()) for curve in drawn.values()), default=0.0)
    high = max((float(curve.high.max()) for curve in drawn.values()), default=1.0)
    room = 0.04 * (high - low) or 0.5
    return [_training_image(swept, name, drawn, scored, (low - room, high + room)) for name in drawn]


def _training_image(
    swept: SweptStudy, name: str, curves: Mapping[str, Curve], scored: bool, limits: tuple[float, float]
) -> PageImage:
    title = "points within 10 cm, %" if scored else "loss of the parts"
    baseline = swept.baseline_of(name)
    curve, other = curves[name], None if name == baseline else curves.get(baseline)
    stages = swept.runs[name, swept.study.seeds[0]].config.stages
    begins = np.cumsum([stage.steps for stage in stages])[:-1].tolist()
    rows = np.column_stack([curve.x, curve.y, curve.low, curve.high]).tolist()
    told = swept.study.told_apart[name]
    return _plot_image(
        f"{swept.key}_training_{name}",
        told,
        f"{title} of {told} over {curve.x[-1]:.0f} steps: from {curve.y[0]:.2f} to {curve.y[-1]:.2f}",
        training_plot(curve, other, title, begins, limits),
        _SCORED if scored else _LOSS,
        csv_bytes(["step", "mean", "least", "most"], rows),
    )


def _logs(swept: SweptStudy, row: str) -> list[list[dict[str, Any]]]:
    """The logged lines of each seed that is done: of all stages beside the row's result, else (of an older
    sweep) where these were trained."""
    logs = []
    for seed in sorted({result.seed for result in swept.results if result.row == row}):
        folder = swept.folder_of(row, seed)
        if folder is not None:
            run = swept.runs[row, seed]
            own, *stages = [each.folder_in(folder) / "metrics.jsonl" for each in (run, *run.upstream)]
            files = [own] if own.is_file() else [file for file in stages if file.is_file()]
            lines = [line for file in files for line in read_metrics(file)]
            logs += [lines] if lines else []
    return logs


def _part_loss(logs: Sequence[Sequence[dict[str, Any]]]) -> str:
    """The key of the last stack's loss of parts, which rows with other losses beside it have too."""
    keys = {key for line in logs[0] for key in line if key.startswith("loss/stack") and key.endswith("/part")}
    return max(keys, default="loss/total", key=lambda key: int(key.split("/")[1].removeprefix("stack")))


def _curve(logs: Sequence[Sequence[dict[str, Any]]], key: str) -> Curve | None:
    """Mean and range at the steps that all seeds logged; None where there are none."""
    by_step = [{line["step"]: line[key] for line in log if key in line} for log in logs]
    steps = sorted(set.intersection(*map(set, by_step)))
    if not steps:
        return None
    values = np.array([[each[step] for step in steps] for each in by_step], dtype=np.float64)
    return Curve(np.array(steps, dtype=np.float64), values.mean(0), values.min(0), values.max(0))
