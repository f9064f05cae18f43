"""A command in a process of its own that has everything imported already: that takes seconds of CPU."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, ForkProcess
from typing import Any

import pytest

from tests.threads import one_thread_here


def fork_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools fork their workers, which have everything imported then: spawned ones take seconds of CPU."""
    monkeypatch.setattr("flow_cache.runtime.workers._CONTEXT", _Forks())


class _Forks(ForkContext):
    """Forks that leave the ends of all pipes that are not theirs: a worker ends when its pipe is closed."""

    def __init__(self) -> None:
        self._ends: list[Connection] = []

    def Pipe(self, duplex: bool = True) -> Any:
        here, there = super().Pipe(duplex)
        self._ends.append(here)
        return here, there

    def Process(self, target: Callable[..., object], args: tuple) -> ForkProcess:  # type: ignore[override]
        return _OneThread(target=self._alone, args=(target, args))

    def _alone(self, target: Callable[..., object], args: tuple) -> None:
        for end in self._ends:
            if not end.closed:
                end.close()
        target(*args)


class _OneThread(ForkProcess):
    def start(self) -> None:
        with one_thread_here():
            super().start()


class Forked:
    """A forked process that calls a function, whose result is its exit code; as far as needed like a Popen.

    Ctrl-C ends it with exit code 130, as it ends a command. What it and its children print is `read`.
    """

    def __init__(self, function: Callable[[], int]) -> None:
        reading, writing = os.pipe()
        self.returncode: int | None = None
        with one_thread_here():
            self.pid = os.fork()
            if self.pid == 0:
                os.close(reading)
                _become(function, writing)
        os.close(writing)
        self._output = open(reading, "rb")  # noqa: SIM115

    def read(self) -> bytes:
        """What was printed: ends when the process and all its children have ended."""
        with self._output:
            return self._output.read()

    def readline(self) -> bytes:
        return self._output.readline()

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _become(function: Callable[[], int], writing: int) -> None:
    code = 1
    try:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
        code = function()
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
