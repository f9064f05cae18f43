"""How far the runs of a study are, from what is in their folders; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_cache.runtime.lock import is_held
from slimdp.report.tables import format_table
from slimdp.studies.plan import PlannedRun, plan_runs, select
from slimdp.studies.records import (
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
from slimdp.studies.settings import ColumnSettings
from slimdp.studies.study import Study
from slimdp.training.run_folder import read_metrics


@dataclass(frozen=True)
class RunState:
    """How far a run is."""

    run: PlannedRun
    done: bool
    running: bool
    step: int  # that was logged last, counted from the first stage on
    trained: bool  # up to the end that it makes, or scores
    result: RunResult | None = None
    failure: Failure | None = None
    changed: tuple[str, ...] = ()  # settings that are not those it was trained with, `key: there, now`


def look_at(run: PlannedRun, out: Path, evaluated: Evaluated) -> RunState:
    """How far a run is; raises ConfigError where what a sweep wrote there is damaged."""
    folder = run.place(out)
    record, changed = read_record(folder), []
    if record is not None:
        changed = changes(record, describe_run(run.config))
    elif (folder / "last.pt").exists():
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


def what_is_missing(states: Sequence[RunState]) -> list[PlannedRun]:
    """The rows that are not done, and the stages that they wait for, in the order of the plan."""
    missing: list[PlannedRun] = []
    needed: set[Path] = set()
    for state in reversed(states):  # what a run begins with comes before it
        if state.done or (state.run.row is None and state.run.folder not in needed):
            continue
        missing.append(state.run)
        if state.run.upstream and not state.trained:
            needed.add(state.run.upstream[-1].folder)
    return missing[::-1]


def describe_row(row: RunState, stages: Mapping[Path, RunState], column: ColumnSettings) -> str:
    """How far a row is for a seed, in a few words.

    Args:
        row: its state.
        stages: those of all stages, by their folders.
        column: whose score is told.
    """
    steps = sum(stage.steps for stage in row.run.config.stages)
    chain = [stages[each.folder] for each in row.run.upstream]
    if row.changed or (not row.done and any(stage.changed for stage in chain)):
        return "other settings"
    if row.result is not None:
        score = row.result.on("").get(column.score)
        return "scored" if score is None else f"{column.told(score)} {column.unit}".rstrip()
    for stage in chain:
        if not stage.trained:
            before = sum(each.steps for each in stage.run.config.stages[:-1])
            step = max(stage.step, before)
            if stage.running:
                return f"running, step {step} of {steps}"
            if stage.failure is not None:
                return "failed"
            return f"stopped at step {step} of {steps}" if step else "missing"
    if row.running:
        return "scoring"
    return "failed" if row.failure is not None else "to be scored"


def describe_cost(todo: Iterable[PlannedRun]) -> str:
    """What there is to train: "75 stages, 3.6 million crops", or "nothing"."""
    stages = [run for run in todo if run.trains]
    return f"{len(stages)} stages, {count_crops(sum(run.crops for run in stages))}" if stages else "nothing"


def count_crops(crops: int) -> str:
    """ "48,000 crops", "3.6 million crops"."""
    return f"{crops / 1e6:.1f} million crops" if crops >= 1e6 else f"{crops:,} crops"


def sweep_status(
    study: Study,
    out: Path,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> str:
    """How far a study is, for people: a line a row, a column a seed, what failed, and what there is to do.

    Raises:
        ConfigError: wrong settings, or a damaged file.
    """
    evaluated = describe_evaluation(study)
    study = study.including(seeds or ())
    seeds = study.seeds if seeds is None else seeds
    chosen = select(plan_runs(study), study.require_rows(rows), seeds)
    states = [look_at(run, out, evaluated) for run in chosen]
    stages = {state.run.folder: state for state in states if state.run.trains}
    column = study.columns[study.main_column]
    of_rows = [state for state in states if not state.run.trains]
    cells: dict[str, dict[int, str]] = {}
    crops = {}
    for state in of_rows:
        assert state.run.row is not None
        cells.setdefault(state.run.row, {})[state.run.seed] = describe_row(state, stages, column)
        crops[state.run.row] = f"{sum(each.crops for each in state.run.upstream):,}"
    body = [
        [study.labels[row], crops[row], *(by_seed[seed] for seed in seeds)] for row, by_seed in cells.items()
    ]
    text = [format_table([column.words, "crops", *(f"seed {seed}" for seed in seeds)], body)]
    text.append(f"{sum(state.done for state in of_rows)} of {len(of_rows)} rows and seeds are done")
    text.append(f"to train: {describe_cost(what_is_missing(states))}; stages in common count once")
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
