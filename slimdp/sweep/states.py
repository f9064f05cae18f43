"""How far the runs of a study are, from what is in their folders; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimdp.report.table import format_table
from slimdp.sweep.lock import is_held
from slimdp.sweep.plan import PlannedRun, plan_runs, select
from slimdp.sweep.records import (
    FAILURE,
    LOCK,
    RECORD,
    Evaluated,
    Failure,
    RunResult,
    changes,
    describe_evaluation,
    describe_run,
    read_failure,
    read_record,
    read_result,
)
from slimdp.sweep.study import Study
from slimdp.training.run_folder import read_metrics


@dataclass(frozen=True)
class RunState:
    """How far a run is."""

    run: PlannedRun
    done: bool
    running: bool
    step: int  # that was logged last, of all its stages
    trained: bool
    result: RunResult | None = None
    failure: Failure | None = None
    changed: tuple[str, ...] = ()  # settings that are not those it was trained with, `key: there, now`

    @property
    def steps(self) -> int:
        """Of all its stages, those of the runs before it too."""
        return sum(stage.steps for stage in self.run.config.stages)

    def __str__(self) -> str:
        if self.changed:
            return "other settings"
        if self.running:
            return "scoring" if self.trained else f"running, step {self.step} of {self.steps}"
        if self.done:
            return "done" if self.result is None else f"{self.result.scores['10cm']:.1f} %"
        if self.failure is not None:
            return "failed"
        if self.trained and self.run.trains:
            return "to be scored"
        return f"stopped at step {self.step} of {self.steps}" if self.step else "missing"


def look_at(run: PlannedRun, out: Path, evaluated: Evaluated) -> RunState:
    """How far a run is; raises ConfigError where what a sweep wrote there is damaged."""
    folder = out / run.folder
    record, changed = read_record(folder), []
    if record is not None:
        changed = changes(record, describe_run(run.config))
    elif run.trains and (folder / "last.pt").exists():
        changed = [f"no {RECORD}: something else trained what is there"]
    result = None if run.row is None else read_result(folder, evaluated)
    trained = run.checkpoint(out).exists()
    metrics = folder / "metrics.jsonl"
    return RunState(
        run,
        done=not changed and (trained if run.row is None else result is not None),
        running=is_held(folder / LOCK),
        step=max((row["step"] for row in read_metrics(metrics)), default=0) if metrics.is_file() else 0,
        trained=trained,
        result=result,
        failure=read_failure(folder) if (folder / FAILURE).exists() else None,
        changed=tuple(changed),
    )


def sweep_status(
    study: Study, out: Path, rows: Sequence[str] | None = None, seeds: Sequence[int] | None = None
) -> str:
    """How far a study is, for people: a line a row, a column a seed, and what failed.

    Raises:
        ConfigError: wrong settings, or a damaged file.
    """
    evaluated = describe_evaluation(study.evaluate)
    study = study.including(seeds or ())
    seeds = study.seeds if seeds is None else seeds
    chosen = select(plan_runs(study), study.require_rows(rows), seeds)
    states = [look_at(run, out, evaluated) for run in chosen]
    lines: dict[str, dict[int, str]] = {}
    for state in sorted(states, key=lambda state: state.run.row is None):
        lines.setdefault(state.run.folder.parent.as_posix(), {})[state.run.seed] = str(state)
    body = [[name, *(by_seed.get(seed, "") for seed in seeds)] for name, by_seed in lines.items()]
    text = [format_table(["points within 10 cm", *(f"seed {seed}" for seed in seeds)], body)]
    of_rows = [state for state in states if state.run.row is not None]
    text.append(f"{sum(state.done for state in of_rows)} of {len(of_rows)} rows and seeds are done")
    text += [
        f"{state.run.name} failed: {state.failure.error}; log: {state.failure.log}"
        for state in states
        if state.failure is not None and not state.done and not state.running
    ]
    text += [
        f"{state.run.name} was made with other settings (key: there, now): {'; '.join(state.changed)}"
        for state in states
        if state.changed
    ]
    return "\n".join(text)
