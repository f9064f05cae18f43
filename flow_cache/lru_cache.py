"""Small fields that were read lately, kept decompressed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

Key = tuple[str, int, int]  # video, frame, step
#: Larger fields are not worth to be read whole where a crop is asked for: 512 x 512 px.
_LARGEST_FIELD = 2**20  # bytes


class LruCache:
    """As many whole fields as fit into some memory; the one that nobody asked for longest goes first.

    Args:
        most_bytes: of memory; 0: none are kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._fields: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[LruCache], tuple[int]]:
        return LruCache, (self._most_bytes,)  # what is kept does not travel to other processes

    def takes(self, field_bytes: int) -> bool:
        """Whether fields of this size are kept."""
        return field_bytes <= min(self._most_bytes, _LARGEST_FIELD)

    def field(self, key: Key, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The field of a key, which is not to be written to; read where it is not here."""
        with self._lock:
            if key in self._fields:
                self._fields.move_to_end(key)
                return self._fields[key]
        field = read()
        with self._lock:
            if key not in self._fields:  # else another thread was first
                self._fields[key] = field
                self._bytes += field.nbytes
            while self._bytes > self._most_bytes:
                self._bytes -= self._fields.popitem(last=False)[1].nbytes
        return field
