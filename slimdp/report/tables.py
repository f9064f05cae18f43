"""Tables of scores and of clicks as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimdp.config import ClickCosts
from slimdp.data.clicks import count_clicks
from slimdp.structures import PersonAnnotation

if TYPE_CHECKING:
    from slimdp.evaluation.point_report import GroupScores
    from slimdp.evaluation.several_annotators import ErrorRow
    from slimdp.evaluation.stability import StabilityCount

#: Columns of scores by their name in scores.json, where it is not the threshold itself.
TITLES = {"auc10": "AUC10", "auc30": "AUC30"}
_KINDS = {
    "points": "points with (u, v)",
    "parts": "points with a part alone",
    "masks": "outlines of coarse parts",
    "boxes": "boxes",
}
_SIMILARITIES = {"gps": "GPS", "gpsm": "GPSm", "iou": "IoU of masks"}


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over seeds; no deviation of a single one."""

    mean: float
    deviation: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def text(self, sign: str = "", form: str = ".1f") -> str:
        """ "62.3 ± 1.4"; with sign "+" also of positive numbers."""
        spread = "" if self.deviation is None else f" ± {self.deviation:{form}}"
        mean = f"{self.mean:{sign}{form}}"
        # What rounds to nothing has no sign.
        return f"{mean if float(mean) else mean.lstrip('+-')}{spread}"


def score_table(rows: Mapping[str, Sequence[Mapping[str, float]]], markdown: bool = False) -> str:
    """Scores of variants as text, one decimal.

    Args:
        rows: variant -> the scores of each seed in percent, a form of `summarize`: "5cm", ..., "auc30".
        markdown: a Markdown table; else columns padded with spaces.

    Returns:
        lines; "62.3 ± 1.4" is mean and standard deviation of several seeds (n - 1), "62.3" a single one.

    Raises:
        ValueError: no row, a row without seeds, or scores with other columns than the first row's.
    """
    if not rows or not all(rows.values()):
        counts = {name: len(seeds) for name, seeds in rows.items()}
        raise ValueError(f"a table needs scores in every row, but these rows have seeds: {counts}")
    columns = list(next(iter(rows.values()))[0])
    for name, seeds in rows.items():
        for scores in seeds:
            if list(scores) != columns:
                raise ValueError(f"row {name!r} has the columns {list(scores)}, but the first row {columns}")
    header = ["", *map(_title, columns)]
    body = [
        [name, *(Spread.of([s[column] for s in seeds]).text() for column in columns)]
        for name, seeds in rows.items()
    ]
    if any(len(seeds) > 1 for seeds in rows.values()):
        header.append("seeds")
        body = [[*line, str(len(seeds))] for line, seeds in zip(body, rows.values())]
    return format_table(header, body, markdown)


def error_table(rows: Sequence[ErrorRow]) -> str:
    """Errors in centimetres as text, a line a row; "-" where no point has a finite one."""
    body = [
        [
            row.name,
            str(row.count),
            *(
                "-" if value is None else f"{value:.1f}"
                for value in (row.median_cm, row.mean_cm, row.worst_cm)
            ),
            str(row.lost),
        ]
        for row in rows
    ]
    return format_table(["", "points", "median cm", "mean cm", "95 % within", "nowhere"], body)


def instance_table(instances: Mapping[str, Mapping[str, float | None]], markdown: bool = False) -> str:
    """Average precision and recall by similarity; "-" where no truth is of that size."""
    if not instances:
        raise ValueError("a table of instances needs at least one similarity")
    columns = list(next(iter(instances.values())))
    body = []
    for name, scores in instances.items():
        cells = ["-" if scores[c] is None else f"{scores[c]:.1f}" for c in columns]
        body.append([_SIMILARITIES.get(name, name), *cells])
    return format_table(["", *columns], body, markdown)


def format_table(header: Sequence[str], body: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Lay out cells: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def lay_out(cells: Sequence[str], between: str) -> str:
        padded = [cells[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells[1:], widths[1:]))]
        return between.join(padded)

    if not markdown:
        lines = [lay_out(line, "  ").rstrip() for line in [header, *body]]
        return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])
    rule = "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])])
    first, *lines = [f"| {lay_out(line, ' | ')} |" for line in [header, *body]]
    return "\n".join([first, f"|{rule}|", *lines])


