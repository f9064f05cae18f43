"""Sweeping: the training runs of a study."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flow_cache.arguments import add_job_options, asked_of_jobs
from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import add_device, add_overrides, names_with_commas, seeds_with_commas, whole
from slimdp.shipped import shipped_path

if TYPE_CHECKING:
    from slimdp.studies import Study, SweepSummary


def add_commands(commands: argparse._SubParsersAction) -> None:
    """sweep."""
    command = commands.add_parser(
        "sweep",
        help="train and score the rows of a table for several seeds",
        description="Train and score what is missing of studies (docs/studies.md). The same command goes on "
        "with a sweep that was stopped or killed; exit code 1 if a run failed.",
    )
    add_input(
        command,
        "study",
        nargs="+",
        metavar="STUDY",
        type=shipped_path,
        help="a study.yaml: yours, or experiments/*/study.yaml (shipped)",
    )
    add_output(
        command,
        "--out",
        role="folder",
        help="the folder to fill; of several studies each gets a folder of its name in it (default: runs/ "
        "and the study's name: its folder's, or its own where it is no study.yaml)",
    )
    add_output(
        command,
        "--shared",
        role="folder",
        help="the folder of stages that rows share (default: shared in --out)",
    )
    command.add_argument(
        "--rows", type=names_with_commas, metavar="A,B", help="only these rows (default: all)"
    )
    command.add_argument(
        "--seeds", type=seeds_with_commas, metavar="N,N", help="only these seeds (default: the study's)"
    )
    command.add_argument("--jobs", type=whole(1), help="runs at a time (default: one a core)")
    add_device(command)
    add_overrides(command, "stages.0.steps=10 of every row, or ROW:stages.0.steps=10 of one")
    for option, which in (("--data", "to train on"), ("--evaluate", "to score on")):
        names = ("ANNOTATIONS", "IMAGES")
        about = f"your own people {which}, for those of the study; NAME=ANNOTATIONS for the set of this name"
        add_input(command, option, type=str, nargs=2, action="append", default=[], metavar=names, help=about)
    command.add_argument("--status", action="store_true", help="say how far it is, and do nothing")
    add_output(
        command,
        "--results",
        help="a file for a copy of the scores, of this --out alone, which has scores.jsonl",
    )
    add_job_options(command)
    command.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    from slimdp.studies import DataOverride, check_study, read_study, sweep_status
    from slimdp.studies.results import SCORES
    from slimdp.studies.study import study_key

    data_override = DataOverride.of_words(options.data, options.evaluate)
    names = [study_key(file) for file in dict.fromkeys(options.study)]
    _check_options(options, names)
    files = dict.fromkeys(options.study)
    studies = [read_study(file, options.set, data_override, options.rows) for file in files]
    placed = [
        _place(options, study, name, len(names) > 1) for study, name in zip(studies, names, strict=True)
    ]
    for study, _ in placed if not options.status else ():
        _tell_replaced(study, len(placed) > 1)
    if options.status:
        for study, out in placed:
            _say(study.title)
            _tell_replaced(study)
            _say(sweep_status(study, out, options.rows, options.seeds))
        return 0
    for study, out in placed if len(placed) > 1 else ():
        check_study(study, out, options.rows, options.seeds)  # all of them, before the first one begins
    failed = False
    for study, out in placed:
        summary = _carry_out(options, study, out)
        if summary is not None:
            _tell(summary, options.results or out / SCORES)
            failed = failed or bool(summary.failures or summary.left)
    return 1 if failed else 0


def _place(options: argparse.Namespace, study: Study, name: str, of_several: bool) -> tuple[Study, Path]:
    """A study that knows where its stages are trained, and the folder that it is swept into."""
    from slimdp.studies.settings import SHARED

    together = options.out or Path("runs")
    out = together / name if of_several or options.out is None else together
    shared = options.shared or (together / SHARED if of_several else None)
    return (study if shared is None else study.replace(shared=os.path.relpath(shared, out))), out


def _check_options(options: argparse.Namespace, names: list[str]) -> None:
    """Raise ValueError for options that do not go together."""
    if options.submit is None and (options.slurm or options.no_wait):
        raise ValueError("--slurm and --no-wait are settings of --submit, which was not given")
    if options.submit is not None and options.jobs is None:
        raise ValueError("--submit needs --jobs N, which says how many jobs to start")
    if len(names) > 1 and (options.results is not None or options.rows is not None):
        raise ValueError("--rows and --results are of one study; give them one at a time")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two studies called {', '.join(sorted(twice))}; sweep them one by one")


def _carry_out(options: argparse.Namespace, study: Study, out: Path) -> SweepSummary | None:
    """Do what is missing of a study, here or in jobs; None where these are left to themselves."""
    from slimdp.studies import sweep
    from slimdp.studies.launch import submit_sweep

    rows, seeds, device, results = options.rows, options.seeds, options.device, options.results
    if options.submit is None:
        return sweep(study, out, rows, seeds, options.jobs, device, results, _say)
    asked = asked_of_jobs(options)
    submitted = submit_sweep(
        study, out, options.jobs, options.submit, asked, rows, seeds, device, results, _say
    )
    if options.no_wait:
        _say("how far they are: the same command with --status")
        return None
    return submitted.wait(_say)


def _tell_replaced(study: Study, of_several: bool = False) -> None:
    """Which files took the place of which, so that nobody trains for hours on the wrong ones."""
    for line in study.replaced:
        _say(f"{study.file}: {line}" if of_several else line)


def _tell(summary: SweepSummary, results: Path) -> None:
    _say(f"{len(summary.results)} results: {results}")
    for name, failure in summary.failures.items():
        _say(f"{name} FAILED: {failure.error}; log: {failure.log}")
    if summary.blocked:
        _say(f"not run, for what they begin with failed: {', '.join(summary.blocked)}")
    if summary.left:
        _say(f"not done when the jobs ended: {', '.join(summary.left)}")
    if summary.failures or summary.left:
        _say("the same command tries them again")


def _say(line: str) -> None:
    print(line, flush=True)
