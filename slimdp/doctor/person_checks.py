"""Checks of annotated people: can each be read, do the labels fit together, do the tracks hold?"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from flow_cache.coco import AnnotationError, Record
from slimdp.data.box_frame import FRAME, sample_coarse
from slimdp.data.person_entry import PersonEntry
from slimdp.doctor.findings import FileFindings
from slimdp.structures import BoxSource, ImageRecord, PersonAnnotation

#: How far an annotator's point may lie from the coarse masks, px of the 256 x 256 frame.
STRAY_PX = 6
#: How far a box or an outline may reach past the picture before it is told, px.
_SLACK_PX = 1.0
_POINT_FIELDS = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V")
_CODES = {
    "id": "person-field", "bbox": "box-broken", "dp_x": "point-range", "dp_y": "point-range",
    "dp_I": "part-range", "dp_U": "uv-range", "dp_V": "uv-range", "track_id": "track-broken",
    "dp_masks": "mask-broken", "dp_ignore": "mask-broken", "keypoints": "keypoints-broken",
    "area": "area-broken", "iscrowd": "flag-broken", "dp_propagated": "flag-broken",
}  # fmt: skip
_FLAGS = "has_no_densepose, is_labeled"
#: Boxes of a track are compared between frames this near to each other.
NEAR_FRAMES = 4
#: A box moves farther than this many times its longer side: two people, most likely.
_FARTHEST = 2.0


def check_person(entry: PersonEntry, findings: FileFindings) -> PersonAnnotation | None:
    """Read a person as training would; None, and the faults by field, where it cannot be read."""
    _check_outline(entry, findings)
    if not _check_lengths(entry.record, findings):
        return None
    try:
        person = entry.person()
    except AnnotationError as error:
        _name_faults(entry, findings, error)
        return None
    _check_box(entry.record, person, findings)
    _check_points_on_masks(entry.record, person, findings)
    _check_keypoints(entry.record, person, findings)
    return person


def _check_lengths(record: Record, findings: FileFindings) -> bool:
    values = [record.content.get(field) for field in _POINT_FIELDS]
    lengths = [
        len(value) if isinstance(value, list) else "missing" if value is None else "no list"
        for value in values
    ]
    if len(set(lengths)) == 1:  # none of them where all are missing
        return True
    found = ", ".join(f"{field} {length}" for field, length in zip(_POINT_FIELDS, lengths))
    findings.add_field("point-lengths", record, ", ".join(_POINT_FIELDS), found)
    return False


def _name_faults(entry: PersonEntry, findings: FileFindings, first: AnnotationError) -> None:
    """All faults, not the first one alone: the reader judges each field on its own."""
    record, known = entry.record, len(findings.all)
    for field, code in _CODES.items():
        try:
            PersonEntry(_alone(record, field), entry.image, entry.category).person()
        except AnnotationError as error:
            findings.add_error(code, record, error)
    if len(findings.all) == known:
        findings.add_error("person-broken", record, first)


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


def _check_outline(entry: PersonEntry, findings: FileFindings) -> None:
    record, outline = entry.record, entry.record.content.get("segmentation")
    if outline in ([], {}):
        findings.add_field("outline-empty", record, "segmentation", "empty")
    elif outline is not None:
        try:
            entry.outline.check()
            if isinstance(outline, list) and (short := [len(part) for part in outline if len(part) < 6]):
                found = f"{len(short)} of {len(outline)}: {short} numbers"
                findings.add_field("outline-short", record, "segmentation", found)
        except AnnotationError as error:
            findings.add_error("outline-broken", record, error)


def _check_box(record: Record, person: PersonAnnotation, findings: FileFindings) -> None:
    if person.box_source != BoxSource.ANNOTATOR:
        return  # nobody drew it: it may well reach out of the picture
    image = person.image
    left, top, width, height = person.box.tolist()
    right, bottom = left + width, top + height
    found = f"x {left:g}..{right:g}, y {top:g}..{bottom:g} in {image.width} x {image.height} px"
    if right <= 0 or bottom <= 0 or left >= image.width or top >= image.height:
        findings.add_field("box-elsewhere", record, "bbox", found)
    elif max(-left, -top, right - image.width, bottom - image.height) > _SLACK_PX:
        findings.add_field("box-outside", record, "bbox", found)


def _check_points_on_masks(record: Record, person: PersonAnnotation, findings: FileFindings) -> None:
    if not person.has_coarse or not len(person.points):
        return
    # A point at the far edge of its frame rounds to pixel 256, which the mask does not have.
    points = np.minimum(person.points, person.box[:2] + person.box[2:] * (1 - 1 / FRAME))

    def count_off(mask: np.ndarray) -> int:
        return int((sample_coarse(mask, person.box, points, outside=0)[0] == 0).sum())

    body = (np.asarray(person.coarse) > 0).astype(np.uint8)
    if off := count_off(body):
        far = count_off(cv2.dilate(body, np.ones((2 * STRAY_PX + 1, 2 * STRAY_PX + 1), dtype=np.uint8)))
        code = "points-off-mask" if far else "points-near-mask"
        found = f"{off} of {len(points)} points off the masks, {far} by more than {STRAY_PX} px of {FRAME}"
        findings.add_field(code, record, "dp_x, dp_y", found)


def _check_keypoints(record: Record, person: PersonAnnotation, findings: FileFindings) -> None:
    if person.keypoints is None:
        return
    seen = person.keypoints[:, 2] > 0
    count, stated = int(seen.sum()), record.content.get("num_keypoints")
    if stated is not None and stated != count:
        found = f"num_keypoints {stated}, but {count} keypoints have a visibility above 0"
        findings.add_field("keypoints-count", record, "num_keypoints", found)
    xy, size = person.keypoints[seen, :2], (person.image.width, person.image.height)
    outside = xy[((xy < -_SLACK_PX) | (xy > np.array(size) - 1 + _SLACK_PX)).any(axis=1)]
    if len(outside):
        where = f"x {outside[0, 0]:g}, y {outside[0, 1]:g} in {size[0]} x {size[1]} px"
        found = f"{len(outside)} of {len(xy)}, the first at {where}"
        findings.add_field("keypoints-outside", record, "keypoints", found)


class _Seen(NamedTuple):
    """A person of a track in a frame."""

    frame: int
    box: np.ndarray  # (4,) x, y, width, height, image px
    place: str


class PeopleOfVideos:
    """Gathers the people of an annotation file, and checks their tracks at the end."""

    def __init__(self, findings: FileFindings) -> None:
        self._findings = findings
        self._tracks: dict[tuple[str, int], list[_Seen]] = defaultdict(list)
        self._trackless: dict[str, list[str]] = defaultdict(list)  # places by video
        self._people_in: set[int] = set()
        self._masks_in: set[int] = set()
        self._flagged: Counter[tuple[int, str]] = Counter()  # people with points in frames without labels

    @property
    def tracks(self) -> int:
        """People in videos, each counted once."""
        return len(self._tracks)

    def add(self, record: Record, person: PersonAnnotation) -> None:
        """Take note of a person; those in stills have no track."""
        image = person.image
        self._people_in.add(image.id)
        if person.has_coarse:
            self._masks_in.add(image.id)
        if not image.labelled and len(person.points):
            self._flagged[image.id, image.file_name] += 1
        if image.video is None:
            return
        if person.track is None:
            self._trackless[image.video].append(record.place)
        else:
            frame = image.frame if image.frame is not None else image.id
            self._tracks[image.video, person.track].append(_Seen(frame, person.box, record.place))

    def finish(self, images: Iterable[ImageRecord], dense_images: set[int]) -> None:
        """Check what only shows when all people are known."""
        frames: dict[str, set[int]] = defaultdict(set)
        for image in images:
            empty = image.id not in (dense_images | self._masks_in if dense_images else self._people_in)
            if image.video is None:
                continue
            if image.labelled and empty and self._people_in:
                found = f"nobody is labelled in {image.file_name}"
                self._findings.add("frame-empty", f"image {image.id}: {_FLAGS}", found)
            elif image.labelled and image.frame is not None:
                frames[image.video].add(image.frame)
        for (identity, name), count in self._flagged.items():
            found = f"{name} counts as unlabelled, but {count} of its people have points"
            self._findings.add("flag-differs", f"image {identity}: {_FLAGS}", found)
        with_tracks = {video for video, _ in self._tracks}
        for video, places in self._trackless.items():
            for place in places if video in with_tracks else ():
                self._findings.add("track-missing", f"{place}: track_id", f"none, in video {video}")
        for (video, track), seen in self._tracks.items():
            self._check_track(f"video {video}, track {track}", seen, frames[video])

    def _check_track(self, track: str, seen: list[_Seen], frames: set[int]) -> None:
        seen = sorted(seen, key=lambda one: one.frame)
        for before, after in itertools.pairwise(seen):
            step = after.frame - before.frame
            place = f"{after.place}: track_id"
            if step == 0:
                self._findings.add("track-twice", place, f"{track} is also {before.place}")
            elif step <= NEAR_FRAMES and (moved := _moved(before.box, after.box)) > _FARTHEST:
                found = f"{track} moved {moved:.1f} times its size from frame {before.frame} to {after.frame}"
                self._findings.add("track-jump", place, found)
        present = {one.frame for one in seen}
        gap = sorted(frame for frame in frames - present if seen[0].frame < frame < seen[-1].frame)
        if gap:
            between = f"between {seen[0].frame} and {seen[-1].frame}"
            some = ", ".join(map(str, gap[:5])) + (", ..." if len(gap) > 5 else "")
            self._findings.add("track-gap", track, f"absent in {len(gap)} labelled frames {between}: {some}")


def _moved(box_0: np.ndarray, box_1: np.ndarray) -> float:
    """The distance that a box moved, in times its longer side."""
    centres = box_0[:2] + box_0[2:] / 2, box_1[:2] + box_1[2:] / 2
    return float(np.hypot(*(centres[1] - centres[0])) / max(*box_0[2:], *box_1[2:]))
