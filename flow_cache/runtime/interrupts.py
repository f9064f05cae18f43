"""Ctrl-C in calls that must not be cut short."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def uninterrupted(method: Callable[P, T]) -> Callable[P, T]:
    """Let Ctrl-C take effect after a call: raised inside of HDF5, it is lost, cuts a change short or crashes.

    A whole method, because HDF5 also writes where it seems only to read (it empties its caches) and where
    the last reference to a data set goes (it writes the chunks that it still has).
    """

    @functools.wraps(method)
    def deferring(*args: P.args, **kwargs: P.kwargs) -> T:
        handler = signal.getsignal(signal.SIGINT)
        if handler is None or threading.current_thread() is not threading.main_thread():
            return method(*args, **kwargs)  # only the main thread is interrupted
        came: list[int] = []
        signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
        try:
            result = method(*args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, handler)
        if came:  # not after an error, such as a full disk: that ends the work too, and says more
            signal.raise_signal(signal.SIGINT)
        return result

    return deferring
