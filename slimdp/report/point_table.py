"""Tables of points with the intervals of their scores."""

from __future__ import annotations

from collections.abc import Mapping

from slimdp.evaluation.point_report import GroupScores
from slimdp.evaluation.stability import StabilityCount
from slimdp.report.table import TITLES, format_table


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
    found = {name: scores.in_percent() for name, (scores, _) in rows.items()}
    columns = list(next(iter(found.values()))["full"])
    body = []
    for name, (_, form) in rows.items():
        values, intervals = found[name][form], found[name]["intervals"]
        if list(values) != columns:
            raise ValueError(f"row {name!r} has the columns {list(values)}, but the first row {columns}")
        cells = [_cell(values[c], None if intervals is None else intervals[form][c]) for c in columns]
        body.append([name, *cells, str(found[name]["count"])])
    for name, others in (more or {}).items():
        body.append([name, *(f"{others[c]:.1f}" if c in others else "-" for c in columns), ""])
    titles = [TITLES.get(column, column.replace("cm", " cm")) for column in columns]
    return format_table(["", *titles, "points"], body, markdown)


def _cell(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.1f}" if interval is None else f"{value:.1f} ({interval[0]:.1f}-{interval[1]:.1f})"


def stability_table(counts: Mapping[str, StabilityCount], markdown: bool = False) -> str:
    """Jumping and lost pixels by video, with the persons and pixels they were counted on."""
    if not counts:
        raise ValueError("a table of stability needs at least one video")
    body = []
    for video, count in counts.items():
        found = count.in_percent()
        cells = ["-" if found[k] is None else f"{found[k]:.2f}" for k in ("moved", "lost")]
        body.append([video, *cells, str(count.pairs), str(count.carried)])
    return format_table(["", "jump", "lost", "person-pairs", "pixels"], body, markdown)
