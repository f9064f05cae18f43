"""Checks of one annotated person: can it be read, and does what it says fit together?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from slimdp.data.box_frame import FRAME, sample_coarse
from slimdp.data.json_record import AnnotationError, Record
from slimdp.data.person_entry import PersonEntry
from slimdp.doctor.findings import Findings
from slimdp.doctor.image_checks import field_and_problem as problem_of
from slimdp.structures import BoxSource, PersonAnnotation

#: How far an annotator's point may lie from the coarse masks, px of the 256 x 256 frame.
STRAY_PX = 6
#: How far a box or an outline may reach past the picture before it is told, px.
_SLACK_PX = 1.0
_POINT_FIELDS = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V")
_CODES = {
    "id": "person-field",
    "bbox": "box-broken",
    "dp_x": "point-range",
    "dp_y": "point-range",
    "dp_I": "part-range",
    "dp_U": "uv-range",
    "dp_V": "uv-range",
    "track_id": "track-broken",
    "dp_masks": "mask-broken",
    "dp_ignore": "mask-broken",
    "keypoints": "keypoints-broken",
    "area": "area-broken",
    "iscrowd": "flag-broken",
}


def check_person(entry: PersonEntry, file: str, findings: Findings) -> PersonAnnotation | None:
    """Read a person as training would; None, and the faults by field, where it cannot be read.

    Args:
        entry: the annotation.
        file: how findings call the annotation file.
        findings: where they go.
    """
    record = entry.record
    _check_outline(entry, file, findings)
    if not _check_lengths(record, file, findings):
        return None
    try:
        person = entry.person()
    except AnnotationError as error:
        _name_faults(entry, file, findings, error)
        return None
    _check_box(record, person, file, findings)
    _check_points_on_masks(record, person, file, findings)
    _check_keypoints(record, person, file, findings)
    return person


def _check_lengths(record: Record, file: str, findings: Findings) -> bool:
    values = {field: record.content.get(field) for field in _POINT_FIELDS}
    present = {field: value for field, value in values.items() if value is not None}
    lengths = {
        field: len(value) if isinstance(value, list) else "missing" if value is None else "no list"
        for field, value in values.items()
    }
    if not present or len(set(lengths.values())) == 1:
        return True
    found = ", ".join(f"{field} {length}" for field, length in lengths.items())
    findings.add("point-lengths", file, f"{record.place}: dp_x, dp_y, dp_I, dp_U, dp_V", found)
    return False


def _name_faults(entry: PersonEntry, file: str, findings: Findings, first: AnnotationError) -> None:
    """All faults, not the first one alone: the reader judges each field on its own."""
    record, known = entry.record, len(findings)
    for field, code in _CODES.items():
        try:
            PersonEntry(_alone(record, field), entry.image, entry.category).person()
        except AnnotationError as error:
            where, problem = problem_of(error, record)
            findings.add(code, file, f"{record.place}: {where}", problem)
    if len(findings) == known:
        field, problem = problem_of(first, record)
        findings.add("person-broken", file, f"{record.place}: {field}", problem)


def _alone(record: Record, field: str) -> Record:
    """The record with one field of interest; others that it cannot be read without are in order."""
    content: dict[str, Any] = {"id": 0, "bbox": [0, 0, 1, 1]}
    value = record.content.get(field)
    if field in _POINT_FIELDS and isinstance(value, list):
        content |= dict.fromkeys(_POINT_FIELDS, [0] * len(value))
        content["dp_I"] = [1] * len(value)
    if field in ("dp_U", "dp_V") and isinstance(value, list):  # null in both, or in none
        content["dp_U"] = content["dp_V"] = [None if entry is None else 0 for entry in value]
    if field == "dp_ignore":
        content["dp_masks"] = []
    if field in record.content or field in content:
        content[field] = value
    return replace(record, content=content)


def _check_outline(entry: PersonEntry, file: str, findings: Findings) -> None:
    record = entry.record
    outline, place = record.content.get("segmentation"), f"{record.place}: segmentation"
    if outline is None:
        return
    if outline in ([], {}):
        findings.add("outline-empty", file, place, "empty")
        return
    try:
        entry.outline.check()
    except AnnotationError as error:
        findings.add("outline-broken", file, place, problem_of(error, record)[1])
        return
    if isinstance(outline, list) and (short := [len(part) for part in outline if len(part) < 6]):
        findings.add("outline-short", file, place, f"{len(short)} of {len(outline)}: {short} numbers")


def _check_box(record: Record, person: PersonAnnotation, file: str, findings: Findings) -> None:
    if person.box_source != BoxSource.ANNOTATOR:
        return  # nobody drew it: it may well reach out of the picture
    image, place = person.image, f"{record.place}: bbox"
    left, top, width, height = person.box.tolist()
    right, bottom = left + width, top + height
    found = f"x {left:g}..{right:g}, y {top:g}..{bottom:g} in {image.width} x {image.height} px"
    if right <= 0 or bottom <= 0 or left >= image.width or top >= image.height:
        findings.add("box-elsewhere", file, place, found)
    elif max(-left, -top, right - image.width, bottom - image.height) > _SLACK_PX:
        findings.add("box-outside", file, place, found)


def _check_points_on_masks(record: Record, person: PersonAnnotation, file: str, findings: Findings) -> None:
    if not person.has_coarse or not len(person.points):
        return
    coarse = person.coarse
    assert coarse is not None
    body = (coarse > 0).astype(np.uint8)
    off = int((~_sampled(body, person)).sum())
    if not off:
        return
    side = 2 * STRAY_PX + 1
    wide = cv2.dilate(body, np.ones((side, side), dtype=np.uint8))
    far = int((~_sampled(wide, person)).sum())
    code = "points-off-mask" if far else "points-near-mask"
    found = f"{off} of {len(person.points)} points off the masks, {far} by more than {STRAY_PX} px of {FRAME}"
    findings.add(code, file, f"{record.place}: dp_x, dp_y", found)


def _sampled(mask: np.ndarray, person: PersonAnnotation) -> np.ndarray:
    # A point at the far edge of its frame rounds to pixel 256, which the mask does not have.
    last = person.box[:2] + person.box[2:] * (1 - 1 / FRAME)
    label, _ = sample_coarse(mask, person.box, np.minimum(person.points, last), outside=0)
    return label > 0


def _check_keypoints(record: Record, person: PersonAnnotation, file: str, findings: Findings) -> None:
    if person.keypoints is None:
        return
    seen = person.keypoints[:, 2] > 0
    count, stated = int(seen.sum()), record.content.get("num_keypoints")
    if stated is not None and stated != count:
        found = f"num_keypoints {stated}, but {count} keypoints have a visibility above 0"
        findings.add("keypoints-count", file, f"{record.place}: num_keypoints", found)
    xy, size = person.keypoints[seen, :2], (person.image.width, person.image.height)
    outside = ((xy < -_SLACK_PX) | (xy > np.array(size) - 1 + _SLACK_PX)).any(axis=1)
    if outside.any():
        first = xy[outside][0]
        where = f"x {first[0]:g}, y {first[1]:g} in {size[0]} x {size[1]} px"
        found = f"{outside.sum()} of {len(xy)}, the first at {where}"
        findings.add("keypoints-outside", file, f"{record.place}: keypoints", found)
