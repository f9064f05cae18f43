"""The tables of a study as the page shows them, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimdp.studies import RunResult
from slimdp.studies.groups import heading
from slimdp.studies.page.page_parts import Cell, PageTable, TableBody, csv_bytes
from slimdp.studies.page.setting_lines import setting_lines
from slimdp.studies.page.sources import SweptStudy
from slimdp.studies.results import duration
from slimdp.studies.study import COLUMNS
from slimdp.studies.table import Spread, TableRow, flat_rows

_NO_PAPER = " The paper gives none of this table."
_TITLES = tuple(column.replace("cm", " cm") for column in COLUMNS)


def score_table(swept: SweptStudy, on: str = "", full: bool = False) -> PageTable:
    """Scores of all rows on one of the sets, those that are missing too, with their spread over the seeds."""
    rows = {row.name: row for row in swept.rows(full, on)}
    theirs = swept.paper(on, full)
    cells = {}
    for group in swept.groups:
        best = _best([rows[name].scores for name in group.rows if name in rows])
        for name in group.rows:
            own = [Cell()] * (len(COLUMNS) + 1)
            if name in rows:
                row = rows[name]
                own = [Cell(row.scores[c].text(), row.scores[c].mean == best[c]) for c in COLUMNS]
                own.append(Cell(str(len(row.seeds))))
            paper = theirs.get(name, {})
            own += [Cell(f"{paper[c]:.2f}" if c in paper else "") for c in COLUMNS if theirs]
            cells[name] = own
    form = (
        "a pixel that the network calls background is wrong"
        if full
        else "the best of all parts counts everywhere"
    )
    return PageTable(
        title=f"{'Full scores' if full else 'Scores, localization only'}{_on(on)}",
        caption=f"Points found within a distance along the body, percent; {form}. Mean and standard "
        f"deviation over the seeds, the best{_each(swept)} in bold."
        f"{_NO_PAPER if full and not theirs else ''}",
        spans=(("here", 4), ("paper", 3)) if theirs else (("here", 4),),
        columns=("row", *_TITLES, "seeds", *(_TITLES if theirs else ())),
        bodies=_bodies(swept, cells),
    )


def gain_table(swept: SweptStudy, on: str = "") -> PageTable | None:
    """What each row gains over its baseline, seed by seed; None where no row can be compared."""
    compared = {row.name: row for row in swept.rows(on=on) if row.gains}
    if not compared:
        return None
    paper = any(row.paper_gains for row in compared.values())
    cells = {}
    for group in swept.groups:
        known = [compared[name] for name in group.rows if name in compared]
        best = _best([row.gains for row in known])
        for row in known:
            own = [Cell(row.gains[c].text("+"), row.gains[c].mean == best[c]) for c in COLUMNS]
            cells[row.name] = own + [Cell(_signed(row.paper_gains, c)) for c in COLUMNS if paper]
    over = swept.baselines[0] if len(swept.baselines) == 1 else "the baseline of the group"
    return PageTable(
        title=f"Gained over {over}{_on(on)}",
        caption="Percentage points; mean and standard deviation of the differences seed by seed"
        f", the best{_each(swept)} in bold.",
        spans=(("here", 3), ("paper", 3)) if paper else (("here", 3),),
        columns=("row", *_TITLES, *(_TITLES if paper else ())),
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
    name what it is, as far as the study says."""
    about = swept.study.about
    bodies = []
    for group in swept.groups:
        rows = tuple(
            ("\n".join([name, about[name]] if name in about else [name]), tuple(cells[name]))
            for name in group.rows
            if name in cells
        )
        if rows:
            bodies.append(TableBody(heading(group, swept.groups, over), rows))
    return tuple(bodies)


def _best(spreads: Sequence[Mapping[str, Spread]]) -> dict[str, float | None]:
    """The highest mean of several rows, by column; of one row alone, none."""
    return {c: max(each[c].mean for each in spreads) if len(spreads) > 1 else None for c in COLUMNS}


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
    cells = {}
    for name in swept.study.names:
        other = first if name in swept.baselines else swept.baseline_of(name)
        lines = setting_lines(swept.runs[other, seed].config, swept.runs[name, seed].config)
        if name != first:
            cells[name] = [
                Cell("\n".join([f"beside {first}:", *lines] if name in swept.baselines else lines))
            ]
    several = len(swept.baselines) > 1
    return PageTable(
        title=f"Settings that differ from those of {'the baseline of the group' if several else first}",
        caption=f"key: of {'the baseline' if several else first} \u2192 of the row; stages by their names, "
        "\u2013 is not there",
        spans=(),
        columns=("row", "settings"),
        bodies=_bodies(swept, cells, "beside"),
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
