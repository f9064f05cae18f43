"""The scores of a study: their file, and their table, means and spreads over the seeds beside the paper's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flow_cache.runtime.atomic import write_bytes, write_text
from flow_cache.runtime.json_file import parse_json, read_json_bytes
from flow_cache.runtime.words import listed
from slimdp.config import ConfigError
from slimdp.report.tables import Spread
from slimdp.studies.records import Failure, RunResult
from slimdp.studies.settings import COLUMNS, ColumnSettings, RowGroup, Scores

#: What a sweep writes its scores to, unless told otherwise: a run a line.
SCORES = "scores.jsonl"


class SweepSummary(NamedTuple):
    """What a sweep left."""

    results: tuple[RunResult, ...]  # of all runs of the study that are done, seed by seed
    failures: dict[str, Failure]  # by run
    blocked: tuple[str, ...]  # runs that could not begin for a failure
    left: tuple[str, ...] = ()  # runs that jobs did not come to before they ended


def save_scores(file: Path, results: Iterable[RunResult]) -> None:
    """Write scores, whole or not at all."""
    write_text(file, "".join(json.dumps(result.plain()) + "\n" for result in results))


def keep_before(file: Path, content: bytes) -> Path:
    """Keep what a file of scores held, beside it: in FILE.before, or FILE.before_2 and so on where there are
    others; one that holds the same will do. Returns its name."""
    number, copy = 1, file.with_name(f"{file.name}.before")
    while copy.exists() and copy.read_bytes() != content:
        number += 1
        copy = file.with_name(f"{file.name}.before_{number}")
    if not copy.exists():
        write_bytes(copy, content)
    return copy


def read_scores(places: Sequence[Path]) -> list[RunResult]:
    """The scores in files, or in folders of sweeps.

    Raises:
        ConfigError: a file that is missing or holds something else, or two results for one row and seed.
    """
    found: dict[tuple[str, int], RunResult] = {}
    for place in places:
        file = place / SCORES if place.is_dir() else place
        if not file.is_file():
            raise ConfigError(f"{file}: no such file; slimdp sweep makes it")
        try:
            results = [RunResult.parse(each, f"results.{n}") for n, each in enumerate(_read(file))]
        except ValueError as error:
            raise ConfigError(f"{file}: no scores of runs: {error}") from error
        for result in results:
            key = result.row, result.seed
            if found.setdefault(key, result) != result:
                raise ConfigError(f"{file}: another result for row {key[0]}, seed {key[1]} came before")
    return list(found.values())


def _read(file: Path) -> Any:
    content = read_json_bytes(file, "file of scores")
    if content.startswith(b"["):  # of an earlier version
        return list(map(_of_earlier_version, parse_json(content, str(file))))
    return [parse_json(line, f"{file}, line {number}") for number, line in enumerate(content.splitlines(), 1)]


def _of_earlier_version(values: Any) -> Any:
    """A result as results.json had it: scores of the first set, which has no name there, and of others."""
    if not isinstance(values, dict) or "full" not in values:
        return values
    values = dict(values)
    forms = {"": {form: values.pop(form, {}) for form in ("scores", "full")}, **values.pop("others", {})}
    scores = {
        place: {
            f"points.{form}.{column}": value
            for form, name in (("localization", "scores"), ("full", "full"))
            for column, value in each[name].items()
        }
        for place, each in forms.items()
    }
    return {**values, "scores": scores}


def describe_scores(result: RunResult, columns: Mapping[str, ColumnSettings]) -> str:
    """ "5 cm 42.9 %, 10 cm 61.0 %", on the first set."""
    scores = result.on("")
    known = [column for column in columns.values() if column.score in scores]
    return ", ".join(f"{each.heading} {each.told(scores[each.score])} {each.unit}".strip() for each in known)


def whole_time(results: Iterable[RunResult]) -> str:
    """How long all of it took, for people."""
    return duration(sum(result.seconds + result.shared_seconds for result in results))


def describe_origin(results: Sequence[RunResult]) -> str:
    """The machines and the code that scores come from: "2 cores; commit 0123456789ab"."""
    machines = "; ".join(sorted({result.machine for result in results}))
    words = [commit.partition(" ") for each in results for commit in (each.commit, *each.trained_at)]
    commits = ", ".join(sorted({f"{number[:12]}{space}{remark}" for number, space, remark in words}))
    return f"{machines}; commit {commits}"


def duration(seconds: float) -> str:
    """A time for people: "48 s", "12 min", "2 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def groups_of(
    names: Sequence[str], groups: Sequence[RowGroup] = (), baseline: str | None = None
) -> tuple[RowGroup, ...]:
    """The groups that a table of some rows is made of: those of its study, or one without a title.

    Args:
        names: of the rows, in the order of the table.
        groups: of the study; none: all rows make one, compared with the first.
        baseline: the row that all are compared with instead, whatever group it is in; ConfigError where it
            is none.
    """
    if baseline is not None and baseline not in names:
        raise ConfigError(f"unknown row {baseline}; there are: {listed(names, baseline)}")
    found = tuple(groups) or (RowGroup(title="", baseline=names[0], rows=tuple(names)),)
    return found if baseline is None else tuple(group.replace(baseline=baseline) for group in found)


