"""What carries out a study: it looks what is missing in the study's folder, and takes what nobody is at.

Nothing is shared out beforehand. On one machine a sweep is one executor with several processes; as an array
of jobs, here or on a cluster, each job is an executor with one. Executors may come, be killed and be started
again at any time. A run's lock tells that it is taken, which the file system has to keep among machines.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_cache.runtime.lock import HeldError, held, is_held
from flow_cache.runtime.workers import WorkerPool
from slimdp.studies.plan import PlannedRun
from slimdp.studies.prepare import Prepared
from slimdp.studies.records import FAILURE, LOCK, Failure, RunResult, read_record, read_result
from slimdp.studies.work import RunTask, carry_out, note_failure

_SECONDS_BETWEEN_LOOKS = 1.0
#: Held by who writes the scores, so that the last one to write them has seen all.
_RESULTS_LOCK = ".results.lock"


class Executor:
    """Does what is missing of a study, until nothing is left that it could do.

    A run that fails keeps no others from being done, and is not taken up by this executor again, whatever its
    folder says: for ever, if the folder could not be told of it.

    Args:
        prepared: the study.
        processes: runs side by side. Each has a process of its own: one that is killed for its memory does
            not take the executor along.
        alone: whether no other executor may be at work in the study's folder.
        began: told of every run that begins.
        ended: told of every run that ends, with its score, None of a stage, or why it failed.
    """

    def __init__(
        self,
        prepared: Prepared,
        processes: int,
        alone: bool,
        began: Callable[[PlannedRun], None],
        ended: Callable[[PlannedRun, RunResult | Failure | None], None],
    ) -> None:
        self._prepared, self._processes, self._alone = prepared, processes, alone
        self._began, self._ended = began, ended
        self._finished: set[Path] = set()
        self.under_way: dict[Path, float] = {}  # since when, by folder; of `time.monotonic`
        self.failures: dict[Path, Failure] = {}

    def go(self) -> None:
        """Carry out what is missing; returns when the rest is done, failed or waits for what failed."""
        with WorkerPool(carry_out_unmoved, self._processes, queued=0) as pool:
            for task, answer in pool.answers(self._next, _SECONDS_BETWEEN_LOOKS):
                folder = task.run.folder
                del self.under_way[folder]
                if isinstance(answer, HeldError):  # another executor was quicker
                    continue
                if isinstance(answer, Exception):
                    place = task.run.place(self._prepared.out)
                    self.failures[folder] = note_failure(place, answer)
                    self._ended(task.run, self.failures[folder])
                else:
                    self._ended(task.run, answer)

    def status(self) -> RunStatus:
        """How far all runs are that are to be done, as far as this executor knows."""
        return run_status(self._prepared, self._finished, self.under_way, self.failures, self._alone)

    def _next(self) -> RunTask | None:
        """What to do now; waits while all that is left waits for other executors. None: nothing now."""
        while True:
            status = self.status()
            if status.ready:
                run = status.ready[0]
                self.under_way[run.folder] = time.monotonic()
                self._began(run)
                return self._prepared.task(run)
            if self.under_way or not status.busy:
                return None
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def carry_out_unmoved(task: RunTask) -> RunResult | None:
    """`carry_out`, unmoved by a cluster's warning of a job's end, which is for the job itself."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    return carry_out(task)


@dataclass(frozen=True)
class RunStatus:
    """What the folders say of the runs that are to be done."""

    done: tuple[PlannedRun, ...]
    failed: tuple[PlannedRun, ...]
    blocked: tuple[PlannedRun, ...]  # by one that failed
    busy: tuple[PlannedRun, ...]  # somebody is at them
    ready: tuple[PlannedRun, ...]  # to begin, the most urgent first
    waiting: tuple[PlannedRun, ...]  # for others


def run_status(
    prepared: Prepared,
    finished: set[Path],
    under_way: Collection[Path] = (),
    failures: Collection[Path] = (),
    alone: bool = False,
) -> RunStatus:
    """Sort the runs that are to be done by what their folders say of them.

    Of those that can begin, rows to score come first: they are short, and somebody waits for them. Then comes
    the stage with the longest way to the end behind it, so that no process waits for one that many rows
    share.

    Args:
        prepared: the study.
        finished: folders of runs that were found done before, which are not looked at again; it grows.
        under_way: folders of runs that the caller began.
        failures: folders of runs that failed, whatever is in them.
        alone: False: runs that somebody began and left come last, for whatever ended that job may end this
            one too.
    """
    done, failed, busy, ready, waiting = [], [], [], [], []
    for run in prepared.todo:
        folder = run.place(prepared.out)
        if run.folder in finished or (run.folder not in under_way and _is_done(prepared, run)):
            finished.add(run.folder)
            done.append(run)
        elif run.folder in under_way or is_held(folder / LOCK):
            busy.append(run)
        elif run.folder in failures or (folder / FAILURE).exists():
            failed.append(run)
        elif all(each.checkpoint(prepared.out).exists() for each in run.upstream):
            ready.append(run)
        else:
            waiting.append(run)
    way = work_ahead(prepared.todo)

    def urgency(run: PlannedRun) -> tuple[bool, bool, float]:
        begun = not alone and _was_begun(run.place(prepared.out))
        return begun, run.trains, -way[run.folder]

    ready.sort(key=urgency)
    broken = {run.folder for run in failed}
    blocked = [run for run in waiting if broken & {each.folder for each in run.upstream}]
    waiting = [run for run in waiting if not broken & {each.folder for each in run.upstream}]
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


def work_ahead(runs: Sequence[PlannedRun]) -> dict[Path, float]:
    """The work of the longest way from each run to the end, itself included, by the runs' folders.

    Args:
        runs: in the order of the plan, each after those that it begins with.
    """
    way: dict[Path, float] = {}
    after: dict[Path, float] = {}  # the longest way behind a run
    for run in reversed(runs):
        way[run.folder] = run.work + after.get(run.folder, 0.0)
        if run.upstream:
            folder = run.upstream[-1].folder
            after[folder] = max(after.get(folder, 0.0), way[run.folder])
    return way


def seconds_left(
    known: Iterable[tuple[PlannedRun, float]], left: Iterable[tuple[PlannedRun, float]], processes: int
) -> float | None:
    """How long runs will take; None where that is not known.

    Args:
        known: runs that are done, and the seconds that they took.
        left: runs that are not, and for how many seconds somebody has been at them.
        processes: that share the work.
    """
    known, work, count = list(known), 0.0, 0
    for run, spent in left:
        whole = _estimate(run, known)
        if whole is None:
            return None
        work += max(whole - spent, 0.0)
        count += 1
    return work / max(min(processes, count), 1)


def _estimate(run: PlannedRun, known: Sequence[tuple[PlannedRun, float]]) -> float | None:
    """From the same for other seeds; else, by its work, from what was trained or scored."""
    same = [seconds for other, seconds in known if other.folder.parent == run.folder.parent]
    if same:
        return sum(same) / len(same)
    alike = [(other, seconds) for other, seconds in known if other.trains == run.trains]
    seconds = sum(seconds for _, seconds in alike)
    if not run.trains:
        return seconds / max(len(alike), 1)  # little; nothing, where not known
    work = sum(other.work for other, _ in alike)
    return seconds / work * run.work if work else None


def _is_done(prepared: Prepared, run: PlannedRun) -> bool:
    if run.trains:
        return run.checkpoint(prepared.out).exists()
    return read_result(run.place(prepared.out), prepared.evaluated) is not None


def _was_begun(folder: Path) -> bool:
    record = read_record(folder)
    return record is not None and record.started is not None
