"""A sweep: what is missing of a study, trained and scored here or in jobs, and its scores in one file."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_cache.runtime import job_array
from flow_cache.runtime.machine import usable_cores
from flow_cache.runtime.words import counted
from slimdp.studies.executor import Executor, RunStatus, run_status, save_all_results, seconds_left
from slimdp.studies.plan import PlannedRun
from slimdp.studies.prepare import Prepared, alone, describe_cost, prepare, seconds_of
from slimdp.studies.records import FAILURE, LOG, Failure, RunResult, read_failure
from slimdp.studies.results import SweepSummary, duration, keep_before
from slimdp.studies.study import Study
from slimdp.training.distributed import choose_device

if TYPE_CHECKING:
    from submitit import Job

Log = Callable[[str], None]
_POLL_SECONDS = {"local": 0.5, "slurm": 5.0}


def sweep(
    study: Study,
    out: Path,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    device: str = "auto",
    results: Path | None = None,
    log: Log = print,
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
        results: a file for a copy of the scores, which `out`/scores.jsonl has anyway, after every run.
        log: what is done with lines for people.

    Raises:
        ConfigError: wrong settings, labels that cannot be used, or runs that were made with other ones;
            before anything is trained.
        HeldError: another sweep is at work in `out`.
        ValueError: fewer than one job.
    """
    out, place = Path(out), choose_device(device)
    if jobs is None:
        jobs = usable_cores() if place.type == "cpu" else 1
    _check_jobs(jobs)
    with alone(out):
        prepared = _begun(prepare(study, out, rows, seeds, device, results), log)
        jobs = min(jobs, len(prepared.todo))
        running = _Sweep(prepared, jobs, log)
        if prepared.todo:
            log(f"{study.title}: {describe_todo(prepared)}; {jobs} at a time")
            running.executor.go()
        return summarise(prepared, running.executor.status(), running.executor.failures)


def submit_sweep(
    study: Study,
    out: Path,
    jobs: int,
    cluster: str = "local",
    asked: Mapping[str, Any] | None = None,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    results: Path | None = None,
    log: Log = print,
) -> SubmittedSweep:
    """Start jobs that do what is missing of a study; all is checked before the first one starts.

    Args:
        study, out, rows, seeds, device, results, log: as of `sweep`. The folders must be at the same
            place on all machines.
        jobs: how many, each doing one run at a time; not more than there are stages and rows to do.
        cluster: local or slurm.
        asked: what a job asks SLURM for, see `job_array.make_executor`.

    Raises:
        ConfigError, HeldError: as of `sweep`.
        JobError: a cluster or settings that do not serve.
        ValueError: fewer than one job.
    """
    out = Path(out)
    _check_jobs(jobs)
    asked = {"name": "slimdp_sweep", **(asked or {})} if cluster == "slurm" else asked or {}
    with tempfile.TemporaryDirectory() as nowhere:
        job_array.make_executor(cluster, Path(nowhere), asked, 1)
    with alone(out):
        prepared = _begun(prepare(study, out, rows, seeds, device, results), log)
    count = min(jobs, len(prepared.todo))
    if not count:
        return SubmittedSweep(prepared, cluster, ())
    folder = job_array.new_jobs_folder(out)
    log(f"{study.title}: {describe_todo(prepared)}; {counted(count, 'job')}; logs are in {folder}")
    gpus = job_array.visible_gpus() if cluster == "local" and device != "cpu" else []
    works = [SweepJob(prepared, gpus[number % len(gpus)] if gpus else None) for number in range(count)]
    submitted = job_array.submit_array(job_array.make_executor(cluster, folder, asked, 1), cluster, works)
    return SubmittedSweep(prepared, cluster, tuple(submitted))


def describe_todo(prepared: Prepared) -> str:
    """ "12 rows and seeds to do: 75 stages, 3.6 million crops"."""
    rows = sum(not run.trains for run in prepared.todo)
    return f"{rows} rows and seeds to do; to train: {describe_cost(prepared.todo)}"


class _Sweep:
    """An executor on this machine, and what is said of its runs."""

    def __init__(self, prepared: Prepared, processes: int, log: Log) -> None:
        self._prepared, self._processes, self._log = prepared, processes, log
        self.executor = Executor(prepared, max(processes, 1), True, self._began, self._done)
        done = [state for state in prepared.states if state.done]
        seconds = [(state.run, seconds_of(prepared.out, state.run, state.result)) for state in done]
        self._known = [(run, spent) for run, spent in seconds if spent]
        self._ended = 0

    def _began(self, run: PlannedRun) -> None:
        self._log(f"{run.name}: {'started' if run.trains else 'scoring'}")

    def _done(self, run: PlannedRun, answer: RunResult | Failure | None) -> None:
        self._ended += 1
        count = f"{self._ended} of {len(self._prepared.todo)}"
        if isinstance(answer, Failure):
            self._log(f"{run.name}: FAILED ({count}): {answer.error}; log: {answer.log}")
            return
        seconds = seconds_of(self._prepared.out, run, answer)
        self._known.append((run, seconds))
        if answer is not None:
            save_all_results(self._prepared)
        left = self._seconds_left()
        when = f"; about {duration(left)} left" if left else ""
        said = "trained" if answer is None else self._prepared.told(answer)
        self._log(f"{run.name}: {said}, {duration(seconds)} ({count}{when})")

    def _seconds_left(self) -> float | None:
        status, now = self.executor.status(), time.monotonic()
        left = (*status.busy, *status.ready, *status.waiting)
        spent = {folder: now - since for folder, since in self.executor.under_way.items()}
        return seconds_left(self._known, [(run, spent.get(run.folder, 0.0)) for run in left], self._processes)


