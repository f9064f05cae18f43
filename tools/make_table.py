"""Turn the results of a study into its table: mean and spread over seeds, beside the paper's numbers.

    python tools/make_table.py runs/table6 --study experiments/table6/study.yaml \\
        --json experiments/table6/results.json --out docs/table6.md --csv runs/table6/table.csv

RUNS are folders of `slimdp sweep` or files of results. Differences are paired: of a row and the baseline for
the same seed. --json keeps the complete rows alone, sorted, to commit. Rows that are missing are named with
the command that makes them.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from slimdp.atomic import whole_file
from slimdp.settings_file import to_plain
from slimdp.sweep import RunResult, Study, read_study
from slimdp.sweep.results import duration
from slimdp.sweep.table import (
    complete_results,
    flat_rows,
    gain_lines,
    missing_runs,
    read_results,
    score_lines,
    table_rows,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, read, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        study = None if options.study is None else read_study(options.study)
        results = read_results(options.runs)
        if not results and study is None:
            raise ValueError("no results, and no --study that says which rows there are")
        text = _write(options, study, results)
    except (ValueError, OSError) as error:
        print(f"make_table: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of slimdp sweep, or results.json")
    parser.add_argument("--study", type=Path, help="the rows' order, the seeds and the paper's numbers")
    parser.add_argument("--baseline", help="the row to compare with; default: the first one")
    parser.add_argument("--full", action="store_true", help='the "full" scores, not "localization only"')
    parser.add_argument("--out", type=Path, help="the Markdown file to write")
    parser.add_argument("--csv", type=Path, help="the CSV file to write")
    parser.add_argument("--json", type=Path, help="the results of complete rows, sorted")
    return parser


def _write(options: argparse.Namespace, study: Study | None, results: list[RunResult]) -> str:
    """Write what is asked for; the Markdown."""
    names = study.names if study is not None else tuple(dict.fromkeys(result.row for result in results))
    seeds = study.seeds if study is not None else tuple(sorted({result.seed for result in results}))
    baseline = options.baseline or names[0]
    rows = table_rows(results, names, baseline, {} if study is None else study.paper, options.full)
    text = "Nothing is done yet." if not rows else score_lines(rows)
    gains = gain_lines(rows, baseline)
    parts = ["" if study is None else f"**{study.title}**", text, gains, _cost(results)]
    parts.append(_missing(options, study, missing_runs(results, names, seeds)))
    text = "\n\n".join(part for part in parts if part)
    if options.out is not None:
        with whole_file(options.out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    if options.csv is not None:
        with whole_file(options.csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            flat = flat_rows(rows)
            writer = csv.DictWriter(file, list(flat[0]) if flat else ["row"])
            writer.writeheader()
            writer.writerows(flat)
    if options.json is not None:
        complete = complete_results(results, names, seeds)
        with whole_file(options.json) as temporary:
            temporary.write_text(json.dumps(to_plain(complete), indent=1) + "\n", encoding="utf-8")
    return text


def _cost(results: Sequence[RunResult]) -> str:
    if not results:
        return ""
    whole = duration(sum(result.seconds + result.shared_seconds for result in results))
    machines = "; ".join(sorted({result.machine for result in results}))
    words = [result.commit.partition(" ") for result in results]
    commits = ", ".join(sorted({f"{number[:12]}{space}{remark}" for number, space, remark in words}))
    return (
        f"Means and standard deviations over the seeds, in percent. {len(results)} runs of one process each, "
        f"{whole} in all; {machines}; commit {commits}."
    )


def _missing(
    options: argparse.Namespace, study: Study | None, missing: dict[tuple[int, ...], list[str]]
) -> str:
    if not missing or study is None:
        return ""
    folder = next((place for place in options.runs if place.is_dir()), None)
    lines = ["Missing:", ""]
    for seeds, names in missing.items():
        command = ["slimdp", "sweep", str(options.study), *(["--out", str(folder)] if folder else [])]
        command += ["--rows", ",".join(names), "--seeds", ",".join(map(str, seeds))]
        lines.append(f"    {shlex.join(command)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
