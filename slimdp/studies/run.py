"""A sweep: the runs of a study that are missing, side by side, and their scores in one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from flow_cache.runtime.workers import WorkerPool, usable_cores
from slimdp.studies.plan import PlannedRun
from slimdp.studies.prepare import Prepared, alone, prepare, seconds_of
from slimdp.studies.records import Failure, RunResult
from slimdp.studies.results import SweepSummary, describe_scores, duration
from slimdp.studies.schedule import Schedule
from slimdp.studies.states import describe_cost
from slimdp.studies.study import Study
from slimdp.studies.work import RunTask, carry_out, note_failure
from slimdp.training.distributed import choose_device


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
        out: a folder for it, with ROW/seed_N/, and HASH/seed_N/ of the stages in `study.shared`; made where
            it is missing.
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
    with alone(out):
        prepared = prepare(study, out, rows, seeds, device, results)
        prepared.save(prepared.known)
        prepared.say_left_out(say)
        running = _Sweep(prepared, min(jobs, len(prepared.todo)), say)
        if prepared.todo:
            say(f"{study.title}: {describe_todo(prepared)}; {min(jobs, len(prepared.todo))} at a time")
            running.go()
        return running.summary()


def describe_todo(prepared: Prepared) -> str:
    """ "12 rows and seeds to do: 75 stages, 3.6 million crops"."""
    rows = sum(not run.trains for run in prepared.todo)
    return f"{rows} rows and seeds to do; to train: {describe_cost(prepared.todo)}"


class _Sweep:
    """The runs that are under way, as their parent sees them."""

    def __init__(self, prepared: Prepared, jobs: int, say: Callable[[str], None]) -> None:
        self._prepared, self._out, self._jobs, self._say = prepared, prepared.out, jobs, say
        done = [state for state in prepared.states if state.done]
        known = [(state.run, seconds_of(self._out, state.run, state.result)) for state in done]
        self._schedule = Schedule(prepared.todo, [(run, seconds) for run, seconds in known if seconds])
        self._results = prepared.known
        self._failures: dict[str, Failure] = {}
        self._ended = 0

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
        blocked = tuple(run.name for run in self._schedule.blocked if not run.trains)
        return SweepSummary(self._prepared.sorted(self._results), dict(self._failures), blocked)

    def _next(self) -> RunTask | None:
        run = self._schedule.next()
        if run is None:
            return None
        self._say(f"{run.name}: {'started' if run.trains else 'scoring'}")
        return self._prepared.task(run)

    def _finished(self, run: PlannedRun, result: RunResult | None) -> None:
        seconds = seconds_of(self._out, run, result)
        self._schedule.finish(run, seconds)
        said = "trained"
        if result is not None:
            self._results[run.folder] = result
            self._prepared.save(self._results)
            said = describe_scores(result)
        left = self._schedule.seconds_left(self._jobs)
        when = "" if not left else f"; about {duration(left)} left"
        self._say(f"{run.name}: {said}, {duration(seconds)} ({self._count}{when})")

    def _failed(self, run: PlannedRun, error: Exception) -> None:
        self._schedule.fail(run)
        failure = self._failures[run.name] = note_failure(run.place(self._out), error)
        self._say(f"{run.name}: FAILED ({self._count}): {failure.error}; log: {failure.log}")

    @property
    def _count(self) -> str:
        return f"{self._ended} of {len(self._prepared.todo)}"
