from __future__ import annotations

import itertools
import math
import multiprocessing
import operator
import os
import signal
import sys
import time
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pytest

from flow_cache.runtime.workers import WorkerPool


@pytest.mark.parametrize(("processes", "queued"), [(1, 0), (2, 0), (2, 1)])
def test_results_come_in_the_order_of_the_tasks(processes: int, queued: int) -> None:
    with WorkerPool(operator.neg, processes, queued) as pool:
        assert list(pool.map(range(20))) == [-task for task in range(20)]
        assert list(pool.map([])) == []
        assert list(pool.map([7])) == [-7]
    assert not multiprocessing.active_children()


def test_large_arrays_go_both_ways_at_once() -> None:
    tasks = [np.full((2_000_000,), number, np.float32) for number in range(12)]
    with WorkerPool(np.negative, 2) as pool:
        for number, result in enumerate(pool.map(tasks)):
            assert (result == -number).all()


def test_tasks_are_drawn_as_they_are_needed() -> None:
    drawn = itertools.count()
    with WorkerPool(operator.neg, 1) as pool:
        results = pool.map(next(drawn) for _ in range(1000))
        assert next(results) == 0
        assert next(drawn) < 10
        results.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_what_the_function_raises_is_raised_with_its_traceback() -> None:
    with WorkerPool(math.sqrt, 2) as pool, pytest.raises(ValueError, match="math domain") as caught:
        list(pool.map([1.0, -1.0]))
    assert "Traceback" in str(caught.value.__cause__)
    assert not multiprocessing.active_children()


def test_a_failure_does_not_wait_for_the_tasks_before_it() -> None:
    began = time.monotonic()
    with WorkerPool(time.sleep, 2, queued=0) as pool, pytest.raises(ValueError, match="non-negative"):
        list(pool.map([600, -1]))
    assert time.monotonic() - began < 300


@pytest.mark.parametrize(
    ("function", "task", "said"),
    [
        (os._exit, 3, r"ended with exit code 3"),
        (signal.raise_signal, signal.SIGKILL, r"was killed \(SIGKILL\)"),
        (signal.raise_signal, signal.SIGUSR1, r"ended by SIGUSR1"),
        (signal.raise_signal, signal.SIGTERM, r"ended with exit code 143"),
    ],
)
def test_a_process_that_is_gone_is_an_error(function, task, said: str) -> None:  # type: ignore[no-untyped-def]
    with WorkerPool(function, 2) as pool, pytest.raises(ChildProcessError, match=said):
        list(pool.map([task]))
    assert not multiprocessing.active_children()


def test_no_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 processes"):
        WorkerPool(operator.neg, 0)


def test_workers_have_one_thread_and_leave_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in (None, "7"):
        if before is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", before)
        else:
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        with WorkerPool(os.getenv, 1) as pool:
            assert list(pool.map(["OMP_NUM_THREADS"])) == ["1"]
        assert os.environ.get("OMP_NUM_THREADS") == before


def test_a_closed_pool_does_not_pass_for_one_without_results() -> None:
    pool = WorkerPool(operator.neg, 1)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(pool.map([1, 2]))


def test_answers_come_as_tasks_end_and_errors_end_nothing_else() -> None:
    tasks = iter([1.0, -1.0, 4.0, -4.0, 9.0])
    with WorkerPool(math.sqrt, 2, queued=0) as pool:
        answers = dict(pool.answers(lambda: next(tasks, None)))
        assert {task: answer for task, answer in answers.items() if task > 0} == {
            1.0: 1.0,
            4.0: 2.0,
            9.0: 3.0,
        }
        for task in (-1.0, -4.0):
            assert isinstance(answers[task], ValueError)
            assert "Traceback" in str(answers[task].__cause__)
        assert list(pool.answers(lambda: None)) == []
    assert not multiprocessing.active_children()


def test_a_task_may_wait_for_the_answer_to_another() -> None:
    known: list[int] = []

    def next_task() -> int | None:
        if not known:
            return None if begun else begun.append(7) or 7  # type: ignore[func-returns-value]
        return known.pop()

    begun: list[int] = []
    with WorkerPool(operator.neg, 2, queued=0) as pool:
        answers = []
        for task, answer in pool.answers(next_task):
            answers.append((task, answer))
            if task == 7:
                known.extend([1, 2])
    assert answers[0] == (7, -7)
    assert sorted(answers[1:]) == [(1, -1), (2, -2)]


def test_a_process_that_is_gone_is_replaced() -> None:
    tasks = iter([signal.SIGKILL, signal.SIGTERM, 0, signal.SIGKILL, 0])
    with WorkerPool(signal.raise_signal, 1, queued=0) as pool:
        answers = [answer for _, answer in pool.answers(lambda: next(tasks, None))]
        assert [type(answer) for answer in answers] == 2 * [ChildProcessError] + [
            NoneType,
            ChildProcessError,
            NoneType,
        ]
        assert "SIGKILL" in str(answers[0])
        # One that is killed while it has nothing to do is known only once it gets a task.
        multiprocessing.active_children()[0].kill()
        while multiprocessing.active_children():
            time.sleep(0.01)
        tasks = iter([0, 0])
        answers = [answer for _, answer in pool.answers(lambda: next(tasks, None))]
        assert [type(answer) for answer in answers] == [ChildProcessError, NoneType]


def test_answers_that_are_not_asked_for_end_the_processes() -> None:
    tasks = iter([0, 600])
    with WorkerPool(time.sleep, 2, queued=0) as pool:
        for _ in pool.answers(lambda: next(tasks, None)):
            break
        with pytest.raises(RuntimeError, match="closed"):
            next(pool.answers(lambda: None))
    assert not multiprocessing.active_children()


class TwoPartError(Exception):
    """It is pickled with one argument, and takes two."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")


def raise_two_parts(_: object) -> None:
    raise TwoPartError("no light", "the end")


def test_an_error_that_cannot_travel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Spawned processes import this file by its name.
    monkeypatch.setitem(sys.modules, "test_workers", sys.modules[__name__])
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(raise_two_parts, "__module__", "test_workers")
    with (
        WorkerPool(raise_two_parts, 1) as pool,
        pytest.raises(RuntimeError, match="TwoPartError: no light at the end"),
    ):
        list(pool.map([1]))


def test_a_process_killed_while_it_sends_is_an_error() -> None:
    large: Any = np.zeros(4_000_000, np.float32)
    with WorkerPool(np.negative, 1) as pool:
        results = pool.map([large[:1], large])
        next(results)
        assert pool._workers[0].connection.poll(60)  # it sends, and what it sends does not fit into the pipe
        time.sleep(0.2)
        multiprocessing.active_children()[0].kill()
        with pytest.raises(ChildProcessError, match=r"was killed \(SIGKILL\)"):
            next(results)
