from __future__ import annotations

from slimdp.studies import PlannedRun
from slimdp.studies.schedule import Schedule
from tests.studies.test_plan import planned, trained


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def given_out(schedule: Schedule) -> list[PlannedRun]:
    runs = []
    while (run := schedule.next()) is not None:
        runs.append(run)
    return runs


def stages(*rows: str) -> tuple[PlannedRun, ...]:
    """The runs that train; those that score come after them."""
    return tuple(run for run in planned(*rows) if run.trains)


def test_what_others_wait_for_comes_first_and_they_come_after_it() -> None:
    schedule = Schedule(planned("p", "q", "abx", "aby", "acz"))
    first = given_out(schedule)
    assert [trained(run) for run in first] == ["a", "p", "q"]
    schedule.finish(first[1], 1.0)
    assert [run.row for run in given_out(schedule)] == ["0"]
    schedule.finish(first[0], 1.0)
    second = given_out(schedule)
    assert [trained(run) for run in second] == ["b", "c"]
    schedule.finish(first[2], 1.0)
    assert [run.row for run in given_out(schedule)] == ["1"]
    schedule.finish(second[0], 1.0)
    schedule.finish(second[1], 1.0)
    assert [trained(run) for run in given_out(schedule)] == ["x", "y", "z"]


def test_rows_are_scored_as_soon_as_they_can_be() -> None:
    schedule = Schedule(planned("a", "bc"))
    b = schedule.next()
    a = schedule.next()
    assert a is not None
    assert b is not None
    schedule.finish(a, 1.0)
    schedule.finish(b, 1.0)
    assert [run.row or trained(run) for run in given_out(schedule)] == ["0", "c"]


def test_what_a_row_begins_with_may_be_done_before() -> None:
    runs = stages("ax", "ay")
    assert [trained(run) for run in given_out(Schedule(runs[1:]))] == ["x", "y"]


def test_a_failure_blocks_those_that_begin_with_it_alone() -> None:
    schedule = Schedule(planned("abx", "aby", "az", "q"))
    (a, q) = given_out(schedule)
    schedule.finish(a, 1.0)
    b, z = given_out(schedule)
    schedule.fail(b)
    assert [run.row for run in schedule.blocked] == [None, "0", None, "1"]
    schedule.fail(q)
    schedule.finish(z, 1.0)
    assert [run.row for run in given_out(schedule)] == ["2"]
    assert schedule.failed == [b, q]


def test_the_time_left_follows_from_what_is_known() -> None:
    runs = stages("ax", "ay")
    clock = Clock()
    schedule = Schedule(runs, clock=clock)
    assert schedule.seconds_left(2) is None
    shared = schedule.next()
    assert shared is not None
    schedule.finish(shared, 8.0)
    # As many crops each as the shared stage: 8 s each, in two processes.
    assert schedule.seconds_left(2) == 8.0
    assert schedule.seconds_left(1) == 16.0
    assert schedule.next() is not None
    clock.now = 3.0
    assert schedule.seconds_left(1) == 13.0
    clock.now = 30.0  # it takes longer than thought
    assert schedule.seconds_left(1) == 8.0
    # The same row for another seed tells more than the speed of all.
    schedule = Schedule(runs, [(runs[0], 8.0), (runs[1], 100.0)], clock)
    assert schedule.seconds_left(1) == 8.0 + 100.0 + (100.0 + 8.0) / 2


def test_scoring_is_estimated_from_scoring() -> None:
    runs = planned("a", "b", "c")
    known = [(run, 5.0 if run.row == "0" else 50.0) for run in runs if run.row in (None, "0")]
    assert Schedule([run for run in runs if run.row in ("1", "2")], known).seconds_left(1) == 10.0
