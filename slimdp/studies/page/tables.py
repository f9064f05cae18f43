"""The tables of a study as the page shows them, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from slimdp.config import Settings, TrainConfig
from slimdp.report.tables import Spread
from slimdp.studies.records import RunResult
from slimdp.studies.results import TableRow, duration, flat_rows, heading
from slimdp.studies.settings import Scores
from slimdp.studies.swept import SweptStudy

_NOT_THERE = "\u2013"


class Cell(NamedTuple):
    """A cell of a table."""

    text: str = _NOT_THERE
    best: bool = False  # of its column


#: A heading over all columns, "" for none, and the rows below it: name and cells of each.
TableBody = tuple[str, tuple[tuple[str, tuple[Cell, ...]], ...]]


class PageTable(NamedTuple):
    """A table: the first column names the rows."""

    title: str
    caption: str
    spans: tuple[tuple[str, int], ...]  # titles over some columns each, the first column left out
    columns: tuple[str, ...]  # the first one's too; a second line stands smaller below, of rows' names too
    bodies: tuple[TableBody, ...]


def score_table(swept: SweptStudy, on: str = "", full: bool = False) -> PageTable:
    """Scores of all rows on one of the sets, those that are missing too, with their spread over the seeds."""
    rows, paper = swept.rows(full, on), swept.study.paper(on, full)
    points = all(each.score.startswith("points.localization.") for each in swept.study.columns.values())
    title, caption = "Scores", "Of the averaged weights of each run's last stage."
    if points:
        title, form = "Scores, localization only", "the best of all parts counts everywhere"
        if full:
            form = "a pixel that the network calls background is wrong"
        caption = f"Points found within a distance along the body, percent; {form}."
    no_paper = " The paper gives none of this table." if full and not paper else ""
    return _beside_paper(
        swept,
        f"{'Full scores' if full else title}{f', on {on}' * bool(on)}",
        f"{caption} Mean and standard deviation over the seeds, the best{_each(swept)} in bold.{no_paper}",
        {**{name: {} for name in swept.study.names}, **{row.name: row.scores for row in rows}},
        paper,
        seeds={row.name: len(row.seeds) for row in rows},
    )


def gain_table(swept: SweptStudy, on: str = "") -> PageTable | None:
    """What each row gains over its baseline, seed by seed; None where no row can be compared."""
    compared = [row for row in swept.rows(on=on) if row.gains]
    if not compared:
        return None
    one = len(swept.baselines) == 1
    over = swept.study.told_apart[swept.baselines[0]] if one else "the baseline of the group"
    percent = all(each.unit == "%" for each in swept.study.columns.values())
    spread = f"{'Percentage points; mean' if percent else 'Mean'} and standard deviation of the differences"
    return _beside_paper(
        swept,
        f"Gained over {over}{f', on {on}' * bool(on)}",
        f"{spread} seed by seed, the best{_each(swept)} in bold.",
        {row.name: row.gains for row in compared},
        {row.name: row.paper_gains for row in compared if row.paper_gains},
        sign="+",
    )


def _beside_paper(
    swept: SweptStudy,
    title: str,
    caption: str,
    ours: Mapping[str, Mapping[str, Spread]],
    paper: Scores,
    sign: str = "",
    seeds: Mapping[str, int] | None = None,
) -> PageTable:
    """Numbers of rows by column, the best of each group's rows marked, and the paper's where it has any."""
    columns, cells = swept.study.columns, {}
    for group in swept.groups:
        names = [name for name in group.rows if name in ours]
        known = [ours[name] for name in names if ours[name]]
        best: dict[str, float | None] = {}
        for c, column in columns.items():
            means = [spreads[c].mean for spreads in known if c in spreads]
            best[c] = column.best(means) if len(known) > 1 and means else None
        for name in names:
            spreads, theirs = ours[name], paper.get(name, {})
            cells[name] = [
                Cell(spreads[c].text(sign, column.form), spreads[c].mean == best[c])
                if c in spreads
                else Cell()
                for c, column in columns.items()
            ]
            if seeds is not None:
                cells[name].append(Cell(str(seeds[name])) if name in seeds else Cell())
            cells[name] += [Cell(f"{theirs[c]:{sign}.2f}" if c in theirs else "") for c in columns if paper]
    titles = tuple(column.heading for column in columns.values())
    here = titles if seeds is None else (*titles, "seeds")
    spans = (("here", len(here)), *([("paper", len(titles))] if paper else ()))
    header = ("row", *here, *(titles if paper else ()))
    return PageTable(title, caption, spans, header, _bodies(swept, cells, "over" if sign else ""))


def _each(swept: SweptStudy) -> str:
    return " of each group" if len(swept.groups) > 1 else ""


def cost_table(swept: SweptStudy) -> PageTable:
    """What the rows took, how much they saw, and what their labels cost."""
    counted = any(result.clicks is not None for result in swept.results)
    cells = {}
    for name in swept.study.names:
        results = [result for result in swept.results if result.row == name]
        if results:
            times = [fmean(r.seconds for r in results), fmean(r.shared_seconds for r in results)]
            stages = swept.runs[name, results[0].seed].config.stages
            crops = sum(stage.steps * stage.batch for stage in stages)
            clicks, hours = label_costs(results)
            own = [str(len(results)), *map(duration, times), f"{crops:,}"]
            own += ["" if clicks is None else f"{clicks:,.0f}"] * counted
            own += ["" if hours is None else f"{hours:.1f}"] * counted
            cells[name] = list(map(Cell, own))
    crops_seen = "crops seen\nsecond pictures of pairs not counted"
    labels = ("clicks", "annotator hours") if counted else ()
    return PageTable(
        "Row by row",
        "Of a run, mean over the seeds. Scoring: predicting and measuring the people of the "
        "evaluation. Training, its share: the time of each of its stages, divided by the number of rows of "
        "the study that have the stage, which is trained once for all of them.",
        (),
        ("row", "seeds", "scoring", "training, its share", crops_seen, *labels),
        _bodies(swept, cells),
    )


def _bodies(swept: SweptStudy, cells: Mapping[str, Sequence[Cell]], over: str = "") -> tuple[TableBody, ...]:
    """The rows that have cells, below a heading for each group that has a title and such rows; below a row's
    title its name."""
    titles = swept.study.titles
    bodies = []
    for group in swept.groups:
        named = [
            ("\n".join(dict.fromkeys([titles[name], name])), name) for name in group.rows if name in cells
        ]
        if named:
            rows = tuple((words, tuple(cells[name])) for words, name in named)
            bodies.append((heading(group, swept.groups, swept.study.told_apart, over), rows))
    return tuple(bodies)


def label_costs(results: Sequence[RunResult]) -> tuple[float | None, float | None]:
    """Clicks and hours of annotators behind a row's labels, mean over the seeds, whose budgets may have drawn
    others; None where they were not counted."""
    clicks = [result.clicks for result in results if result.clicks is not None]
    seconds = [result.annotator_seconds for result in results if result.annotator_seconds is not None]
    hours = sum(seconds) / len(seconds) / 3600 if seconds else None
    return sum(clicks) / len(clicks) if clicks else None, hours


def settings_table(swept: SweptStudy) -> PageTable:
    """How the settings of each row differ from its baseline's, and those of the baselines from the first."""
    seed, first = swept.study.seeds[0], swept.baselines[0]
    told = swept.study.told_apart[first]
    cells = {}
    for name in swept.study.names:
        other = first if name in swept.baselines else swept.baseline_of(name)
        lines = setting_lines(swept.runs[other, seed].config, swept.runs[name, seed].config)
        if name != first:
            cells[name] = [Cell("\n".join([f"beside {told}:", *lines] if name in swept.baselines else lines))]
    several = len(swept.baselines) > 1
    return PageTable(
        f"Settings that differ from those of {'the baseline of the group' if several else told}",
        f"key: of {'the baseline' if several else told} \u2192 of the row; stages by their names, "
        f"{_NOT_THERE} is not there",
        (),
        ("row", "settings"),
        _bodies(swept, cells, "beside"),
    )


def scores_csv(swept: SweptStudy, rows: Sequence[TableRow]) -> bytes:
    """All numbers of the scores and the gains, a line a row."""
    flat = flat_rows(rows, swept.study.columns, swept.study.titles)
    return csv_bytes(list(flat[0]), [list(cells.values()) for cells in flat])


def cost_csv(swept: SweptStudy) -> bytes:
    """Seconds, machine and commit of every run."""
    header = ["row", "seed", "seconds", "shared_seconds", "clicks", "annotator_seconds", "machine", "commit"]
    return csv_bytes(header, [[getattr(result, name) for name in header] for result in swept.results])


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
