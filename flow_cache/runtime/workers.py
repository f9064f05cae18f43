"""Processes that do one kind of work side by side, and never outlive the one that started them.

The pools of the standard library do not serve: where one process is killed while another sends a large array,
`concurrent.futures` hangs (Python 3.11.7); `multiprocessing.Pool` waits forever for the killed one's task.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NoReturn, TypeVar

import cv2

MOST_PROCESSES = 512
#: A fork would copy the threads of torch and OpenCV in whatever state they are.
_CONTEXT = multiprocessing.get_context("spawn")
Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerPool(Generic[Task, Result]):
    """Spawned processes that call a function; leaving its `with` block ends them, whatever they do.

    Function, tasks and results must be picklable; `queued` tasks wait in each process, so that it need not
    wait for its next one. Raises ValueError unless there are 1 to `MOST_PROCESSES`.
    """

    def __init__(self, function: Callable[[Task], Result], processes: int, queued: int = 1) -> None:
        if not 1 <= processes <= MOST_PROCESSES:
            each = "each takes memory, files and a core"
            raise ValueError(f"{processes} processes; wanted 1 to {MOST_PROCESSES}: {each}")
        self._new_worker = partial(_Worker, function, 1 + queued)
        self._workers = [self._new_worker() for _ in range(processes)]
        self._ahead = 2 * processes * (1 + queued)

    def __enter__(self) -> WorkerPool[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield the results in the order of the tasks, which are drawn only as they are needed.

        A result that is not asked for ends the processes. Raises ChildProcessError where one was killed, and
        what the function raised, as soon as it is known.
        """
        if not self._workers:
            raise RuntimeError("the pool is closed: its processes have ended")
        numbered = enumerate(tasks)
        results: dict[int, Result] = {}
        given = taken = 0
        try:
            while True:
                while given - taken < self._ahead:
                    worker = min(self._workers, key=lambda worker: worker.busy)
                    if worker.busy == worker.capacity or (task := next(numbered, None)) is None:
                        break
                    worker.send(task)
                    given += 1
                if taken in results:
                    yield results.pop(taken)
                    taken += 1
                elif taken == given:
                    return
                else:
                    ready = wait([worker.connection for worker in self._workers])
                    results.update(worker.receive() for worker in self._workers if worker.connection in ready)
        finally:
            if taken < given:
                self.close()

    def answers(
        self, next_task: Callable[[], Task | None], ask_again_s: float | None = None
    ) -> Iterator[tuple[Task, Result | Exception]]:
        """Yield each task with its result, or with what the function raised, in the order in which they end.

        An error ends no other task. A process that was killed is replaced, and its task gets a
        ChildProcessError. An answer that is not asked for ends the processes. `next_task` is asked for every
        process that has nothing to do, again after `ask_again_s`, or only after another ended: the task to
        begin, or None where none can before another one has ended. None while nothing is under way ends it.
        """
        if not self._workers:
            raise RuntimeError("the pool is closed: its processes have ended")
        under_way: dict[Connection, tuple[_Worker, Task]] = {}
        try:
            while True:
                for worker in [worker for worker in self._workers if not worker.busy]:
                    task = next_task()
                    if task is None:
                        break
                    under_way[worker.connection] = worker, task
                    with contextlib.suppress(ChildProcessError):  # `_answer` tells that its process is gone
                        worker.send((0, task))
                if not under_way:
                    return
                for connection in wait(list(under_way), ask_again_s):
                    assert isinstance(connection, Connection)
                    worker, task = under_way.pop(connection)
                    yield task, self._answer(worker)
        finally:
            if under_way:
                self.close()

    def close(self) -> None:
        """End the processes now; calling it again does nothing."""
        for worker in self._workers:
            if worker.busy:
                worker.process.terminate()
            worker.connection.close()  # an idle one ends when it reads that
        for worker in self._workers:
            worker.process.join(10.0)  # it may finish a long call first, and remove its temporary files
            worker.process.kill()  # nothing where it has ended
            worker.process.join()
        self._workers = []

    def _answer(self, worker: _Worker) -> Result | Exception:
        """What came of a worker's task; where the worker is gone, another one takes its place."""
        try:
            result: Result = worker.receive()[1]
            return result
        except Exception as error:  # whatever the function raised
            if not worker.process.is_alive():
                worker.connection.close()
                self._workers[self._workers.index(worker)] = self._new_worker()
            return error


class _Worker:
    """One process as its parent sees it."""

    def __init__(self, function: Callable, capacity: int) -> None:
        self.connection, there = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_work, args=(function, there))
        with _one_thread_each():
            self.process.start()
        there.close()  # so that this end tells when the process is gone
        self.capacity, self.busy = capacity, 0

    def send(self, numbered_task: tuple[int, object]) -> None:
        try:
            self.connection.send(numbered_task)
        except OSError:
            self._raise_end()
        self.busy += 1

    def receive(self) -> tuple[int, Any]:
        try:
            number, result, traceback_there = self.connection.recv()
        except (EOFError, OSError):  # OSError: killed while it sent a result
            self._raise_end()
        self.busy -= 1
        if traceback_there is not None:
            raise result from ChildProcessError(f"in a worker process:\n{traceback_there}")
        return number, result

    def _raise_end(self) -> NoReturn:
        self.process.join()
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL:
            how = "was killed (SIGKILL), most often for lack of memory: try fewer processes"
        else:
            how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise ChildProcessError(f"a worker process {how}") from None


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started here begin with one thread for BLAS and torch: they share the cores already."""
    before = {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        os.environ.update(before)


def _work(function: Callable, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers it
    # An exception: temporary files and semaphores are removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    cv2.setNumThreads(1)  # the processes share the cores already
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tasks: queue.SimpleQueue[tuple[int, object] | None] = queue.SimpleQueue()
    # Always reading: parent and worker never both wait for the other to take what they send.
    threading.Thread(target=_read, args=(connection, tasks), daemon=True).start()
    while (numbered_task := tasks.get()) is not None:
        number, task = numbered_task
        try:
            answer: tuple[int, Any, str | None] = number, function(task), None
        except Exception as error:
            answer = number, _picklable(error), traceback.format_exc()
        connection.send(answer)


def _picklable(error: Exception) -> Exception:
    """An error as it is, or its text where it would be lost on the way."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its own pickling raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _read(connection: Connection, tasks: queue.SimpleQueue) -> None:
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        tasks.put(None)


def _end_with_parent() -> None:
    """A worker whose parent was killed would work on unseen."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
