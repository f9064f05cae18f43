"""All that comes before the first run of a sweep: how far runs are, what to do, whether it can be done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from flow_cache.runtime.lock import HeldError, held, is_held
from flow_cache.runtime.machine import describe_commit, git_state
from flow_cache.runtime.words import quoted
from slimdp.config import ConfigError, TrainConfig, config_to_dict
from slimdp.data import AnnotationError, Clicks
from slimdp.evaluation import EvaluationSet, read_truths
from slimdp.report.tables import format_table
from slimdp.settings_file import dump_yaml
from slimdp.studies import records
from slimdp.studies.plan import PlannedRun, plan_runs, select
from slimdp.studies.records import Evaluated, Failure, RunResult, ScoredSet
from slimdp.studies.results import SCORES, describe_scores, read_scores, save_scores
from slimdp.studies.settings import ColumnSettings
from slimdp.studies.study import Study, read_snapshots, study_key, write_snapshot
from slimdp.surface import PartLayout, load_surface
from slimdp.surface.load import surface_layout
from slimdp.training.run_folder import read_metrics
from slimdp.training.stage_data import Sets, clicks_of, read_stages


class RunState(NamedTuple):
    """How far a run is."""

    run: PlannedRun
    done: bool
    running: bool
    step: int  # that was logged last, counted from the first stage on
    trained: bool  # up to the end that it makes, or scores
    result: RunResult | None = None
    failure: Failure | None = None
    changed: tuple[str, ...] = ()  # settings that are not those it was trained with, `key: there, now`
    outdated: bool = False  # it has scores, but on other people, without a new column, or of another version


def inspect_run(run: PlannedRun, out: Path, evaluated: Evaluated) -> RunState:
    """How far a run is; raises ConfigError where what a sweep wrote there is damaged."""
    folder = run.folder_in(out)
    record, changed = records.read_record(folder), []
    if record is not None:
        changed = records.changes(record, records.describe_run(run.config, run.finder_folder, run.scales))
    elif (folder / "last.pt").exists():
        changed = [f"no {records.RECORD}: something else trained what is there"]
    result = None if run.trains else records.read_result(folder, evaluated)
    trained, metrics = run.checkpoint(out).exists(), folder / "metrics.jsonl"
    return RunState(
        run,
        done=not changed and (trained if run.trains else result is not None),
        running=is_held(folder / records.LOCK),
        step=max((row["step"] for row in read_metrics(metrics)), default=0) if metrics.is_file() else 0,
        trained=trained,
        result=result,
        failure=records.read_failure(folder),
        changed=tuple(changed),
        outdated=not run.trains and result is None and (folder / records.RESULT).is_file(),
    )


def what_is_missing(states: Sequence[RunState]) -> list[PlannedRun]:
    """The rows that are not done, and the stages that they wait for, in the order of the plan."""
    missing: list[PlannedRun] = []
    needed: set[Path] = set()
    for state in reversed(states):  # what a run begins with comes before it
        if not state.done and (not state.run.trains or state.run.folder in needed):
            missing.append(state.run)
            if state.run.upstream and not state.trained:
                needed.add(state.run.upstream[-1].folder)
            needed |= {run.folder for run in (state.run.finder, state.run.teacher) if run is not None}
    return missing[::-1]


@dataclass(frozen=True)
class Prepared:
    """A study whose missing runs were checked."""

    out: Path
    evaluated: Evaluated
    device: str
    commit: str
    results_files: tuple[Path, ...]  # that its scores are written to: scores.jsonl in its folder, and a copy
    columns: Mapping[str, ColumnSettings]
    states: tuple[RunState, ...]  # of all its runs, each after those that it begins with
    todo: tuple[PlannedRun, ...]  # those that are missing
    clicks: Mapping[str, Clicks]  # behind the labels of the rows among them, by the runs' names
    of_other_studies: tuple[RunResult, ...] = ()  # scores in the same file, of rows that this one has not

    def told(self, result: RunResult) -> str:
        """A score for people."""
        return describe_scores(result, self.columns)

    @property
    def known(self) -> dict[Path, RunResult]:
        """The scores that were there before, by the runs' folders."""
        return {each.run.folder: each.result for each in self.states if each.done and each.result is not None}

    def save(self, results: dict[Path, RunResult]) -> None:
        """Write scores by the runs' folders, and those of other studies in the same folder after them."""
        for file in self.results_files:
            save_scores(file, (*self.sorted(results), *self.of_other_studies))

    def sorted(self, results: dict[Path, RunResult]) -> tuple[RunResult, ...]:
        """Scores by the runs' folders, in the order of the plan: seed by seed, rows as in the table."""
        return tuple(results[state.run.folder] for state in self.states if state.run.folder in results)


