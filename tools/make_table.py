"""Turn the results of a study into its table: mean and spread over seeds, beside the paper's numbers.

    python tools/make_table.py runs/table6 --scores experiments/table6/scores.jsonl --out docs/table6.md

RUNS are folders of `slimdp sweep`, which say what study they were made with, or files of results, beside
which lies study.yaml; --study names another one. Without any, rows come as they are. Differences are paired:
of a row and the baseline of its group (else the first row) for the same seed. --scores keeps the complete
rows alone, sorted, to commit. Rows that are missing are named with the command that makes them. Of a study
that scores on several sets, every set has a table; the CSV file is of the first.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from measuring import make_parser
from text_tables import TextTables, complete_results

from flow_cache.runtime.atomic import atomic_write, write_text
from slimdp.studies import NoStudyError, RunResult, Study, SweptStudy, find_studies
from slimdp.studies.results import (
    TableRow,
    describe_origin,
    flat_rows,
    groups_of,
    missing_runs,
    read_scores,
    save_scores,
    table_rows,
    whole_time,
)
from slimdp.studies.settings import COLUMNS, RowGroup


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, read, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        swept = _find_study(options)
        results = list(swept.results) if swept is not None else read_scores(options.runs)
        if not results and swept is None:
            raise ValueError("no results, and no --study that says which rows there are")
        text = _write(options, swept, results)
    except (ValueError, OSError) as error:
        print(f"make_table: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of slimdp sweep, or files of scores")
    parser.add_argument(
        "--study",
        type=Path,
        help="that says the rows, the seeds and the paper's numbers; default: what RUNS were made with",
    )
    parser.add_argument(
        "--baseline", help="the row to compare all with; default: that of each group, else the first one"
    )
    parser.add_argument(
        "--ceiling",
        help="also tell how much of this row's gain over its baseline those reach that have the same one",
    )
    parser.add_argument(
        "--rows", type=lambda text: text.split(","), help="only these, their baselines and the ceiling: A,B"
    )
    parser.add_argument("--full", action="store_true", help='the "full" scores, not "localization only"')
    parser.add_argument("--out", type=Path, help="the Markdown file to write")
    parser.add_argument("--csv", type=Path, help="the CSV file to write")
    parser.add_argument("--scores", type=Path, help="the scores of complete rows to write, sorted")
    return parser


def _find_study(options: argparse.Namespace) -> SweptStudy | None:
    """The one study of the results; None where nothing says which it is."""
    try:
        found = find_studies(options.runs, options.study, options.baseline)
    except NoStudyError:
        return None
    if len(found) > 1:
        files = ", ".join(str(swept.study.file) for swept in found)
        raise ValueError(f"{len(found)} studies, but a table of one is made; name it: --study, of {files}")
    return found[0]


def _write(options: argparse.Namespace, swept: SweptStudy | None, results: list[RunResult]) -> str:
    """Write what is asked for; the Markdown."""
    study = None if swept is None else swept.study
    names = study.names if study is not None else tuple(dict.fromkeys(result.row for result in results))
    seeds = study.seeds if study is not None else tuple(sorted({result.seed for result in results}))
    groups = swept.groups if swept is not None else groups_of(names, baseline=options.baseline)
    rows = _shown_rows(options, study, results, groups)
    parts = [
        "" if study is None else f"**{study.title}**",
        *_tables(options, study, results, groups),
    ]
    parts += [_cost(results), "" if swept is None else _missing(swept)]
    text = "\n\n".join(part for part in parts if part)
    if options.out is not None:
        write_text(options.out, text + "\n")
    if options.csv is not None:
        with (
            atomic_write(options.csv) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            columns, titles = (COLUMNS, {}) if study is None else (study.columns, study.titles)
            flat = flat_rows(rows, columns, titles)
            writer = csv.DictWriter(file, list(flat[0]) if flat else ["row"])
            writer.writeheader()
            writer.writerows(flat)
    if options.scores is not None:
        save_scores(options.scores, complete_results(results, names, seeds))
    return text


def _shown_rows(
    options: argparse.Namespace,
    study: Study | None,
    results: Sequence[RunResult],
    groups: Sequence[RowGroup],
    on: str = "",
) -> list[TableRow]:
    """The rows that are asked for, with their scores on one of the sets."""
    paper = {} if study is None else study.paper(on, options.full)
    columns = COLUMNS if study is None else study.columns
    rows = table_rows(results, groups, paper, columns, options.full, on)
    if options.rows is None:
        return rows
    baselines = {name: group.baseline for group in groups for name in group.rows}
    if unknown := sorted(set(options.rows) - set(baselines)):
        raise ValueError(f"--rows {unknown[0]}: no such row; there are: {', '.join(baselines)}")
    named = {*options.rows, options.ceiling} & set(baselines)
    return [row for row in rows if row.name in named | {baselines[name] for name in named}]


def _tables(
    options: argparse.Namespace,
    study: Study | None,
    results: Sequence[RunResult],
    groups: Sequence[RowGroup],
) -> list[str]:
    """Scores and gains on every set that was scored, each under its name where there are several."""
    sets = list(dict.fromkeys(name for result in results for name, of in result.scores.items() if of))
    if not results:
        return ["Nothing is done yet."]
    columns, labels = (COLUMNS, {}) if study is None else (study.columns, study.labels)
    parts = []
    for name in sets:
        rows = _shown_rows(options, study, results, groups, name)
        tables = TextTables(rows, groups, columns, labels)
        on = f"On {name or 'the first set'}:" if len(sets) > 1 else ""
        gap = "" if options.ceiling is None else tables.gaps(options.ceiling)
        parts += [on, tables.scores(), tables.gains(), gap]
    return parts


def _cost(results: Sequence[RunResult]) -> str:
    if not results:
        return ""
    spread = "Means and standard deviations over the seeds, in percent."
    took = f"{len(results)} runs of one process each, {whole_time(results)} in all"
    return f"{spread} {took}; {describe_origin(results)}."


def _missing(swept: SweptStudy) -> str:
    missing = missing_runs(swept.results, swept.study.names, swept.study.seeds)
    commands = [swept.sweep_command(rows, seeds) for seeds, rows in missing.items()]
    return "\n".join(["Missing:", "", *(f"    {command}" for command in commands)]) if commands else ""


if __name__ == "__main__":
    sys.exit(main())
