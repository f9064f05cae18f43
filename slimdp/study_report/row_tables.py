"""The tables of a study as the page shows them, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimdp.study_report.page_parts import Cell, PageTable, csv_bytes
from slimdp.study_report.setting_lines import setting_lines
from slimdp.study_report.sources import SweptStudy
from slimdp.sweep import RunResult
from slimdp.sweep.results import duration
from slimdp.sweep.study import COLUMNS
from slimdp.sweep.table import Spread, TableRow, flat_rows

_NO_PAPER = " The paper gives none of this table."
_TITLES = tuple(column.replace("cm", " cm") for column in COLUMNS)


def score_table(swept: SweptStudy, on: str = "", full: bool = False) -> PageTable:
    """Scores of all rows on one of the sets, those that are missing too, with their spread over the seeds."""
    rows = {row.name: row for row in swept.rows(full, on)}
    best = {c: max((row.scores[c].mean for row in rows.values()), default=None) for c in COLUMNS}
    theirs = swept.paper(on, full)
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
        title=f"{'Full scores' if full else 'Scores, localization only'}{_on(on)}",
        caption=f"Points found within a distance along the body, percent; {form}. Mean and standard "
        f"deviation over the seeds, the best in bold.{_NO_PAPER if full and not theirs else ''}",
        groups=(("here", 4), ("paper", 3)) if theirs else (("here", 4),),
        columns=("row", *_TITLES, "seeds", *(_TITLES if theirs else ())),
        rows=tuple(body),
    )


def gain_table(swept: SweptStudy, on: str = "") -> PageTable | None:
    """What each row gains over the baseline, seed by seed; None where no row can be compared."""
    baseline = swept.baseline
    compared = [row for row in swept.rows(on=on) if row.gains]
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
        title=f"Gained over {baseline}{_on(on)}",
        caption="Percentage points; mean and standard deviation of the differences seed by seed.",
        groups=(("here", 3), ("paper", 3)) if paper else (("here", 3),),
        columns=("row", *_TITLES, *(_TITLES if paper else ())),
        rows=tuple(body),
    )


def cost_table(swept: SweptStudy) -> PageTable:
    """What the rows took, how much they saw, and what their labels cost."""
    counted = any(result.clicks is not None for result in swept.results)
    body = []
    for name in swept.study.names:
        results = [result for result in swept.results if result.row == name]
        if results:
            scoring, training = (
                Spread.of(seconds).mean
                for seconds in ([r.seconds for r in results], [r.shared_seconds for r in results])
            )
            stages = swept.runs[name, results[0].seed].config.stages
            crops = sum(stage.steps * stage.batch for stage in stages)
            cells = [str(len(results)), duration(scoring), duration(training), f"{crops:,}"]
            clicks, hours = mean_clicks(results), mean_hours(results)
            cells += ["" if clicks is None else f"{clicks:,.0f}"] * counted
            cells += ["" if hours is None else f"{hours:.1f}"] * counted
            body.append((name, tuple(map(Cell, cells))))
    return PageTable(
        title="Row by row",
        caption="Of a run, mean over the seeds. Scoring: predicting and measuring the people of the "
        "evaluation. Training, its share: the time of each of its stages, divided by the number of rows of "
        "the study that have the stage, which is trained once for all of them.",
        groups=(),
        columns=(
            "row", "seeds", "scoring", "training, its share",
            "crops seen\nsecond pictures of pairs not counted",
            *(("clicks", "annotator hours") if counted else ()),
        ),
        rows=tuple(body),
    )  # fmt: skip


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
    """How the rows' settings differ from the baseline's."""
    seed = swept.study.seeds[0]
    first = swept.runs[swept.baseline, seed].config
    body = [
        (name, (Cell("\n".join(setting_lines(first, swept.runs[name, seed].config))),))
        for name in swept.study.names
        if name != swept.baseline
    ]
    return PageTable(
        title=f"Settings that differ from those of {swept.baseline}",
        caption=f"key: of {swept.baseline} \u2192 of the row; stages by their names, \u2013 is not there",
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
    header = [
        "row", "seed", "seconds", "shared_seconds", "clicks", "annotator_seconds", "machine", "commit",
    ]  # fmt: skip
    return csv_bytes(header, [[getattr(result, name) for name in header] for result in swept.results])


def _signed(gains: Mapping[str, float], column: str) -> str:
    return f"{gains[column]:+.2f}" if column in gains else ""


def _on(name: str) -> str:
    return f", on {name}" if name else ""
