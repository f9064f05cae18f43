"""Sweeps in the process of a test, and what they left."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slimdp.studies import Study
from slimdp.studies.executor import carry_out, task_of
from slimdp.studies.prepare import prepare


def results_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]


def scores_of(out: Path) -> list[tuple]:
    return [(row["row"], row["seed"], row["scores"]) for row in results_of(out)]


def carry_out_here(
    study: Study, out: Path, rows: list[str] | None = None, seeds: list[int] | None = None
) -> None:
    """What a sweep does, run after run in this process."""
    for run in (prepared := prepare(study, out, rows, seeds, "cpu")).todo:
        carry_out(task_of(prepared, run))
    prepared = prepare(study, out, rows, seeds, "cpu")
    prepared.save(prepared.known)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """What a run does to the signals of its process, which is that of all tests here, is undone."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class PoolHere:
    """A `WorkerPool` without processes, for what a sweep says and does around them."""

    def __init__(self, function: Callable[[Any], Any], *_: object, **__: object) -> None:
        self._function = function

    def __enter__(self) -> PoolHere:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def answers(self, next_task: Callable[[], Any], *_: object) -> Iterator[tuple[Any, Any]]:
        with _handlers_kept():
            yield from self._answers(next_task)

    def _answers(self, next_task: Callable[[], Any]) -> Iterator[tuple[Any, Any]]:
        while (task := next_task()) is not None:
            try:
                yield task, self._function(task)
            except Exception as error:
                yield task, error
