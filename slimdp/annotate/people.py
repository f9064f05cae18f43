"""A person of the file as the tool sees and changes one: the entry goes in, a changed copy comes out.

Beside DensePose's fields an entry may have three of the tool's own. `dp_asked` lists points that wait for an
answer: `x`, `y` in the box frame, `part` (coarse, from 1), `state` (open, skipped, hidden) and perhaps a
`guess`, or `refused` once it had one. `dp_guessed_keypoints` lists keypoints that are proposed: `index`, `x`,
`y` px of the picture, `seen` (1 hidden, 2 seen). `dp_help` counts what became of proposals, and names those
that wait (`pending_parts`, `pending_box`) and the `refused_keypoints`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.coco import LEAST_PX, Record
from slimdp.annotate.changes import Entry
from slimdp.data.box_frame import (
    FRAME,
    frame_from_image,
    frame_pixel_centres,
    image_from_frame,
    sample_coarse,
)
from slimdp.data.person_entry import CategoryLabels, PersonEntry
from slimdp.data.rle import encode_rle
from slimdp.structures import IGNORE, BoxSource, ImageRecord

#: Fields with a value for each point, in a file that has them.
POINT_FIELDS = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V", "dp_source", "dp_step", "dp_confidence")
#: A box needs nothing of its picture.
_NO_PICTURE = ImageRecord(0, Path(), "", 0, 0)
#: What an annotator's own point has in them, beside its answer.
_OF_ANNOTATOR = {"dp_source": 0, "dp_step": 0, "dp_confidence": 1.0}
OPEN, SKIPPED, HIDDEN = "open", "skipped", "hidden"


class EditError(ValueError):
    """An edit that cannot be made, and why; nothing has changed."""


@dataclass(frozen=True)
class Person:
    """An entry of `annotations`, read: arrays in the box frame of 256 px."""

    entry: Entry
    box: np.ndarray  # (4,) x, y, width, height, image px
    box_source: BoxSource
    points: np.ndarray  # (N, 2) x, y, px of the picture
    part: np.ndarray  # (N,) int64, 1..P
    uv: np.ndarray  # (N, 2), NaN where it is not known
    coarse: np.ndarray | None  # (256, 256) uint8 over the box; IGNORE where the part is not said
    keypoints: np.ndarray | None  # (K, 3) x, y px of the picture, visibility

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The points that wait for an answer."""
        asked = self.entry.get("dp_asked")
        return asked if isinstance(asked, list) else []

    @property
    def guessed_keypoints(self) -> list[dict[str, Any]]:
        """The keypoints that are proposed."""
        guessed = self.entry.get("dp_guessed_keypoints")
        return guessed if isinstance(guessed, list) else []

    def asked_points(self) -> np.ndarray:
        """Where they are, (M, 2) x, y px of the picture."""
        return image_from_frame(np.array([[each["x"], each["y"]] for each in self.asked]), self.box)


def read_person(entry: Entry, image: ImageRecord, category: CategoryLabels, file: Path) -> Person:
    """Read an entry; raises AnnotationError where it is broken."""
    person = PersonEntry(_record(entry, file), image, category).person()
    coarse = None if person.coarse is None else np.array(person.coarse)
    return Person(
        entry, person.box, person.box_source, person.points, person.part, person.uv, coarse, person.keypoints
    )


def read_box(entry: Entry, category: CategoryLabels, file: Path) -> np.ndarray:
    """The box (4,) x, y, width, height px as readers have it: given, around keypoints, or from a scale."""
    return PersonEntry(_record(entry, file), _NO_PICTURE, category).place()[0]


def is_flat(entry: Entry) -> bool:
    """Whether readers leave somebody out, whose box has no extent; COCO has some."""
    box = entry.get("bbox")
    return box is not None and min(box[2:]) < LEAST_PX


def whole_number(value: object) -> int | None:
    """A number of a file, which may be a text as `frame_id` is in some; None for what is none."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) <= 18 else None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return int(value) if whole else None  # type: ignore[call-overload]


def _record(entry: Entry, file: Path) -> Record:
    return Record(file, f"annotation {entry.get('id')} of image {entry.get('image_id')}", entry)


def new_person(
    identity: int, image: int, category: int, box: np.ndarray, track: int | None, size: tuple[int, int]
) -> Entry:
    """A person of whom only the box (4,) xywh px is known, in a picture of (width, height) px."""
    box = box_within(box, size)
    entry: Entry = {"id": identity, "image_id": image, "category_id": category, "bbox": box.tolist()}
    entry |= {"area": float(box[2] * box[3]), "iscrowd": 0}
    return entry if track is None else entry | {"track_id": track}


def box_within(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a box (4,) xywh that a picture of (width, height) px shows; EditError where it is small."""
    low = np.clip(box[:2], 0, size)
    high = np.clip(box[:2] + box[2:], 0, size)
    if ((high - low) < 2).any():
        raise EditError("a box of less than 2 px; draw it from one corner of the person to the other")
    return np.round(np.concatenate([low, high - low]), 2)


def with_box(person: Person, box: np.ndarray, size: tuple[int, int]) -> Entry:
    """The person in another box: labels stay where they are in the picture, and the box holds all points."""
    box = box_within(box, size)
    held = np.concatenate([person.points, person.asked_points()])
    if len(held):
        low = np.minimum(box[:2], held.min(axis=0))
        high = np.maximum(box[:2] + box[2:], held.max(axis=0))
        box = np.concatenate([low, high - low])
    entry = {**without_help(person.entry, "pending_box"), "bbox": box.tolist()}
    entry.pop("box_source", None)
    if person.coarse is None or entry.get("area") == float(person.box[2] * person.box[3]):
        entry["area"] = float(box[2] * box[3])
    if entry.get("dp_x") is not None:
        x, y = frame_from_image(person.points, box).clip(0, FRAME).T
        entry |= {"dp_x": x.tolist(), "dp_y": y.tolist()}
    if person.asked:
        places = frame_from_image(person.asked_points(), box).clip(0, FRAME).tolist()
        moved = [{**each, "x": x, "y": y} for each, (x, y) in zip(person.asked, places)]
        entry["dp_asked"] = moved
    if person.coarse is not None:
        centres = frame_pixel_centres(box).reshape(-1, 2)
        moved_mask = sample_coarse(person.coarse, person.box, centres, outside=0)[0].reshape(FRAME, FRAME)
        entry |= coarse_fields(moved_mask, entry)
    return entry