def baselines_of(groups: Sequence[RowGroup]) -> tuple[str, ...]:
    """The rows that others are compared with, each once."""
    return tuple(dict.fromkeys(group.baseline for group in groups))


class TableRow(NamedTuple):
    """A row of the table; numbers by the names of columns, as far as they are known."""

    name: str
    seeds: tuple[int, ...]
    scores: Mapping[str, Spread]
    baseline: str  # the row that it is compared with; itself of a baseline
    gains: Mapping[str, Spread]  # over the baseline, on the seeds that both have; none of the baseline
    paper: Mapping[str, float]
    paper_gains: Mapping[str, float]


def table_rows(
    results: Sequence[RunResult],
    groups: Sequence[RowGroup],
    paper: Scores,
    columns: Mapping[str, ColumnSettings] = COLUMNS,
    full: bool = False,
    on: str = "",
) -> list[TableRow]:
    """The rows that have results.

    Args:
        groups: `groups_of`: the rows in the order of the table, and the row that each is compared with, on
            the seeds that both have.
        paper: scores in the paper, by row and column, as far as it has them.
        full: where a pixel that the network calls background is wrong, instead of "localization only".
        on: the name of one of the study's sets; "": the first. Results without a score on it are passed over.

    Raises:
        ConfigError: results of other rows, or with none of the columns.
    """
    baselines = {name: group.baseline for group in groups for name in group.rows}
    unknown = sorted({result.row for result in results} - set(baselines))
    if unknown:
        raise ConfigError(f"unknown row {unknown[0]}; there are: {listed(baselines, unknown[0])}")
    by_row: dict[str, dict[int, Mapping[str, float]]] = {name: {} for name in baselines}
    for result in sorted(results, key=lambda result: result.seed):
        if scores := result.on(on):
            names = {column: each.full_score if full else each.score for column, each in columns.items()}
            known = {column: scores[name] for column, name in names.items() if name in scores}
            if not known:
                raise ConfigError(f"row {result.row}, seed {result.seed} has no {', '.join(names.values())}")
            by_row[result.row][result.seed] = known
    return [
        _table_row(name, by_seed, baselines[name], by_row[baselines[name]], paper)
        for name, by_seed in by_row.items()
        if by_seed
    ]


def _table_row(
    name: str,
    by_seed: Mapping[int, Mapping[str, float]],
    baseline: str,
    of_baseline: Mapping[int, Mapping[str, float]],
    paper: Scores,
) -> TableRow:
    both = [seed for seed in by_seed if seed in of_baseline and name != baseline]
    values: dict[str, list[float]] = {}
    gains: dict[str, list[float]] = {}
    for seed, scores in by_seed.items():
        for column, score in scores.items():
            values.setdefault(column, []).append(score)
            if seed in both and column in of_baseline[seed]:
                gains.setdefault(column, []).append(score - of_baseline[seed][column])
    theirs, first = paper.get(name, {}), paper.get(baseline, {})
    return TableRow(
        name=name,
        seeds=tuple(by_seed),
        scores={column: Spread.of(each) for column, each in values.items()},
        baseline=baseline,
        gains={column: Spread.of(each) for column, each in gains.items()},
        paper=dict(theirs),
        paper_gains={c: theirs[c] - first[c] for c in theirs if c in first and name != baseline},
    )


def heading(group: RowGroup, groups: Sequence[RowGroup], labels: Mapping[str, str], over: str = "") -> str:
    """What stands above a group's rows: its title and, where the groups of the table differ in it, the
    baseline by its label, behind the word `over`; "" leaves it out."""
    named = over and len(baselines_of(groups)) > 1
    return f"{group.title}, {over} {labels.get(group.baseline, group.baseline)}" if named else group.title


def flat_rows(
    rows: Sequence[TableRow], columns: Mapping[str, ColumnSettings], titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The same numbers for a CSV file; what is not known is empty."""
    flat = []
    for row in rows:
        known: dict[str, float | None] = {}
        for column in columns:
            for kind, spreads in (("", row.scores), ("_gain", row.gains)):
                spread = spreads.get(column)
                known[f"{column}{kind}"] = spread.mean if spread else None
                known[f"{column}{kind}_sd"] = spread.deviation if spread else None
            known[f"{column}_paper"] = row.paper.get(column)
            known[f"{column}_paper_gain"] = row.paper_gains.get(column)
        numbers = {key: "" if value is None else round(value, 3) for key, value in known.items()}
        about = {"row": row.name, "baseline": row.baseline, "seeds": len(row.seeds)}
        flat.append({**about, **numbers, "title": titles.get(row.name, row.name)})
    return flat


def missing_runs(
    results: Sequence[RunResult], names: Sequence[str], seeds: Sequence[int]
) -> dict[tuple[int, ...], list[str]]:
    """Rows by the seeds that they lack."""
    there = {(result.row, result.seed) for result in results}
    missing: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        if lacks := tuple(seed for seed in seeds if (name, seed) not in there):
            missing.setdefault(lacks, []).append(name)
    return missing