def prepare(
    study: Study,
    out: Path,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    results: Path | None = None,
) -> Prepared:
    """Find what is missing of a study, and check it; arguments and errors as of `sweep`.

    To be called by who holds the study's folder, see `alone`.
    """
    evaluated = records.describe_evaluation(study)
    states, todo, clicks = _check(study, out, rows, seeds, evaluated)
    # What reads a sweep's folder looks for the file there.
    files = tuple(dict.fromkeys([out / SCORES, results or out / SCORES]))
    if results is not None and results.exists() and not read_snapshots(out):
        raise ConfigError(
            f"{results} is there, but nothing was swept into {out} yet: its scores are of another folder and "
            "would be lost; name another file with --results"
        )
    others = _of_other_studies(study, out, files)
    write_snapshot(study, out)
    commit = describe_commit(git_state(__file__))
    return Prepared(out, evaluated, device, commit, files, study.columns, states, todo, clicks, others)


def check_study(
    study: Study, out: Path, rows: Sequence[str] | None = None, seeds: Sequence[int] | None = None
) -> None:
    """Find out whether what is missing of a study can be done; nothing is written.

    Raises:
        ConfigError: naming the study, and what is wrong with it; arguments and reasons as of `sweep`.
    """
    try:
        _check(study, out, rows, seeds, records.describe_evaluation(study))
    except ConfigError as error:
        raise ConfigError(f"{study.file}: {error}") from error


def _check(
    study: Study, out: Path, rows: Sequence[str] | None, seeds: Sequence[int] | None, evaluated: Evaluated
) -> tuple[tuple[RunState, ...], tuple[PlannedRun, ...], dict[str, Clicks]]:
    """The states of all runs, those that are missing, and the clicks behind these; errors as of `sweep`."""
    # Some row may have been scored before with seeds that are none of the study's.
    files = (file for name in study.names for file in (out / name).glob(f"seed_*/{records.RESULT}"))
    numbers = {file.parent.name.removeprefix("seed_") for file in files}
    there = sorted(int(number) for number in numbers if number.isdecimal())
    plan = plan_runs(study.including([*(seeds or ()), *there]))
    chosen = select(plan, study.require_rows(rows), study.seeds if seeds is None else seeds)
    mine = {run.folder for run in chosen}
    states = tuple(inspect_run(run, out, evaluated) for run in plan)
    asked_for = [state for state in states if state.run.folder in mine]
    refuse_changed(asked_for, out)
    todo = tuple(what_is_missing(asked_for))
    return states, todo, check_runs(todo, evaluated) if todo else {}


def _of_other_studies(study: Study, out: Path, files: Sequence[Path]) -> tuple[RunResult, ...]:
    """The scores of other studies that were swept into the same folder, of the first file that has them."""
    mine = study_key(study.file)  # also as it was before a row was taken out of it
    others = (other for other in read_snapshots(out) if study_key(other.file) != mine)
    theirs = {name for other in others for name in other.names} - set(study.names)
    found: dict[tuple[str, int], RunResult] = {}
    for file in files if theirs else ():
        for result in read_scores([file]) if file.is_file() else ():
            if result.row in theirs:
                found.setdefault((result.row, result.seed), result)
    return tuple(found.values())


