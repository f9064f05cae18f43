"""Tables of scores: one row a variant, each number the mean over the seeds and its spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

#: Columns of scores by their name in scores.json, where it is not the threshold itself.
TITLES = {"auc10": "AUC10", "auc30": "AUC30"}
_SIMILARITIES = {"gps": "GPS", "gpsm": "GPSm", "iou": "IoU of masks"}


def score_table(rows: Mapping[str, Sequence[Mapping[str, float]]], markdown: bool = False) -> str:
    """Scores of variants as text, one decimal.

    Args:
        rows: variant -> the scores of each seed in percent, `FormScores.in_percent()`: "5cm", ..., "auc30".
        markdown: a Markdown table; else columns padded with spaces.

    Returns:
        lines; "62.3 ± 1.4" is mean and standard deviation of several seeds (n - 1), "62.3" a single one.

    Raises:
        ValueError: no row, a row without seeds, or scores with other columns than the first row's.
    """
    if not rows or not all(rows.values()):
        raise ValueError(f"a table needs scores in every row, but these rows have seeds: {_seeds(rows)}")
    columns = list(next(iter(rows.values()))[0])
    for name, seeds in rows.items():
        for scores in seeds:
            if list(scores) != columns:
                raise ValueError(f"row {name!r} has the columns {list(scores)}, but the first row {columns}")
    seeds_column = any(len(seeds) > 1 for seeds in rows.values())
    header = ["", *(TITLES.get(column, column.replace("cm", " cm")) for column in columns)]
    body = [
        [name, *(_cell([s[column] for s in seeds]) for column in columns)] for name, seeds in rows.items()
    ]
    if seeds_column:
        header.append("seeds")
        for line, seeds in zip(body, rows.values()):
            line.append(str(len(seeds)))
    return format_table(header, body, markdown)


def instance_table(instances: Mapping[str, Mapping[str, float | None]], markdown: bool = False) -> str:
    """Average precision and recall by similarity, `score_instances`; "-" where no truth is of that size."""
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
    return "\n".join(
        [f"| {lay_out(header, ' | ')} |", f"|{rule}|", *(f"| {lay_out(b, ' | ')} |" for b in body)]
    )


def _cell(values: Sequence[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.1f} ± {statistics.stdev(values):.1f}" if len(values) > 1 else f"{mean:.1f}"


def _seeds(rows: Mapping[str, Sequence[object]]) -> dict[str, int]:
    return {name: len(seeds) for name, seeds in rows.items()}
