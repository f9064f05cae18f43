from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slimdp.studies import PlannedRun
from slimdp.studies.executor import run_status, seconds_left
from slimdp.studies.prepare import RunState, what_is_missing
from tests.studies.test_plan import planned, trained


class Taken:
    """Runs that somebody takes as they come, and whose ends are what is in a folder."""

    def __init__(self, runs: tuple[PlannedRun, ...], out: Path) -> None:
        self.prepared: Any = SimpleNamespace(todo=runs, out=out, evaluated=None)
        self.finished: set[Path] = set()
        self.under_way: set[Path] = set()
        self.failures: set[Path] = set()

    def status(self) -> Any:
        return run_status(self.prepared, self.finished, self.under_way, self.failures, alone=True)

    def take(self) -> PlannedRun:
        run = self.status().ready[0]
        self.under_way.add(run.folder)
        return run

    def take_all(self) -> list[PlannedRun]:
        runs = []
        while self.status().ready:
            runs.append(self.take())
        return runs

    def finish(self, run: PlannedRun) -> None:
        self.under_way.remove(run.folder)
        self.finished.add(run.folder)
        end(run, self.prepared.out)

    def fail(self, run: PlannedRun) -> None:
        self.under_way.remove(run.folder)
        self.failures.add(run.folder)


def end(run: PlannedRun, out: Path) -> None:
    if run.trains:
        run.checkpoint(out).parent.mkdir(parents=True, exist_ok=True)
        run.checkpoint(out).touch()


def stages(*rows: str) -> tuple[PlannedRun, ...]:
    """The runs that train; those that score come after them."""
    return tuple(run for run in planned(*rows) if run.trains)


def test_what_others_wait_for_comes_first_and_they_come_after_it(tmp_path: Path) -> None:
    taken = Taken(planned("p", "q", "abx", "aby", "acz"), tmp_path)
    first = taken.take_all()
    assert [trained(run) for run in first] == ["a", "p", "q"]
    taken.finish(first[1])
    assert [run.row for run in taken.take_all()] == ["0"]
    taken.finish(first[0])
    second = taken.take_all()
    assert [trained(run) for run in second] == ["b", "c"]
    taken.finish(first[2])
    assert [run.row for run in taken.take_all()] == ["1"]
    taken.finish(second[0])
    taken.finish(second[1])
    assert [trained(run) for run in taken.take_all()] == ["x", "y", "z"]


def test_rows_are_scored_as_soon_as_they_can_be(tmp_path: Path) -> None:
    taken = Taken(planned("a", "bc"), tmp_path)
    b, a = taken.take(), taken.take()
    taken.finish(a)
    taken.finish(b)
    assert [run.row or trained(run) for run in taken.take_all()] == ["0", "c"]


def test_what_a_row_begins_with_may_be_done_before(tmp_path: Path) -> None:
    runs = stages("ax", "ay")
    end(runs[0], tmp_path)
    assert [trained(run) for run in Taken(runs[1:], tmp_path).take_all()] == ["x", "y"]


def test_nobody_waits_for_what_is_not_made_again(tmp_path: Path) -> None:
    """The weights of a first stage were removed, as they may be once the second one is trained."""
    first, second, row = planned("ax")
    end(second, tmp_path)
    todo = what_is_missing([state_of(run, tmp_path) for run in (first, second, row)])
    assert todo == [row]
    assert Taken(tuple(todo), tmp_path).take_all() == [row]


def state_of(run: PlannedRun, out: Path) -> RunState:
    """Of a run that is done where its weights are there."""
    there = run.checkpoint(out).exists()
    return RunState(run, done=there and run.trains, running=False, step=0, trained=there)


def test_a_failure_blocks_those_that_begin_with_it_alone(tmp_path: Path) -> None:
    taken = Taken(planned("abx", "aby", "az", "q"), tmp_path)
    (a, q) = taken.take_all()
    taken.finish(a)
    b, z = taken.take_all()
    taken.fail(b)
    assert [run.row for run in taken.status().blocked] == [None, "0", None, "1"]
    taken.fail(q)
    taken.finish(z)
    assert [run.row for run in taken.take_all()] == ["2"]
    assert taken.status().failed == (b, q)


def test_the_time_left_follows_from_what_is_known() -> None:
    shared, x, y = stages("ax", "ay")
    assert seconds_left([], [(shared, 0.0)], 2) is None
    known = [(shared, 8.0)]
    # As many crops each as the shared stage: 8 s each, in two processes.
    assert seconds_left(known, [(x, 0.0), (y, 0.0)], 2) == 8.0
    assert seconds_left(known, [(x, 0.0), (y, 0.0)], 1) == 16.0
    assert seconds_left(known, [(x, 3.0), (y, 0.0)], 1) == 13.0
    assert seconds_left(known, [(x, 30.0), (y, 0.0)], 1) == 8.0  # it takes longer than thought
    assert seconds_left(known, [], 1) == 0.0
    # The same row for another seed tells more than the speed of all.
    known = [(shared, 8.0), (x, 100.0)]
    assert seconds_left(known, [(run, 0.0) for run in (shared, x, y)], 1) == 8.0 + 100.0 + (100.0 + 8.0) / 2


def test_scoring_is_estimated_from_scoring() -> None:
    runs = planned("a", "b", "c")
    known = [(run, 5.0 if run.row == "0" else 50.0) for run in runs if run.row in (None, "0")]
    assert seconds_left(known, [(run, 0.0) for run in runs if run.row in ("1", "2")], 1) == pytest.approx(10)