def coarse_fields(coarse: np.ndarray, entry: Entry) -> Entry:
    """`dp_masks` and `dp_ignore` of a mask (256, 256): a mask a coarse part, an empty list for none.

    An entry keeps as many places for masks as it has.
    """
    labels = [int(label) for label in np.unique(coarse) if 0 < label < IGNORE]
    had = entry.get("dp_masks")
    count = max(len(had) if isinstance(had, list) else 0, max(labels, default=0))
    masks: list[Any] = [
        encode_rle(coarse == label) if label in labels else [] for label in range(1, count + 1)
    ]
    fields: Entry = {"dp_masks": masks}
    if (coarse == IGNORE).any() or "dp_ignore" in entry:
        fields["dp_ignore"] = encode_rle(coarse == IGNORE)
    return fields


def with_coarse(person: Person, coarse: np.ndarray) -> Entry:
    """The person with another mask; open points that no longer lie on their part are no longer asked."""
    entry = {**person.entry, **coarse_fields(coarse, person.entry)}
    entry.pop("dp_propagated", None)  # from here on the masks are an annotator's
    if person.asked:
        label = sample_coarse(coarse, person.box, person.asked_points(), outside=0)[0]
        kept = [each for each, there in zip(person.asked, label) if each["part"] == there]
        entry = with_asked(entry, kept)
    return entry


def with_asked(entry: Entry, asked: list[dict[str, Any]]) -> Entry:
    """The entry with these points asked."""
    changed = {**entry, "dp_asked": asked}
    if not asked:
        del changed["dp_asked"]
    return changed


def with_answer(
    entry: Entry, point: int | None, frame_place: tuple[float, float], part: int, uv: tuple[float, float]
) -> Entry:
    """The entry with a point's answer: a new one (`point` None) at a place in the box frame, or another."""
    changed = dict(entry)
    place = len(entry.get("dp_x") or ()) if point is None else point
    answer = {"dp_I": part, "dp_U": round(uv[0], 6), "dp_V": round(uv[1], 6)}
    if point is None:
        answer |= {"dp_x": round(frame_place[0], 4), "dp_y": round(frame_place[1], 4)}
    for name in POINT_FIELDS:
        value = answer.get(name)
        if value is None and entry.get(name) is not None and name in _OF_ANNOTATOR:
            value = _OF_ANNOTATOR[name]
        if value is not None:
            row = list(entry.get(name) or ())
            row[place : place + 1] = [value]
            changed[name] = row
    return changed


def without_point(entry: Entry, point: int) -> Entry:
    """The entry without one of its points."""
    changed = dict(entry)
    for name in POINT_FIELDS:
        row = entry.get(name)
        if isinstance(row, list):
            changed[name] = row[:point] + row[point + 1 :]
            if not changed[name]:
                del changed[name]
    return changed


def with_keypoint(
    entry: Entry,
    keypoints: np.ndarray | None,
    names: tuple[str, ...],
    index: int,
    mark: tuple[float, float, int],
) -> Entry:
    """The entry with keypoint `index` at x, y px of the picture and a visibility of 0, 1 or 2."""
    if not 0 <= index < len(names):
        raise EditError(f"keypoint {index}, but there are {len(names)}")
    x, y, seen = mark
    rows = np.zeros((len(names), 3)) if keypoints is None else np.array(keypoints, dtype=np.float64)
    rows[index] = (round(x, 2), round(y, 2), seen) if seen else (0, 0, 0)
    flat = [int(value) if value == int(value) else value for value in rows.ravel().tolist()]
    return {**entry, "keypoints": flat, "num_keypoints": int((rows[:, 2] > 0).sum())}


def with_guessed_keypoints(entry: Entry, guessed: list[dict[str, Any]]) -> Entry:
    """The entry with these keypoints proposed."""
    changed = {**entry, "dp_guessed_keypoints": guessed}
    if not guessed:
        del changed["dp_guessed_keypoints"]
    return changed


def count_help(entry: Entry, kind: str, what: str, number: int = 1) -> Entry:
    """The entry with proposals counted: `kind` points, parts or keypoints, `what` accepted, corrected or
    refused."""
    counts = deepcopy(entry.get("dp_help", {}))
    of_kind = counts.setdefault(kind, {"accepted": 0, "corrected": 0, "refused": 0})
    of_kind[what] += number
    return {**entry, "dp_help": counts}


def without_help(entry: Entry, *names: str) -> Entry:
    """The entry without some fields of `dp_help`; itself where it has none of them."""
    known = entry.get("dp_help") or {}
    if not any(name in known for name in names):
        return entry
    changed = {**entry, "dp_help": {name: value for name, value in known.items() if name not in names}}
    if not changed["dp_help"]:
        del changed["dp_help"]
    return changed


def with_refused_keypoint(entry: Entry, index: int) -> Entry:
    """The entry with a keypoint that is not to be proposed again."""
    known = entry.get("dp_help") or {}
    refused = sorted({*known.get("refused_keypoints", []), index})
    return {**entry, "dp_help": {**known, "refused_keypoints": refused}}
