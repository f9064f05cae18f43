"""What a propagation did, by step: who and what arrived, and why the rest did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from slimdp.motion.label_transfer import TransferResult
from slimdp.motion.point_transfer import PointStatus
from slimdp.structures import IGNORE, PersonAnnotation


@dataclass(frozen=True)
class StepCount:
    """People, labels (points) and mask pixels that were to be moved over one step.

    Of the labelled people (`PropagationSummary.labelled_people`), each is in one of `people`,
    `people_dropped`, `past_end` and `taken`. labels_in = labels_out + outside + inconsistent + elsewhere +
    with_person, of the first two; pixels_in = pixels_out + pixels_outside + pixels_inconsistent +
    pixels_unknown, of the first. Pixels are those of coarse masks, 256 x 256 a person.
    """

    frames: int = 0  # that got labels
    people: int = 0  # that got there
    people_dropped: int = 0  # with too few labels left
    people_left: int = 0  # of these, those most of whose labels left the frame
    past_end: int = 0  # people whose video has no such frame
    taken: int = 0  # people whose target frame has an annotator's labels, or theirs from a nearer frame
    hops: int = 0  # the most flows in a row that were needed
    labels_in: int = 0
    labels_out: int = 0
    outside: int = 0  # dropped: out of the frame, or of an annotator's box
    inconsistent: int = 0  # dropped by the forward-backward check
    elsewhere: int = 0  # dropped: what shows there comes from another place
    with_person: int = 0  # dropped with their person
    pixels_in: int = 0
    pixels_out: int = 0  # with a known label
    pixels_outside: int = 0  # ignored: they come from outside of the frame
    pixels_inconsistent: int = 0  # ignored: the check fails
    pixels_unknown: int = 0  # ignored: not known in the labelled frame either

    def __add__(self, other: StepCount) -> StepCount:
        total = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return StepCount(**{**total, "hops": max(self.hops, other.hops)})


def count_transfer(move: TransferResult, arrived: bool) -> StepCount:
    """The count of one person who was moved, and got there or not."""
    status = np.bincount(move.status, minlength=len(PointStatus))
    kept = int(status[PointStatus.KEPT])
    lost = len(move.status) - kept
    return StepCount(
        people=int(arrived),
        people_dropped=int(not arrived),
        people_left=int(not arrived and 2 * int(status[PointStatus.OUTSIDE]) > lost),
        hops=move.hops,
        labels_in=len(move.status),
        labels_out=kept if arrived else 0,
        outside=int(status[PointStatus.OUTSIDE]),
        inconsistent=int(status[PointStatus.INCONSISTENT]),
        elsewhere=int(status[PointStatus.ELSEWHERE]),
        with_person=0 if arrived else kept,
        **(_count_pixels(move) if arrived else {}),
    )


def _count_pixels(move: TransferResult) -> dict[str, int]:
    if move.person_1 is None or move.person_1.coarse is None or move.mask_status is None:
        return {}
    known = move.person_1.coarse != IGNORE
    return {
        "pixels_in": known.size,
        "pixels_out": int(known.sum()),
        "pixels_outside": int((move.mask_status == PointStatus.OUTSIDE).sum()),
        "pixels_inconsistent": int((move.mask_status == PointStatus.INCONSISTENT).sum()),
        "pixels_unknown": int((~known & (move.mask_status == PointStatus.KEPT)).sum()),
    }


#: Tables of the text form: the columns of each, a field and its title.
_TABLES: tuple[Mapping[str, str], ...] = (
    {
        "hops": "hops", "frames": "frames", "people": "people", "people_dropped": "dropped",
        "people_left": "(left the picture)", "past_end": "past the end", "taken": "labelled already",
    },
    {
        "labels_in": "labels", "labels_out": "kept", "outside": "outside",
        "inconsistent": "inconsistent", "elsewhere": "elsewhere", "with_person": "with the person",
    },
    {
        "pixels_in": "mask pixels", "pixels_out": "known", "pixels_outside": "outside",
        "pixels_inconsistent": "inconsistent", "pixels_unknown": "unknown before",
    },
)  # fmt: skip
#: The column that the others of a table are shares of; people are few enough for plain counts.
_WHOLES = (None, "labels_in", "pixels_in")


@dataclass(frozen=True)
class PropagationSummary:
    """What a propagation started from, and what it did by step."""

    labelled_frames: int
    labelled_people: int
    labels: int  # points in the labelled frames
    steps: tuple[tuple[int, StepCount], ...]  # by step, ascending

    @staticmethod
    def of(
        people: Iterable[Sequence[PersonAnnotation]], counts: Mapping[int, StepCount]
    ) -> PropagationSummary:
        """Of the labelled people, frame by frame, and the counts of each step."""
        frames = list(people)
        return PropagationSummary(
            labelled_frames=len(frames),
            labelled_people=sum(len(frame) for frame in frames),
            labels=sum(len(person.points) for frame in frames for person in frame),
            steps=tuple(sorted(counts.items())),
        )

    @property
    def total(self) -> StepCount:
        """All steps together."""
        return sum((count for _, count in self.steps), StepCount())

    def table(self) -> str:
        """The counts as text: people, then labels, then mask pixels in percent, a line a step."""
        start = (
            f"{self.labels} labels of {self.labelled_people} people in {self.labelled_frames} labelled frames"
        )
        counts = [*((f"{step:+d}", count) for step, count in self.steps), ("all", self.total)]
        blocks = [_block(columns, whole, counts) for columns, whole in zip(_TABLES, _WHOLES, strict=True)]
        return "\n\n".join([start, *(block for block in blocks if block)])

    def as_json(self) -> dict[str, Any]:
        """{"labelled_frames": ..., "steps": {"-3": {"people": ...}, ...}, "all": {...}}."""
        return {
            "labelled_frames": self.labelled_frames,
            "labelled_people": self.labelled_people,
            "labels": self.labels,
            "steps": {f"{step:+d}": asdict(count) for step, count in self.steps},
            "all": asdict(self.total),
        }


def _block(columns: Mapping[str, str], whole: str | None, counts: Sequence[tuple[str, StepCount]]) -> str:
    """One table; "" where there is nothing to take shares of. Shares stand in percent behind the whole."""
    if whole is not None and not getattr(counts[-1][1], whole):
        return ""
    rows = [("step", *columns.values())]
    for name, count in counts:
        of = getattr(count, whole) if whole is not None else 0
        cells = [str(of)] if whole is not None else []
        for field in columns:
            value = getattr(count, field)
            if whole is None:
                cells.append(str(value))
            elif field != whole:
                cells.append(f"{100 * value / of:.1f} %" if of else "-")
        rows.append((name, *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)
