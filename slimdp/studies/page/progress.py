"""What is missing of a study, why, and the command that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flow_cache.runtime.lock import is_held
from flow_cache.runtime.shell import quoted
from slimdp.studies import Study
from slimdp.studies.command import sweep_words
from slimdp.studies.page.sources import SweptStudy
from slimdp.studies.records import LOCK, read_failure
from slimdp.studies.table import missing_runs


@dataclass(frozen=True)
class MissingRuns:
    """Rows that lack the same seeds."""

    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    command: str


@dataclass(frozen=True)
class Progress:
    """How much of a study is there."""

    done: int
    wanted: int
    missing: tuple[MissingRuns, ...]
    failed: tuple[tuple[str, str], ...]  # run and error
    running: tuple[str, ...]


def progress_of(swept: SweptStudy) -> Progress:
    """Compare what a study wants with what there is; raises ConfigError where a run's file is damaged."""
    study = swept.study
    found = missing_runs(swept.results, study.names, study.seeds)
    there = {(result.row, result.seed) for result in swept.results}
    lacking = [key for key, run in swept.runs.items() if key not in there]
    failed, running = {}, []
    for run in dict.fromkeys(each for key in lacking for each in (*swept.runs[key].before, swept.runs[key])):
        for folder in swept.folders:
            if is_held(folder / run.folder / LOCK):
                running.append(run.name)
            elif (failure := read_failure(folder / run.folder)) is not None:
                failed[run.name] = failure.error
    return Progress(
        done=sum(seed in study.seeds for _, seed in there),
        wanted=len(study.names) * len(study.seeds),
        missing=tuple(
            MissingRuns(tuple(rows), seeds, sweep_command(study, swept.folders, rows, seeds))
            for seeds, rows in found.items()
        ),
        failed=tuple(failed.items()),
        running=tuple(running),
    )


def sweep_command(
    study: Study, folders: tuple[Path, ...], rows: list[str] | None = None, seeds: tuple[int, ...] = ()
) -> str:
    """The command line that trains and scores some rows for some seeds."""
    command = sweep_words(study, folders[0] if folders else None)
    if rows is not None and tuple(rows) != study.names:
        command += ["--rows", ",".join(rows)]
    if seeds and seeds != study.seeds:
        command += ["--seeds", ",".join(map(str, seeds))]
    return " ".join(map(quoted, command))
