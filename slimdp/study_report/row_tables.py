"""The tables of a study as the page shows them, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimdp.study_report.page_parts import Cell, PageTable, csv_bytes
from slimdp.study_report.sources import SweptStudy
from slimdp.sweep.results import duration
from slimdp.sweep.study import COLUMNS
from slimdp.sweep.table import Spread, TableRow, flat_rows

_TITLES = tuple(column.replace("cm", " cm") for column in COLUMNS)


def score_table(swept: SweptStudy, full: bool = False) -> PageTable:
    """Scores of all rows, those that are missing too, with their spread over the seeds and the paper's."""
    rows = {row.name: row for row in swept.rows(full)}
    best = {c: max((row.scores[c].mean for row in rows.values()), default=None) for c in COLUMNS}
    theirs = {} if full else swept.study.paper
    body = []
    for name in swept.study.names:
        cells = [Cell()] * (len(COLUMNS) + 1)
        if name in rows:
            row = rows[name]
            cells = [Cell(row.scores[c].text(), row.scores[c].mean == best[c]) for c in COLUMNS]
            cells.append(Cell(str(len(row.seeds))))
        paper = theirs.get(name, {})
        cells += [Cell(f"{paper[c]:.2f}" if c in paper else "") for c in COLUMNS if theirs]
        body.append((name, tuple(cells)))
    form = (
        "a pixel that the network calls background is wrong"
        if full
        else "the best of the 24 parts counts everywhere"
    )
    return PageTable(
        title="Full scores" if full else "Scores, localization only",
        caption=f"Points found within a distance along the body, percent; {form}. Mean and standard "
        "deviation over the seeds, the best in bold.",
        groups=(("here", 4), ("paper", 3)) if theirs else (("here", 4),),
        columns=("row", *_TITLES, "seeds", *(_TITLES if theirs else ())),
        rows=tuple(body),
    )


def gain_table(rows: Sequence[TableRow], baseline: str) -> PageTable | None:
    """What each row gains over the baseline, seed by seed; None where no row can be compared."""
    compared = [row for row in rows if row.gains]
    if not compared:
        return None
    best = {column: max(row.gains[column].mean for row in compared) for column in COLUMNS}
    paper = any(row.paper_gains for row in compared)
    body = []
    for row in compared:
        cells = [Cell(row.gains[c].text("+"), row.gains[c].mean == best[c]) for c in COLUMNS]
        cells += [Cell(_signed(row.paper_gains, c)) for c in COLUMNS if paper]
        body.append((row.name, tuple(cells)))
    return PageTable(
        title=f"Gained over {baseline}",
        caption="Percentage points; mean and standard deviation of the differences seed by seed.",
        groups=(("here", 3), ("paper", 3)) if paper else (("here", 3),),
        columns=("row", *_TITLES, *(_TITLES if paper else ())),
        rows=tuple(body),
    )


def cost_table(swept: SweptStudy) -> PageTable:
    """What the rows took, and how much they saw."""
    body = []
    for name in swept.study.names:
        results = [result for result in swept.results if result.row == name]
        if results:
            own = Spread.of([result.seconds for result in results]).mean
            shared = Spread.of([result.shared_seconds for result in results]).mean
            stages = swept.runs[name, results[0].seed].config.stages
            crops = sum(stage.steps * stage.batch for stage in stages)
            cells = [str(len(results)), duration(own), duration(shared), f"{crops:,}"]
            body.append((name, tuple(map(Cell, cells))))
    return PageTable(
        title="Row by row",
        caption="Cost of a run, mean over the seeds: a process of its own trains and scores it; of stages "
        "that rows have in common each bears its share.",
        groups=(),
        columns=("row", "seeds", "alone", "in common", "crops seen"),
        rows=tuple(body),
    )


def settings_table(swept: SweptStudy) -> PageTable:
    """How the rows' settings differ from the baseline's."""
    body = [
        (name, (Cell("; ".join(swept.differences(name))),))
        for name in swept.study.names
        if name != swept.baseline
    ]
    return PageTable(
        title=f"Settings that differ from those of {swept.baseline}",
        caption=f"key: of {swept.baseline}, of the row",
        groups=(),
        columns=("row", "settings"),
        rows=tuple(body),
    )


def scores_csv(rows: Sequence[TableRow]) -> bytes:
    """All numbers of the scores and the gains, a line a row."""
    flat = flat_rows(rows)
    return csv_bytes(list(flat[0]), [list(cells.values()) for cells in flat])


def cost_csv(swept: SweptStudy) -> bytes:
    """Seconds, machine and commit of every run."""
    header = ["row", "seed", "seconds", "shared_seconds", "machine", "commit"]
    return csv_bytes(header, [[getattr(result, name) for name in header] for result in swept.results])


def _signed(gains: Mapping[str, float], column: str) -> str:
    return f"{gains[column]:+.2f}" if column in gains else ""