@dataclass(frozen=True)
class SweepJob(job_array.RequeuedJob):
    """An executor in a job's process; called again, it goes on."""

    prepared: Prepared
    gpus: str | None = None  # as CUDA_VISIBLE_DEVICES names them; None leaves that as the job finds it

    def __call__(self) -> int:
        """The number of runs that it did."""
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
        done: list[PlannedRun] = []

        def ended(run: PlannedRun, answer: RunResult | Failure | None) -> None:
            if isinstance(answer, Failure):
                print(f"{run.name}: FAILED: {answer.error}", flush=True)
                return
            done.append(run)
            print(f"{run.name}: {self.prepared.told(answer) if answer else 'trained'}", flush=True)
            if answer is not None:
                save_all_results(self.prepared)

        with alone(self.prepared.out, together=True):
            Executor(self.prepared, 1, False, lambda run: None, ended).go()
        return len(done)


@dataclass(frozen=True)
class SubmittedSweep:
    """Jobs that are under way."""

    prepared: Prepared
    cluster: str
    jobs: tuple[Job[int], ...]  # none where nothing was missing

    def wait(self, log: Log = print) -> SweepSummary:
        """Wait until all jobs have ended, and tell of every run that ends; what they left.

        Raises:
            KeyboardInterrupt: as of `wait_for_jobs`.
        """
        tell = partial(self._tell, set(), set(), log)
        job_array.wait_for_jobs(self.jobs, self.cluster, tell, "slimdp sweep --status", _POLL_SECONDS)
        tell()
        summary = summarise(self.prepared, run_status(self.prepared, set()))
        for job in self.jobs if summary.left else ():
            if not job.paths.result_pickle.exists() or job.exception() is not None:
                end = f"the end of {job.paths.stderr}:\n{job_array.end_of_log(job)}"
                log(f"job {job.job_id} ended before all was done; {end}")
        return summary

    def _tell(self, told: set[Path], finished: set[Path], log: Log) -> None:
        """A line for every run that ended since the last time."""
        status = run_status(self.prepared, finished)
        ended = [run for run in (*status.done, *status.failed) if run.folder not in told]
        if not ended:  # reading all scores takes a while, and this is asked every few seconds
            return
        results = save_all_results(self.prepared)
        for run in ended:
            told.add(run.folder)
            if run in status.failed:
                failure = _failure(self.prepared, run)
                said = f"FAILED: {failure.error}; log: {failure.log}"
            else:
                said = "trained" if run.trains else self.prepared.told(results[run.folder])
            log(f"{run.name}: {said} ({len(told)} of {len(self.prepared.todo)})")


def summarise(
    prepared: Prepared, status: RunStatus, failures: Mapping[Path, Failure] | None = None
) -> SweepSummary:
    """What is there now; `failures` are those that are known, by the runs' folders."""
    results, known = save_all_results(prepared), failures or {}
    return SweepSummary(
        prepared.sorted(dict(results)),
        {run.name: known.get(run.folder) or _failure(prepared, run) for run in status.failed},
        tuple(run.name for run in status.blocked if not run.trains),
        tuple(run.name for run in (*status.busy, *status.ready, *status.waiting)),
    )


def _check_jobs(jobs: int) -> None:
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}; wanted 1 or more")


def _begun(prepared: Prepared, log: Log) -> Prepared:
    """The same, whose folder is held, with the scores that are there written and what failed to be tried."""
    before = {file: _content(file) for file in prepared.results_files}
    file = prepared.results_files[-1]  # that is asked for
    prepared.save(prepared.known)
    left_out = [each.run.name for each in prepared.states if each.changed and each.result is not None]
    if left_out:
        log(f"made with other settings, so left out of {file}: {', '.join(left_out)}")
    again = {run.folder for run in prepared.todo}
    stale = [each.run for each in prepared.states if each.outdated and each.run.folder not in again]
    if stale:
        told = "scored on other people or without a column that is new, so left out of"
        log(f"{told} {file}: {', '.join(run.name for run in stale)}")
    for file, content in before.items():
        if len(content.splitlines()) > len(_content(file).splitlines()):
            log(f"{file} has fewer scores now; as it was: {keep_before(file, content)}")
    for run in prepared.todo:
        (run.folder_in(prepared.out) / FAILURE).unlink(missing_ok=True)
    return prepared


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def _failure(prepared: Prepared, run: PlannedRun) -> Failure:
    folder = run.folder_in(prepared.out)
    return read_failure(folder) or Failure(error="it is being tried again", log=str(folder / LOG))
