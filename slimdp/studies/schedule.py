"""Which run of a sweep comes next, and how long it all will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from slimdp.studies.plan import PlannedRun


class Schedule:
    """Gives out the runs of a plan, none before those that it begins with.

    Of those that can begin it takes rows to score first: they are short, and somebody waits for them. Then it
    takes the stage with the longest way to the end behind it, so that no process waits for one that many rows
    share; then the first one of the study.

    Args:
        runs: those to do, in the order of the plan.
        known: runs that are done, and the seconds that they took, to estimate with.
        clock: seconds from any start.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        known: Iterable[tuple[PlannedRun, float]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._known = list(known)
        self._waiting = list(runs)
        self._started: dict[Path, tuple[PlannedRun, float]] = {}
        self.failed: list[PlannedRun] = []
        self.blocked: list[PlannedRun] = []  # by one that failed
        self._way = work_ahead(self._waiting)

    def next(self) -> PlannedRun | None:
        """The run to begin now; None where all that are left wait for others."""
        pending = {run.folder for run in self._waiting} | set(self._started)
        ready = [run for run in self._waiting if not pending & {each.folder for each in run.before}]
        if not ready:
            return None
        run = max(ready, key=lambda run: (not run.trains, self._way[run.folder]))  # the first of the longest
        self._waiting.remove(run)
        self._started[run.folder] = run, self._clock()
        return run

    def finish(self, run: PlannedRun, seconds: float) -> None:
        """Take note of a run's end, and of the seconds that it took, over all attempts."""
        del self._started[run.folder]
        self._known.append((run, seconds))

    def fail(self, run: PlannedRun) -> None:
        """Take note that a run failed: those that begin with it are not given out."""
        del self._started[run.folder]
        self.failed.append(run)
        blocked = [each for each in self._waiting if begins_with(each, run)]
        self._waiting = [each for each in self._waiting if each not in blocked]
        self.blocked += blocked

    def seconds_left(self, processes: int) -> float | None:
        """As estimated from the same row for other seeds, or from the speed of all; None: not known."""
        work = 0.0
        for run, start in [*self._started.values(), *((run, None) for run in self._waiting)]:
            whole = self._estimate(run)
            if whole is None:
                return None
            work += whole if start is None else max(whole - (self._clock() - start), 0.0)
        return work / max(min(processes, len(self._started) + len(self._waiting)), 1)

    def _estimate(self, run: PlannedRun) -> float | None:
        """From the same for other seeds; else, by its work, from what was trained or scored."""
        same = [seconds for other, seconds in self._known if other.folder.parent == run.folder.parent]
        alike = [(other, seconds) for other, seconds in self._known if other.trains == run.trains]
        if same:
            return sum(same) / len(same)
        if not run.trains:
            return sum(seconds for _, seconds in alike) / max(
                len(alike), 1
            )  # little; nothing, where not known
        work = sum(other.work for other, _ in alike)
        return sum(seconds for _, seconds in alike) / work * run.work if work else None


def work_ahead(runs: Sequence[PlannedRun]) -> dict[Path, float]:
    """The work of the longest way from each run to the end, itself included, by the runs' folders.

    Args:
        runs: in the order of the plan, each after those that it begins with.
    """
    way: dict[Path, float] = {}
    after: dict[Path, float] = {}  # the longest way behind a run
    for run in reversed(runs):
        way[run.folder] = run.work + after.get(run.folder, 0.0)
        if run.before:
            before = run.before[-1].folder
            after[before] = max(after.get(before, 0.0), way[run.folder])
    return way


def begins_with(run: PlannedRun, other: PlannedRun) -> bool:
    """Whether a run begins with the end of another one, or of one that does."""
    return other.folder in {each.folder for each in run.before}