@contextmanager
def alone(out: Path, together: bool = False) -> Iterator[None]:
    """Hold a study's folder through the block, as its only sweep, or together with other jobs.

    Raises:
        HeldError: another sweep is at work in it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(out / records.LOCK, together=together))
        except HeldError as error:
            raise HeldError(
                f"another sweep is at work in {out} ({error}); wait for its end, or choose another --out"
            ) from None
        yield


def seconds_of(out: Path, run: PlannedRun, result: RunResult | None) -> float:
    """That a run which is done took, without those before it."""
    there = result or records.read_record(run.folder_in(out))
    return 0.0 if there is None else there.seconds


def refuse_changed(states: Iterable[RunState], out: Path) -> None:
    """Raise ConfigError where runs were trained with other settings or labels, naming runs and keys."""
    changed = [state for state in states if state.changed]
    if changed:
        listed = "".join(f"\n  {state.run.name}: {'; '.join(state.changed)}" for state in changed)
        folders = " ".join(quoted(state.run.folder_in(out)) for state in changed)
        raise ConfigError(
            f"{len(changed)} runs in {out} were made with other settings (key: there, now):{listed}\n"
            f"Go on with their settings, choose another --out, or train them again after: rm -r {folders}"
        )


def check_runs(runs: Sequence[PlannedRun], evaluated: Evaluated) -> dict[str, Clicks]:
    """Read and check all labels that the runs are trained with, and the people who are scored.

    Returns:
        the clicks behind the labels of each row and seed that is to be scored, by `PlannedRun.name`.

    Raises:
        ConfigError: naming every row that cannot be run, with the reason.
    """
    sets: Sets = {}
    scored = [run for run in runs if not run.trains]
    wrong: dict[str, str] = {}
    counted: dict[str, Clicks] = {}
    if scored:
        layout = surface_layout(scored[0].config.surface)  # all rows of a study speak of one surface
        for name, people in evaluated.sets.items():
            try:
                truths_of(people, layout)
            except (ValueError, OSError) as error:
                wrong[f"evaluate.{name}" if name else "evaluate"] = str(error)
        truths_of.cache_clear()  # the processes that score read them for themselves
    for run in scored:
        labels, place = _but_for_the_seed(run.config), f"row {run.row}"
        if labels not in counted and place not in wrong:
            try:
                read_stages(run.config, sets=sets)
                load_surface(run.config.surface)  # for the errors; built before the processes start
                counted[labels] = clicks_of(run.config, sets)
            except (ValueError, OSError) as error:
                wrong[place] = str(error)
    if wrong:
        problems = "".join(f"\n  {place}: {problem}" for place, problem in wrong.items())
        raise ConfigError(f"nothing was begun, for the study cannot be run as it is:{problems}")
    return {run.name: counted[_but_for_the_seed(run.config)] for run in scored}


def _but_for_the_seed(config: TrainConfig) -> str:
    """The same for runs that differ in nothing that is checked: a budget that draws with it names it."""
    return dump_yaml(config_to_dict(config.replace(seed=0)))


@lru_cache(maxsize=4)
def truths_of(scored: ScoredSet, layout: PartLayout) -> EvaluationSet:
    """Whom to score, with labels of these parts, read once a process.

    Raises:
        AnnotationError: the file or one of its pictures is broken, or nobody has points.
    """
    truths = read_truths(scored.annotations, scored.images, check_images=True, layout=layout)
    if not truths.with_points():
        raise AnnotationError(
            f"nobody in {scored.annotations} has points to score: name another file to evaluate on"
        )
    return truths


def describe_row(row: RunState, stages: Mapping[Path, RunState], column: ColumnSettings) -> str:
    """How far a row is for a seed, in a few words; `stages` are all of them, by their folders."""
    steps = sum(stage.steps for stage in row.run.config.stages)
    chain = [stages[each.folder] for each in row.run.upstream]
    if row.changed or (not row.done and any(stage.changed for stage in chain)):
        return "other settings"
    if row.result is not None:
        score = row.result.on("").get(column.score)
        return "scored" if score is None else f"{column.told(score)} {column.unit}".rstrip()
    stage = next((stage for stage in chain if not stage.trained), None)
    if stage is None:
        if row.running:
            return "scoring"
        return "failed" if row.failure is not None else "to be scored"
    step = max(stage.step, sum(each.steps for each in stage.run.config.stages[:-1]))
    if stage.running:
        return f"running, step {step} of {steps}"
    if stage.failure is not None:
        return "failed"
    return f"stopped at step {step} of {steps}" if step else "missing"


def describe_cost(todo: Sequence[PlannedRun]) -> str:
    """What there is to train: "75 stages, 3.6 million crops", or "nothing"."""
    stages, crops = sum(run.trains for run in todo), sum(run.crops for run in todo)
    count = f"{crops / 1e6:.1f} million crops" if crops >= 1e6 else f"{crops:,} crops"
    return f"{stages} stages, {count}" if stages else "nothing"


def sweep_status(
    study: Study, out: Path, rows: Sequence[str] | None = None, seeds: Sequence[int] | None = None
) -> str:
    """How far a study is, for people: a line a row, a column a seed, what failed, and what there is to do.

    Raises:
        ConfigError: wrong settings, or a damaged file.
    """
    evaluated = records.describe_evaluation(study)
    study = study.including(seeds or ())
    seeds = study.seeds if seeds is None else seeds
    chosen = select(plan_runs(study), study.require_rows(rows), seeds)
    states = [inspect_run(run, out, evaluated) for run in chosen]
    stages = {state.run.folder: state for state in states if state.run.trains}
    column = study.columns[study.main_column]
    of_rows = [state for state in states if not state.run.trains]
    cells = {(state.run.row, state.run.seed): describe_row(state, stages, column) for state in of_rows}
    crops = {state.run.row: f"{sum(each.crops for each in state.run.upstream):,}" for state in of_rows}
    body = [
        [study.labels[row], crops[row], *(cells[row, seed] for seed in seeds)]
        for row in study.names
        if row in crops
    ]
    text = [
        format_table([column.words, "crops", *(f"seed {seed}" for seed in seeds)], body),
        f"{sum(state.done for state in of_rows)} of {len(of_rows)} rows and seeds are done",
        f"to train: {describe_cost(what_is_missing(states))}; stages in common count once",
    ]
    for state in states:
        if state.failure is not None and not state.done and not state.running:
            text.append(f"{state.run.name} failed: {state.failure.error}; log: {state.failure.log}")
    for state in states:
        if state.changed:
            made = "was made with other settings (key: there, now)"
            text.append(f"{state.run.name} {made}: {'; '.join(state.changed)}")
    return "\n".join(text)
