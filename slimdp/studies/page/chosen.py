"""Which rows and which people are looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from slimdp.config import ConfigError
from slimdp.structures import PersonAnnotation
from slimdp.studies.page.curves import MAIN_COLUMN
from slimdp.studies.page.sources import SweptStudy

#: Rows with pictures, unless they are named, and how many of these are baselines at most.
MOST_ROWS, MOST_BASELINES = 5, 3


def choose_rows(swept: SweptStudy, names: Sequence[str] | None, drawable: Collection[str]) -> tuple[str, ...]:
    """Rows to draw, of those that have results and can be drawn, in the order of the table.

    They are those named, or else the baselines and, of the rest by score, the first, the last and some evenly
    between.
    """
    by_score = sorted(swept.rows(), key=lambda row: -row.scores[MAIN_COLUMN].mean)
    there = [row.name for row in by_score if row.name in drawable]
    if names is not None:
        chosen = set(names)
    else:
        baselines = [name for name in swept.baselines if name in there][:MOST_BASELINES]
        others = [name for name in there if name not in swept.baselines]
        places = np.linspace(0, len(others) - 1, min(MOST_ROWS - len(baselines), len(others)))
        chosen = {*baselines, *(others[place] for place in places.round().astype(int))}
    return tuple(name for name in swept.study.names if name in chosen and name in there)


def choose_people(people: Sequence[PersonAnnotation], count: int) -> list[PersonAnnotation]:
    """At most `count` people with points, evenly spread over the larger half of them, in their order."""
    if count < 1:
        raise ConfigError(f"{count} people to draw, but 1 or more are wanted")
    labelled = [person for person in people if len(person.points)]
    least = np.median([_area(person) for person in labelled]) if labelled else 0
    large = [person for person in labelled if _area(person) >= least]
    if not large:
        return []
    return [large[place] for place in np.unique(np.linspace(0, len(large) - 1, count).round().astype(int))]


def most_seen(people: Sequence[PersonAnnotation]) -> list[PersonAnnotation]:
    """All labelled frames of the person who covers the most pixels in them; of stills, one picture."""
    seen: dict[object, list[PersonAnnotation]] = {}
    for person in people:
        if len(person.points):
            tracked = person.image.video is not None and person.track is not None
            key = (person.image.video, person.track) if tracked else (person.image.id, person.id)
            seen.setdefault(key, []).append(person)
    return max(seen.values(), key=lambda frames: sum(map(_area, frames)), default=[])


def _area(person: PersonAnnotation) -> float:
    return float(person.box[2] * person.box[3])
