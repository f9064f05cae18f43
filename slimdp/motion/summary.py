"""What a propagation did, by step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from slimdp.motion.transport import Fate


@dataclass(frozen=True)
class StepCount:
    """Labels (points) and people that were moved over one step.

    labels_in = labels_out + outside + inconsistent + with_person.
    """

    frames: int = 0  # that got labels
    people: int = 0  # that got there
    people_dropped: int = 0  # with too few labels left
    labels_in: int = 0
    labels_out: int = 0
    outside: int = 0  # dropped: out of the frame, or of an annotator's box
    inconsistent: int = 0  # dropped by the forward-backward check
    with_person: int = 0  # dropped with their person

    def __add__(self, other: StepCount) -> StepCount:
        return StepCount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def count_person(fate: np.ndarray, arrived: bool) -> StepCount:
    """The count of one person whose points have the given fates (N,)."""
    kept = int((fate == Fate.KEPT).sum())
    return StepCount(
        people=int(arrived),
        people_dropped=int(not arrived),
        labels_in=len(fate),
        labels_out=kept if arrived else 0,
        outside=int((fate == Fate.OUTSIDE).sum()),
        inconsistent=int((fate == Fate.INCONSISTENT).sum()),
        with_person=0 if arrived else kept,
    )


@dataclass(frozen=True)
class PropagationSummary:
    """What a propagation started from, and what it did by step."""

    labelled_frames: int
    labelled_people: int
    labels: int  # points in the labelled frames
    steps: tuple[tuple[int, StepCount], ...]  # by step, ascending

    @property
    def total(self) -> StepCount:
        """All steps together."""
        return sum((count for _, count in self.steps), StepCount())

    def table(self) -> str:
        """The counts as text, a line a step."""
        head = ("step", *(f.name.replace("_", " ") for f in fields(StepCount)))
        rows = [(f"{step:+d}", *_cells(count)) for step, count in self.steps]
        rows.append(("all", *_cells(self.total)))
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in (head, *rows)]
        start = (
            f"{self.labels} labels of {self.labelled_people} people in {self.labelled_frames} labelled frames"
        )
        return "\n".join([start, *lines])


def _cells(count: StepCount) -> Iterable[str]:
    return (str(getattr(count, f.name)) for f in fields(count))
