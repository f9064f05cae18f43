"""A sweep as jobs through submitit: on this machine, or on a cluster under SLURM.

Nothing is shared out beforehand. Every job looks what is missing in the study's folder, takes what nobody is
at, and ends when nothing is left that it could do; so jobs may come, be killed and be queued again at any
time. What is taken is told by the run's lock, which the file system has to keep among machines.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flow_cache.runtime.lock import HeldError, held, is_held
from flow_cache.runtime.workers import WorkerPool
from slimdp.studies.plan import PlannedRun
from slimdp.studies.prepare import alone
from slimdp.studies.records import FAILURE, LOCK, RunResult, read_record, read_result
from slimdp.studies.results import describe_scores
from slimdp.studies.schedule import work_ahead
from slimdp.studies.work import RunTask, carry_out, note_failure

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

    from slimdp.studies.prepare import Prepared

_SECONDS_BETWEEN_LOOKS = 1.0
#: Held by who writes the scores, so that the last one to write them has seen all.
_RESULTS_LOCK = ".results.lock"


@dataclass(frozen=True)
class SweepJob:
    """Does what is missing of a study when it is called in the job's process; called again, it goes on.

    Args:
        prepared: the study.
        gpus: the job's GPUs as CUDA_VISIBLE_DEVICES names them; None leaves that as the job finds it.
    """

    prepared: Prepared
    gpus: str | None = None

    def __call__(self) -> int:
        """The number of runs that it did."""
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
        done, finished, failed = 0, set[Path](), set[Path]()
        # Runs have a process of their own: one that is killed for its memory does not take the job along.
        with (
            alone(self.prepared.out, together=True),
            WorkerPool(carry_out_in_job, 1, queued=0) as pool,
        ):
            for task, answer in pool.answers(partial(self._next, finished, failed)):
                if isinstance(answer, HeldError):  # another job was quicker
                    continue
                if isinstance(answer, Exception):
                    failed.add(task.run.folder)
                    note_failure(task.run.place(self.prepared.out), answer)
                    print(f"{task.run.name}: FAILED: {type(answer).__name__}: {answer}", flush=True)
                    continue
                done += 1
                print(f"{task.run.name}: {describe_scores(answer) if answer else 'trained'}", flush=True)
                if answer is not None:
                    save_all_results(self.prepared)
        return done

    def checkpoint(self) -> DelayedSubmission:
        """What submitit queues when the job runs out of time or is displaced: the same, which goes on."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _next(self, finished: set[Path], failed: set[Path]) -> RunTask | None:
        """What to do now; waits while all that is left waits for other jobs. None: nothing is left.

        What failed in this job is not taken up by it again, whatever its folder says: for ever, if the folder
        could not be told of it.
        """
        while True:
            look = run_status(self.prepared, finished)
            for run in look.ready:
                if run.folder not in failed:
                    return self.prepared.task(run, wait=False)
            if not look.busy:
                return None
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def carry_out_in_job(task: RunTask) -> RunResult | None:
    """`carry_out`, unmoved by a cluster's warning of the job's end, which is for the job itself."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    return carry_out(task)


@dataclass(frozen=True)
class RunStatus:
    """What the folders say of the runs that are to be done."""

    done: tuple[PlannedRun, ...]
    failed: tuple[PlannedRun, ...]
    blocked: tuple[PlannedRun, ...]  # by one that failed
    busy: tuple[PlannedRun, ...]  # a job is at them
    ready: tuple[PlannedRun, ...]  # to begin, the most urgent first
    waiting: tuple[PlannedRun, ...]  # for others


def run_status(prepared: Prepared, finished: set[Path]) -> RunStatus:
    """Sort the runs that are to be done by what their folders say of them.

    As `Schedule` has it, rows to score come first, then stages with the longest way to the end. Those
    that somebody began and left come last, for whatever ended that job may end this one too.

    Args:
        prepared: the study.
        finished: folders of runs that were found done before, which are not looked at again; it grows.
    """
    done, failed, busy, ready, waiting = [], [], [], [], []
    for run in prepared.todo:
        folder = run.place(prepared.out)
        if run.folder in finished or _is_done(prepared, run):
            finished.add(run.folder)
            done.append(run)
        elif is_held(folder / LOCK):
            busy.append(run)
        elif (folder / FAILURE).exists():
            failed.append(run)
        elif all(before.checkpoint(prepared.out).exists() for before in run.before):
            ready.append(run)
        else:
            waiting.append(run)
    way = work_ahead(prepared.todo)
    ready.sort(key=lambda run: (_was_begun(run.place(prepared.out)), run.trains, -way[run.folder]))
    broken = {run.folder for run in failed}
    blocked = [run for run in waiting if broken & {each.folder for each in run.before}]
    waiting = [run for run in waiting if not broken & {each.folder for each in run.before}]
    return RunStatus(tuple(done), tuple(failed), tuple(blocked), tuple(busy), tuple(ready), tuple(waiting))


def save_all_results(prepared: Prepared) -> Mapping[Path, RunResult]:
    """Write the scores that there are now, those from before among them; by the runs' folders."""
    with held(prepared.results_file.with_name(_RESULTS_LOCK), wait=True):
        results = prepared.known
        for run in prepared.todo:
            if run.row is not None:
                result = read_result(run.place(prepared.out), prepared.evaluated)
                if result is not None:
                    results[run.folder] = result
        prepared.save(results)
    return results


def _is_done(prepared: Prepared, run: PlannedRun) -> bool:
    if run.trains:
        return run.checkpoint(prepared.out).exists()
    return read_result(run.place(prepared.out), prepared.evaluated) is not None


def _was_begun(folder: Path) -> bool:
    record = read_record(folder)
    return record is not None and record.started is not None
