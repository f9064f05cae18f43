"""Sweeping: the training runs of a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from slimdp.commands.arguments import names_with_commas


def add_sweep_command(commands: argparse._SubParsersAction) -> None:
    """sweep."""
    command = commands.add_parser(
        "sweep",
        help="train and score the rows of a table for several seeds",
        description="Train and score what is missing of a study (docs/studies.md). The same command goes on "
        "with a sweep that was stopped or killed; exit code 1 if a run failed.",
    )
    command.add_argument("study", type=Path, help="experiments/*/study.yaml")
    command.add_argument("--out", type=Path, default=None, help="default: runs/ and the name of its folder")
    command.add_argument(
        "--rows", type=names_with_commas, default=None, metavar="A,B", help="only these rows"
    )
    command.add_argument("--seeds", type=_numbers, default=None, metavar="N,N", help="instead of the study's")
    command.add_argument("--jobs", type=int, default=None, help="runs at a time; default: one a core")
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for every row: stages.0.steps=10"
    )
    command.add_argument("--status", action="store_true", help="say how far it is, and do nothing")
    command.add_argument("--results", type=Path, default=None, help="default: results.json in --out")
    command.set_defaults(run=_sweep)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, but numbers with commas are wanted: 0,1,2") from None


def _sweep(options: argparse.Namespace) -> int:
    from slimdp.sweep import read_study, sweep, sweep_status

    study = read_study(options.study, options.set)
    out = options.out or Path("runs") / options.study.resolve().parent.name
    if options.status:
        print(sweep_status(study, out, options.rows, options.seeds))
        return 0
    summary = sweep(
        study, out, options.rows, options.seeds, options.jobs, options.device, options.results, _say
    )
    _say(f"{len(summary.results)} results: {options.results or out / 'results.json'}")
    for name, failure in summary.failures.items():
        _say(f"{name} FAILED: {failure.error}; log: {failure.log}")
    if summary.blocked:
        _say(f"not run, for what they begin with failed: {', '.join(summary.blocked)}")
    if summary.failures:
        _say("the same command tries them again")
    return 1 if summary.failures else 0


def _say(line: str) -> None:
    print(line, flush=True)
