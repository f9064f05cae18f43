"""Which points of a person are asked, and in which order (DensePose, 2.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from slimdp.annotate.people import OPEN, SKIPPED, Person
from slimdp.data.box_frame import frame_from_image, sample_coarse
from slimdp.structures import IGNORE
from slimdp.synthetic.labels import annotators_points

#: The longer side of the person that points are spread over, px: k-means looks at 400 of the pixels at most.
_SIDE = 400


def points_to_ask(person: Person) -> list[dict[str, Any]]:
    """Points for every outlined part, at most 14 a part, spread by k-means over its pixels.

    Parts that have points, asked or answered, get no more than they lack, away from those. The choice
    depends on person and outlines alone.
    """
    if person.coarse is None:
        return []
    region, scale = _region(person)
    asked_part = np.array([each["part"] for each in person.asked], dtype=np.int64)
    known = np.concatenate([person.points, person.asked_points()])
    answered = sample_coarse(person.coarse, person.box, person.points, outside=0)[0]
    known_part = np.concatenate([answered.astype(np.int64), asked_part])
    rng = np.random.default_rng([abs(int(person.entry["image_id"])), abs(int(person.entry["id"]))])
    pixels = annotators_points(region, rng)
    part = region[pixels[:, 1], pixels[:, 0]]
    places = person.box[:2] + pixels / scale
    fresh: list[dict[str, Any]] = []
    for label in np.unique(part):
        chosen = _farthest(places[part == label], known[known_part == label])
        fresh += [
            {"x": x, "y": y, "part": int(label), "state": OPEN}
            for x, y in np.round(frame_from_image(chosen, person.box), 3).tolist()
        ]
    return fresh


def next_asked(asked: list[dict[str, Any]]) -> int | None:
    """Which point comes next: the part with the lowest number, in it the least sure guess; skipped ones last,
    in the order in which they were skipped, so that another skip passes on to the next of them.

    None where all are answered or hidden.
    """
    waiting = [(_rank(each), index) for index, each in enumerate(asked) if each["state"] in (OPEN, SKIPPED)]
    return min(waiting)[1] if waiting else None


def _rank(each: dict[str, Any]) -> tuple[bool, float, int]:
    """Skipped ones last, all alike; before them those with a guess, the least sure first; part by part."""
    if each["state"] == SKIPPED:
        return True, 0.0, 0
    guess = each.get("guess")
    sure = -1.0 if guess is None else float(guess["confidence"])
    return False, sure, int(each["part"])


def _region(person: Person) -> tuple[np.ndarray, float]:
    """The coarse labels over the person's box, and its px to a px of the picture."""
    assert person.coarse is not None
    scale = min(1.0, _SIDE / max(person.box[2:]))
    width, height = (max(1, int(side * scale)) for side in person.box[2:])
    row, column = np.mgrid[:height, :width]
    places = person.box[:2] + np.stack([column.ravel(), row.ravel()], axis=1) / scale
    region = sample_coarse(person.coarse, person.box, places, outside=0)[0].reshape(height, width)
    region[region == IGNORE] = 0
    return region, scale


def _farthest(places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of K places those that lie farthest from some known ones, as many as K exceeds these."""
    if not len(known):
        return places
    wanted = max(len(places) - len(known), 0)
    distance = np.linalg.norm(places[:, None] - known[None], axis=2).min(axis=1)
    return places[np.sort(np.argsort(-distance)[:wanted])]
