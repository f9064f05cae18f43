"""Arrays that were read lately, kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key")


class LruCache(Generic[Key]):
    """As many arrays as fit into `most_bytes`; the one that nobody asked for longest goes first.

    Threads may share it. What it keeps does not travel to other processes.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self._bytes = most_bytes, 0
        self._arrays: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[LruCache], tuple[int]]:
        return LruCache, (self.most_bytes,)

    def clear(self) -> None:
        """Keep nothing of what was read so far."""
        with self._lock:
            self._arrays.clear()
            self._bytes = 0

    def get(self, key: Key, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, which is shared, and so cannot be written to; read where it is not here."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        array = read()
        array.setflags(write=False)
        with self._lock:
            if key not in self._arrays:  # else another thread was first
                self._arrays[key] = array
                self._bytes += array.nbytes
            while self._bytes > self.most_bytes:
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array
