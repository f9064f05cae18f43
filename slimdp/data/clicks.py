"""What labels have cost: answers of annotators by kind, and their time as the one currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from operator import add

import numpy as np

from slimdp.config import ClickCosts
from slimdp.structures import IGNORE, BoxSource, LabelSource, PersonAnnotation


@dataclass(frozen=True)
class Clicks:
    """How many answers annotators have given, by kind; the kinds are those of `ClickCosts`."""

    points: int = 0  # the place on the body, (u, v), of a point
    parts: int = 0  # the part of a point, without (u, v)
    masks: int = 0  # the outline of one coarse part of a person, or of the whole person
    keypoints: int = 0  # labelled ones, seen or hidden
    boxes: int = 0

    def __add__(self, other: Clicks) -> Clicks:
        return Clicks(*map(add, astuple(self), astuple(other)))

    @property
    def total(self) -> int:
        """Answers of any kind."""
        return sum(astuple(self))

    def seconds(self, costs: ClickCosts | None = None) -> float:
        """An annotator's time, in seconds; None: what a click costs by default."""
        costs = ClickCosts() if costs is None else costs
        return float(sum(count * getattr(costs, kind) for kind, count in asdict(self).items()))


def count_clicks(people: Iterable[PersonAnnotation], keypoints: bool = True) -> Clicks:
    """Count what annotators have clicked for some people.

    Propagated labels, and rough boxes that nobody drew, cost nothing; a person whom flow alone brought
    (`PersonAnnotation.was_carried`) costs nothing at all. A box counts if the person has anything else that
    counts. For dense pose alone nobody needs keypoints.
    """
    total = Clicks()
    for person in people:
        if person.was_carried:
            continue
        clicked, has_uv = person.source == LabelSource.ANNOTATOR, person.has_uv
        marks = person.keypoints if keypoints else None
        mine = Clicks(
            points=int((clicked & has_uv).sum()),
            parts=int((clicked & ~has_uv).sum()),
            masks=0 if person.coarse is None else _outlines(person.coarse),
            keypoints=0 if marks is None else int((marks[:, 2] > 0).sum()),
        )
        box = mine.total > 0 and person.box_source == BoxSource.ANNOTATOR
        total += mine + Clicks(boxes=int(box))
    return total


def _outlines(coarse: np.ndarray) -> int:
    """Coarse parts that a mask (256, 256) shows; one that does not tell parts apart is one outline."""
    seen = np.zeros(256, dtype=bool)
    seen[coarse] = True
    return max(int(seen[1:IGNORE].sum()), int(seen[1:].any()))
