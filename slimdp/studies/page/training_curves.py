"""How the rows of a study learned, from what their runs logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from slimdp.report.plots import Curve, training_plot
from slimdp.studies import PlannedRun
from slimdp.studies.page.page_parts import PagePicture, csv_bytes
from slimdp.studies.page.sources import SweptStudy
from slimdp.training.run_folder import read_metrics

#: What is drawn where a run logged it: scores on held-out people, else the loss that all rows have in common.
_SCORE = "validation/localization 10cm"
_SCORED = "Points within 10 cm on people who are not trained on (localization only)."
_LOSS = (
    "Cross entropy of the parts at labelled points, of the last stack: a loss that all rows have, on each "
    "row's own training labels: lower is not better between rows with other labels."
)


def training_pictures(swept: SweptStudy) -> list[PagePicture]:
    """A chart for each row that has logs: mean and range over the seeds, its baseline in grey."""
    logs = {name: _logs(swept, name) for name in swept.study.names}
    logs = {name: of_row for name, of_row in logs.items() if of_row}
    key = (
        _SCORE
        if all(any(_SCORE in line for line in log) for of_row in logs.values() for log in of_row)
        else ""
    )
    curves = {name: _curve(of_row, key or _part_loss(of_row)) for name, of_row in logs.items()}
    drawn = {name: curve for name, curve in curves.items() if curve is not None}
    limits = _limits(drawn.values())
    return [_picture(swept, name, drawn, bool(key), limits) for name in drawn]


def _limits(curves: Iterable[Curve]) -> tuple[float, float]:
    """Of the upright axis of all charts, with a little room."""
    low = min((float(curve.low.min()) for curve in curves), default=0.0)
    high = max((float(curve.high.max()) for curve in curves), default=1.0)
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _picture(
    swept: SweptStudy, name: str, curves: Mapping[str, Curve], scored: bool, limits: tuple[float, float]
) -> PagePicture:
    title = "points within 10 cm, %" if scored else "loss of the parts"
    baseline = swept.baseline_of(name)
    curve, other = curves[name], None if name == baseline else curves.get(baseline)
    stages = swept.runs[name, swept.study.seeds[0]].config.stages
    begins = np.cumsum([stage.steps for stage in stages])[:-1].tolist()
    chart = training_plot(curve, other, title, begins, limits)
    rows = list(zip(curve.x.tolist(), curve.y.tolist(), curve.low.tolist(), curve.high.tolist()))
    return PagePicture(
        name=f"{swept.key}_training_{name}",
        title=name,
        alt=f"{title} of {name} over {curve.x[-1]:.0f} steps: from {curve.y[0]:.2f} to {curve.y[-1]:.2f}",
        kind="image/svg+xml",
        data=chart.svg,
        caption=_SCORED if scored else _LOSS,
        files={".png": chart.png, ".csv": csv_bytes(["step", "mean", "least", "most"], rows)},
    )


def _logs(swept: SweptStudy, row: str) -> list[list[dict[str, Any]]]:
    """The logged lines of each seed that is done: of all stages beside the row's result, else (of an older
    sweep) where these were trained."""
    logs = []
    for seed in sorted({result.seed for result in swept.results if result.row == row}):
        folder = swept.folder_of(row, seed)
        if folder is not None:
            run: PlannedRun = swept.runs[row, seed]
            own, *stages = [each.place(folder) / "metrics.jsonl" for each in (run, *run.before)]
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
