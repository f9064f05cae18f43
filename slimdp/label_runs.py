"""Label maps kept as runs of equal labels: an eighth of the memory, drawn when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np


@dataclass(frozen=True)
class LabelRuns:
    """A label map (H, W) uint8 as its runs, down the columns."""

    start: np.ndarray  # (R,) where each run begins, counted down the columns; the first at 0
    label: np.ndarray  # (R,) uint8
    shape: tuple[int, int]

    @staticmethod
    def at(start: np.ndarray, label: np.ndarray, shape: tuple[int, int]) -> LabelRuns:
        """Runs by where they begin, the first at 0; equal neighbours become one."""
        kept = np.concatenate([[True], label[1:] != label[:-1]])
        small = np.min_scalar_type(shape[0] * shape[1] - 1)
        return LabelRuns(start[kept].astype(small), label[kept].astype(np.uint8), shape)

    def draw(self) -> np.ndarray:
        """The map (H, W) uint8; it cannot be written to."""
        drawn = np.ascontiguousarray(self._spread(self.label)).view(_Drawn)
        drawn.runs = self
        drawn.setflags(write=False)
        return drawn

    def covered(self) -> np.ndarray:
        """Where the label is not 0: (H, W) bool."""
        return self._spread(self.label > 0)

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """A map (H, W) of values (R,), a run each."""
        height, width = self.shape
        length = np.diff(np.append(self.start.astype(np.int64), height * width))
        return np.repeat(values, length).reshape(width, height).T


class _Drawn(np.ndarray):
    """A map that knows its runs, so that a record made of another one's map keeps the runs alone."""

    runs: LabelRuns | None = None


class LabelMap:
    """A field of a dataclass for a label map: an array as it was given, or runs, drawn at each look."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = name

    @overload
    def __get__(self, record: None, owner: type) -> None: ...
    @overload
    def __get__(self, record: object, owner: type) -> np.ndarray | None: ...
    def __get__(self, record: Any, owner: type) -> np.ndarray | None:
        if record is None:
            return None  # what the dataclass takes for the field's default
        kept = record.__dict__[self._key]
        return kept.draw() if isinstance(kept, LabelRuns) else kept

    def __set__(self, record: object, value: np.ndarray | LabelRuns | None) -> None:
        record.__dict__[self._key] = value.runs if isinstance(value, _Drawn) and value.runs else value