def _title(column: str) -> str:
    return TITLES.get(column, column.replace("cm", " cm"))


def interval_table(
    rows: Mapping[str, tuple[GroupScores, str]],
    more: Mapping[str, Mapping[str, float]] | None = None,
    markdown: bool = False,
) -> str:
    """Scores with their intervals as text, one decimal: "62.3 (60.1-64.4)".

    Args:
        rows: name -> scores and which form of them, "full" or "localization".
        more: rows without intervals, to compare with: name -> "5cm", ... in percent; "-" for other columns.
        markdown: a Markdown table; else columns padded with spaces.

    Raises:
        ValueError: no row, or scores with other columns than the first row's.
    """
    if not rows:
        raise ValueError("a table of points needs at least one row")
    found = {name: scores.as_json() for name, (scores, _) in rows.items()}
    columns = list(next(iter(found.values()))["full"])
    body = []
    for name, (_, form) in rows.items():
        values, intervals = found[name][form], found[name]["intervals"]
        if list(values) != columns:
            raise ValueError(f"row {name!r} has the columns {list(values)}, but the first row {columns}")
        cells = [f"{values[c]:.1f}" for c in columns]
        if intervals is not None:
            ends = (intervals[form][c] for c in columns)
            cells = [f"{cell} ({low:.1f}-{high:.1f})" for cell, (low, high) in zip(cells, ends)]
        body.append([name, *cells, str(found[name]["count"])])
    for name, others in (more or {}).items():
        body.append([name, *(f"{others[c]:.1f}" if c in others else "-" for c in columns), ""])
    return format_table(["", *map(_title, columns), "points"], body, markdown)


def keypoint_table(
    rows: Sequence[tuple[str, Mapping[str, float | int | None]]], markdown: bool = False
) -> str:
    """Scores of keypoints by name, one decimal; "-" where there is nothing to measure."""
    columns = list(rows[0][1])

    def told(value: float | int | None) -> str:
        if value is None:
            return "-"
        return f"{value:.1f}" if isinstance(value, float) else str(value)

    body = [[name, *(told(scores[c]) for c in columns)] for name, scores in rows]
    return format_table(["", *map(_title, columns)], body, markdown)


def stability_table(counts: Mapping[str, StabilityCount], markdown: bool = False) -> str:
    """Jumping and lost pixels by video, with the persons and pixels they were counted on."""
    if not counts:
        raise ValueError("a table of stability needs at least one video")
    body = []
    for video, count in counts.items():
        found = count.in_percent()
        cells = ["-" if found[k] is None else f"{found[k]:.2f}" for k in ("moved", "lost")]
        body.append([video, *cells, str(count.pairs), str(count.propagated)])
    return format_table(["", "jump", "lost", "person-pairs", "pixels"], body, markdown)


def clicks_table(people: Mapping[str, Sequence[PersonAnnotation]], costs: ClickCosts) -> str:
    """Labels by kind, their sum and an annotator's hours, a column for each set of people.

    Keypoints, which dense pose does not need, stand apart, with the hours that it takes with them and with
    the boxes of those who have nothing else.
    """
    dense = {name: count_clicks(each, keypoints=False) for name, each in people.items()}
    every = {name: count_clicks(each) for name, each in people.items()}
    labelled = {name: [p for p in each if p.has_labels] for name, each in people.items()}
    body = [
        ["labelled pictures", "", *(str(len({p.image.id for p in each})) for each in labelled.values())],
        ["labelled people", "", *(str(len(each)) for each in labelled.values())],
    ]
    for kind, name in _KINDS.items():
        counts = (str(getattr(clicks, kind)) for clicks in dense.values())
        body.append([name, f"{getattr(costs, kind):g} s", *counts])
    body.append(["clicks", "", *(str(clicks.total) for clicks in dense.values())])
    body.append(["hours", "", *(f"{clicks.seconds(costs) / 3600:.1f}" for clicks in dense.values())])
    if any(clicks.keypoints for clicks in every.values()):
        body.append(["keypoints", f"{costs.keypoints:g} s", *(str(c.keypoints) for c in every.values())])
        hours = (f"{clicks.seconds(costs) / 3600:.1f}" for clicks in every.values())
        body.append(["hours with keypoints", "", *hours])
    return format_table(["", "each", *people], body)
