"""What an entry becomes by labels that the flow brings: proposals, which spare what an annotator has done.

A box and outlines that the flow brought, and nobody has touched, make room for those that it brings now.
Into others, which somebody drew, the labels are fitted. Points that were put aside, or whose guess was
refused, and keypoints that were refused, are not proposed again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slimdp.annotate.changes import Entry
from slimdp.annotate.people import OPEN, Person, coarse_fields, with_asked, with_guessed_keypoints
from slimdp.data.box_frame import FRAME, frame_from_image, sample_coarse
from slimdp.structures import IGNORE, PersonAnnotation

#: A carried point that is trusted less is not proposed.
LEAST_TRUST = 0.02
#: A carried point this near to one that was put aside is that one, px of the box frame.
_SAME_POINT = 4.0
#: The box frame as a box (4,) xywh, in which points of the frame lie.
_WHOLE_FRAME = np.array([0.0, 0.0, FRAME, FRAME])


def carried_fields(moved: PersonAnnotation) -> Entry:
    """What somebody new gets, beside the box that the flow brought."""
    fields: Entry = {"dp_help": {"pending_box": True}}
    if moved.coarse is not None:
        coarse = np.array(moved.coarse)
        fields |= coarse_fields(coarse, {})
        fields["dp_help"]["pending_parts"] = _parts(coarse)
    fields = with_asked(fields, _points(moved))
    return with_guessed_keypoints(fields, _keypoints(moved))


def is_box_kept(person: Person) -> bool:
    """Whether labels must be fitted into somebody's box: it is not of the flow, or outlines in it are not."""
    return not _help(person).get("pending_box") or has_own_outlines(person)


def has_own_outlines(person: Person) -> bool:
    """Whether an annotator has drawn, changed or accepted outlines: they do not wait as proposals all."""
    if person.coarse is None or not person.coarse.any() or person.entry.get("dp_propagated"):
        return False
    known = _help(person)
    pending, counts = known.get("pending_parts") or [], known.get("parts") or {}
    changed = counts.get("corrected", 0) + counts.get("refused", 0) > 0
    return changed or not pending or not set(_parts(person.coarse)) <= set(pending)


def with_carried(person: Person, moved: PersonAnnotation, keypoints: bool) -> Entry | None:
    """Somebody's entry with what the flow brought into the picture; None where it brings nothing.

    Args:
        moved: with labels in the box that somebody keeps, where `is_box_kept`.
        keypoints: whether they are those that the page shows.
    """
    entry, known, coarse = dict(person.entry), dict(_help(person)), person.coarse
    own = has_own_outlines(person)
    if not is_box_kept(person):
        entry["bbox"] = moved.box.tolist()
        if entry.get("area") == float(person.box[2] * person.box[3]):
            entry["area"] = float(moved.box[2] * moved.box[3])
    if moved.coarse is not None and not own:
        coarse = np.array(moved.coarse)
        entry |= coarse_fields(coarse, entry)
        entry.pop("dp_propagated", None)  # they wait for an annotator now
        known["pending_parts"] = _parts(coarse)
    points = _points(moved)
    if own and coarse is not None:
        # Where a mask says that somebody is, and not which part, any part may be.
        points = [
            each for each, part in zip(points, _under(points, coarse)) if part in (each["part"], IGNORE)
        ]
    kept = _kept(person, moved.box, {each["part"] for each in points})
    if coarse is not None and coarse is not person.coarse:
        kept = [each for each, part in zip(kept, _under(kept, coarse)) if part == each["part"]]
    decided = [each for each in kept if _is_decided(each)]
    fresh = [each for each in points if not any(_is_same_point(each, other) for other in decided)]
    guessed = [each for each in _keypoints(moved) if keypoints and not _has_keypoint(person, each["index"])]
    if (own or moved.coarse is None) and not fresh and not guessed:
        return None
    waiting = {each["index"]: each for each in [*person.guessed_keypoints, *guessed]}
    entry = with_guessed_keypoints(with_asked(entry, [*fresh, *kept]), list(waiting.values()))
    return {**entry, "dp_help": known} if known else entry


def _help(person: Person) -> dict[str, Any]:
    return person.entry.get("dp_help") or {}


def _parts(coarse: np.ndarray) -> list[int]:
    return sorted({int(part) for part in np.unique(coarse)} - {0, IGNORE})


# ---- points


def _points(moved: PersonAnnotation) -> list[dict[str, Any]]:
    """Points that the flow brought, to be asked with a guess each."""
    trust = np.ones(len(moved.points)) if moved.confidence is None else moved.confidence
    places = frame_from_image(moved.points, moved.box).clip(0, FRAME)
    coarse_of_part = moved.layout.coarse_of_part
    rows = zip(places.tolist(), moved.part.tolist(), moved.uv.tolist(), trust.tolist())
    return [
        {
            "x": round(x, 3),
            "y": round(y, 3),
            "part": int(coarse_of_part[part]),
            "state": OPEN,
            "guess": make_guess(part, u, v, sure, "flow"),
        }
        for (x, y), part, (u, v), sure in rows
        if sure >= LEAST_TRUST
    ]


def make_guess(part: int, u: float, v: float, sure: float, by: str) -> dict[str, Any]:
    """A proposed answer to a point that is asked; `by` is flow or network."""
    u, v = min(max(u, 0.0), 1.0), min(max(v, 0.0), 1.0)
    return {"part": int(part), "u": round(u, 5), "v": round(v, 5), "confidence": round(sure, 4), "by": by}


def _kept(person: Person, box: np.ndarray, brought: set[int]) -> list[dict[str, Any]]:
    """What stays asked of somebody, in a box: points on which an annotator has decided, and those of parts
    for which the flow brought none."""
    places = frame_from_image(person.asked_points(), box).clip(0, FRAME).round(3).tolist()
    asked = [{**each, "x": x, "y": y} for each, (x, y) in zip(person.asked, places)]
    return [each for each in asked if _is_decided(each) or each["part"] not in brought]


def _is_decided(each: dict[str, Any]) -> bool:
    """Whether an annotator put the point aside, or refused its guess."""
    return each["state"] != OPEN or bool(each.get("refused"))


def _is_same_point(one: dict[str, Any], other: dict[str, Any]) -> bool:
    away = np.hypot(one["x"] - other["x"], one["y"] - other["y"])
    return bool(one["part"] == other["part"] and away < _SAME_POINT)


def _under(points: list[dict[str, Any]], coarse: np.ndarray) -> list[int]:
    """The part of a mask (256, 256) under each point in its box."""
    places = np.array([[each["x"], each["y"]] for each in points]).reshape(-1, 2)
    found: list[int] = sample_coarse(coarse, _WHOLE_FRAME, places, outside=0)[0].tolist()
    return found


# ---- keypoints


def _keypoints(moved: PersonAnnotation) -> list[dict[str, Any]]:
    """The keypoints that the flow has brought into the picture, as proposals."""
    if moved.keypoints is None:
        return []
    width, height = moved.image.width, moved.image.height
    return [
        {"index": index, "x": round(x, 2), "y": round(y, 2), "seen": int(seen)}
        for index, (x, y, seen) in enumerate(moved.keypoints.tolist())
        if seen and -0.5 < x < width - 0.5 and -0.5 < y < height - 0.5
    ]


def _has_keypoint(person: Person, index: int) -> bool:
    """Whether an annotator has placed or refused it."""
    placed = person.keypoints is not None and bool(person.keypoints[index, 2])
    return placed or index in _help(person).get("refused_keypoints", [])
