"""A sweep: the runs of a study that are missing, side by side, and their scores in one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flow_cache.workers import WorkerPool, usable_cores
from slimdp.atomic import whole_file
from slimdp.settings_file import to_plain
from slimdp.sweep.check import check_runs, refuse_changed
from slimdp.sweep.kept import keep_study
from slimdp.sweep.lock import HeldError, held
from slimdp.sweep.plan import PlannedRun, plan_runs, select
from slimdp.sweep.records import (
    LOCK,
    Evaluated,
    Failure,
    RunResult,
    describe_evaluation,
    read_record,
    write_failure,
)
from slimdp.sweep.schedule import Schedule
from slimdp.sweep.states import RunState, look_at
from slimdp.sweep.study import Study
from slimdp.sweep.work import RunTask, carry_out
from slimdp.training.processes import choose_device
from slimdp.training.run_folder import git_state

#: What a sweep writes its scores to, unless told otherwise.
RESULTS = "results.json"


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep left."""

    results: tuple[RunResult, ...]  # of all runs of the study that are done, seed by seed
    failures: dict[str, Failure]  # by run
    blocked: tuple[str, ...]  # runs that could not begin for a failure


def sweep(
    study: Study,
    out: Path,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    device: str = "auto",
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> SweepSummary:
    """Train and score what is missing of a study; killed at any moment, the next call goes on.

    On a CPU a run comes out with the same bits whatever stopped it, and whoever trained the stages that it
    shares with others. A run that fails does not keep others from running; the next call tries it again.

    Args:
        study: rows and seeds; paths in their settings are relative to the working directory.
        out: a folder for it, with ROW/seed_N/ and shared/; made where it is missing.
        rows, seeds: only these; None: those of the study.
        jobs: runs side by side, each in a process of one thread; None: one a core, or one on a GPU.
        device: as for `train`.
        results: the file of scores, written after every run; None: `out`/results.json.
        say: what is done with lines for people.

    Raises:
        ConfigError: wrong settings, labels that cannot be used, or runs that were made with other ones;
            before anything is trained.
        HeldError: another sweep is at work in `out`.
        ValueError: fewer than one job.
    """
    out, place = Path(out), choose_device(device)
    if jobs is None:
        jobs = usable_cores() if place.type == "cpu" else 1
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}; wanted 1 or more")
    plan = plan_runs(study.including(seeds or ()))
    chosen = select(plan, study.require_rows(rows), study.seeds if seeds is None else seeds)
    mine = {run.folder for run in chosen}
    evaluated = describe_evaluation(study.evaluate)
    with _alone(out):
        states = [look_at(run, out, evaluated) for run in plan]
        asked_for = [state for state in states if state.run.folder in mine]
        refuse_changed(asked_for, out)
        keep_study(study, out)
        todo = what_is_missing(asked_for)
        running = _Sweep(out, evaluated, device, jobs, results or out / RESULTS, say, states, todo)
        if todo:
            say(f"{study.title}: {len(todo)} runs to do, {min(jobs, len(todo))} at a time")
            check_runs(todo, evaluated)
            running.go()
        return running.summary()


def what_is_missing(states: Sequence[RunState]) -> list[PlannedRun]:
    """The rows that are not done, and the shared runs that they wait for, in the order of the plan."""
    missing: list[PlannedRun] = []
    needed: set[Path] = set()
    for state in reversed(states):  # what a run begins with comes before it
        if state.done or (state.run.row is None and state.run.folder not in needed):
            continue
        missing.append(state.run)
        if state.run.before and not state.trained:
            needed.add(state.run.before[-1].folder)
    return missing[::-1]


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(held(out / LOCK))
        except HeldError as error:
            raise HeldError(
                f"another sweep is at work in {out} ({error}); wait for its end, or choose another --out"
            ) from None
        yield


class _Sweep:
    """The runs that are under way, as their parent sees them."""

    def __init__(
        self,
        out: Path,
        evaluated: Evaluated,
        device: str,
        jobs: int,
        results_file: Path,
        say: Callable[[str], None],
        states: Sequence[RunState],
        todo: Sequence[PlannedRun],
    ) -> None:
        self._out, self._evaluated, self._device, self._jobs = out, evaluated, device, min(jobs, len(todo))
        self._results_file, self._say = results_file, say
        known = [(state.run, _seconds(out, state.run, state.result)) for state in states if state.done]
        self._schedule = Schedule(todo, [(run, seconds) for run, seconds in known if seconds])
        self._runs = [state.run for state in states]
        self._results = {
            state.run.folder: state.result for state in states if state.done and state.result is not None
        }
        self._failures: dict[str, Failure] = {}
        self._ended, self._all = 0, len(todo)
        git = git_state()
        self._commit = "unknown" if git is None else git["commit"] + " with changes" * git["changed"]
        self._save()

    def go(self) -> None:
        """Carry out what is to be done."""
        with WorkerPool(carry_out, self._jobs, queued=0) as pool:
            for task, answer in pool.answers(self._next):
                self._ended += 1
                if isinstance(answer, Exception):
                    self._failed(task.run, answer)
                else:
                    self._finished(task.run, answer)

    def summary(self) -> SweepSummary:
        """What is there now."""
        blocked = tuple(run.name for run in self._schedule.blocked)
        return SweepSummary(self._sorted(), dict(self._failures), blocked)

    def _next(self) -> RunTask | None:
        run = self._schedule.next()
        if run is None:
            return None
        shared = f", which {len(run.rows)} rows begin with" if run.row is None else ""
        self._say(f"{run.name}: started{shared}")
        return RunTask(self._out, run, self._evaluated, self._device, self._commit)

    def _finished(self, run: PlannedRun, result: RunResult | None) -> None:
        seconds = _seconds(self._out, run, result)
        self._schedule.finish(run, seconds)
        said = "trained"
        if result is not None:
            self._results[run.folder] = result
            self._save()
            scores = " / ".join(f"{value:.1f}" for value in result.scores.values())
            said = f"{scores} % within {' / '.join(result.scores).replace('cm', '')} cm"
        left = self._schedule.seconds_left(self._jobs)
        when = "" if not left else f"; about {duration(left)} left"
        self._say(f"{run.name}: {said}, {duration(seconds)} ({self._ended} of {self._all}{when})")

    def _failed(self, run: PlannedRun, error: Exception) -> None:
        self._schedule.fail(run)
        failure = self._failures[run.name] = write_failure(self._out / run.folder, error)
        self._say(f"{run.name}: FAILED ({self._ended} of {self._all}): {failure.error}; log: {failure.log}")

    def _sorted(self) -> tuple[RunResult, ...]:
        return tuple(self._results[run.folder] for run in self._runs if run.folder in self._results)

    def _save(self) -> None:
        with whole_file(self._results_file) as temporary:
            text = json.dumps([to_plain(result) for result in self._sorted()], indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")


def _seconds(out: Path, run: PlannedRun, result: RunResult | None) -> float:
    """That a run which is done took, without those before it."""
    if result is not None:
        return result.seconds
    record = read_record(out / run.folder)
    return 0.0 if record is None else record.seconds


def duration(seconds: float) -> str:
    """A time for people: "48 s", "12 min", "2 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
