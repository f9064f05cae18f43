"""People as annotators with errors would have labelled them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from slimdp.structures import PersonAnnotation
from slimdp.surface import BodySurface
from slimdp.synthetic.annotators import PositionError


def as_annotators_would(
    people: Sequence[PersonAnnotation], surface: BodySurface, scale: float, rng: np.random.Generator
) -> list[PersonAnnotation]:
    """The same people and pixels, every label moved along the body as annotators misplace it.

    Args:
        people: whose labels are exact; those of parts alone stay.
        surface: the body that they speak of.
        scale: times the errors of `slimdp.synthetic.annotators.ERROR_CM`.
        rng: the annotators' chance.

    Raises:
        ValueError: a negative scale.
    """
    error = PositionError(surface, scale)
    answers = []
    for person in people:
        part, uv, known = person.part.copy(), person.uv.copy(), person.has_uv
        moved = error.displace(*surface.locate(part[known], uv[known]), rng)
        part[known], uv[known] = surface.chart(*moved)
        answers.append(replace(person, part=part, uv=np.clip(uv, 0, 1)))
    return answers
