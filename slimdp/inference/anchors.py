"""Boxes that somebody drew in some frames of a video: they stand there, whatever a detector finds.

A user's labels say where people are in the labelled frames. There a detector is corrected, and following
begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.progress import log_line
from slimdp.data import AnnotationError, read_annotations
from slimdp.geometry import box_overlaps
from slimdp.inference.video_records import (
    Boxes,
    Detector,
    FrameMaps,
    TrackedPerson,
    Tracker,
    VideoFrame,
    VideoInfo,
)
from slimdp.structures import BoxSource, PersonAnnotation

#: A detector's box that overlaps a drawn one by more than this is of the same person.
_SAME_PERSON = 0.3

#: Boxes by the number of the frame, from 0; `given` are those that labels did not bring there from elsewhere.
Anchors = Mapping[int, Boxes]


def read_anchors(file: Path, info: VideoInfo, known_as: str | None = None) -> Anchors:
    """The boxes that an annotation file, as `slimdp frames` writes it, has of a video.

    `known_as` is what the file calls it; without that, of a file of one video any name will do. Frames that
    the video does not have are left out, with a word. Raises AnnotationError where there are no others, and
    where an image has another size than the video.
    """
    annotations = read_annotations(file, file.parent, check_images=False)
    named = sorted({image.video for image in annotations.images if image.video is not None})
    names = [known_as] if known_as is not None else [info.name, *(named if len(named) == 1 else ())]
    people = next((found for name in names if (found := people_of(annotations.people, name))), None)
    if people is None:
        raise AnnotationError(
            f"{file}: nobody in a frame of video {known_as or info.name!r}; its videos: {', '.join(named)}"
        )
    for image in (person.image for person in people):
        if (image.width, image.height) != (info.width, info.height):
            raise AnnotationError(
                f"{file}: image {image.id}, {image.file_name}, is {image.width} x {image.height} px, but the "
                f"frames of {info.path} are of {info.width} x {info.height} px; its boxes lie elsewhere there"
            )
    boxes = boxes_of(people)
    if beyond := [frame for frame in boxes if info.frames and frame >= info.frames]:
        said = (
            f"{file}: {len(beyond)} of {len(boxes)} frames with boxes, {min(beyond)} the first, are not in "
        )
        said += f"{info.path}, whose frames are 0 to {info.frames - 1}"
        if len(beyond) == len(boxes):
            raise AnnotationError(f"{said}; frame_id counts from 0")
        log_line(f"{said}; they are left out")
    return {frame: found for frame, found in boxes.items() if frame not in beyond}


def people_of(people: Sequence[PersonAnnotation], video: str) -> list[PersonAnnotation]:
    """Those who are in frames of a video; no crowds.

    Their `vid_id` is its name; or, where nobody has that, it and the first frame of a stretch of the video
    (walk_000120, as `slimdp frames` names them). `frame_id` counts from 0.
    """
    name = video.replace("/", "_")
    there = [person for person in people if person.image.frame is not None and not person.crowd]
    if exact := [person for person in there if person.image.video == name]:
        return exact
    stretch = re.compile(re.escape(name) + r"_(\d{6})")
    return [
        person
        for person in there
        if (found := stretch.fullmatch(person.image.video or ""))
        and int(found[1]) <= (person.image.frame or 0)
    ]


def boxes_of(people: Sequence[PersonAnnotation]) -> Anchors:
    """The boxes of people of a video, by frame."""
    by_frame: dict[int, list[PersonAnnotation]] = {}
    for person in people:
        assert person.image.frame is not None
        by_frame.setdefault(person.image.frame, []).append(person)
    return {
        frame: Boxes(
            np.array([person.box for person in there], dtype=np.float64),
            np.ones(len(there)),
            given=np.array([_was_drawn(person) for person in there]),
        )
        for frame, there in by_frame.items()
    }


def _was_drawn(person: PersonAnnotation) -> bool:
    """Whether somebody drew the box; that of carried labels went along the flow."""
    return person.box_source == BoxSource.ANNOTATOR and not (person.propagated or person.step.any())


class AnchoredDetector:
    """A detector that finds the drawn boxes where there are some, and whom it finds beside them.

    Where it knows who people are (`names_people`, as a file of boxes with tracks), these names stand: a drawn
    box corrects the one of those that it overlaps most, and one of nobody whom the detector names in the
    frame is left out. It says not who it is, and any number for it may be somebody's in a later frame.
    """

    def __init__(self, detector: Detector, anchors: Anchors) -> None:
        self.name, self._detector, self._anchors = detector.name, detector, anchors
        self._names_people = bool(getattr(detector, "names_people", False))

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        anchors = [
            [frame, boxes.xywh.tolist(), boxes.stands.tolist()]
            for frame, boxes in sorted(self._anchors.items())
        ]
        return {**self._detector.settings(), "anchors": anchors}

    def __str__(self) -> str:
        return f"{self._detector}; boxes that are drawn in {len(self._anchors)} frames stand"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:
        """As of `Detector`; drawn boxes come first, with score 1, or in the place of named people's."""
        found, drawn = self._detector.detect(image, index), self._anchors.get(index)
        if drawn is None:
            return found
        if self._names_people or (found is not None and found.track is not None):
            return None if found is None else _corrected(found, drawn)
        if found is None or not len(found):
            return drawn
        others = (box_overlaps(found.xywh, drawn.xywh) <= _SAME_PERSON).all(axis=1)
        return Boxes(
            np.concatenate([drawn.xywh, found.xywh[others]]),
            np.concatenate([drawn.score, found.score[others]]),
            given=np.concatenate([drawn.stands, found.stands[others]]),
        )


def _corrected(found: Boxes, drawn: Boxes) -> Boxes:
    """The people found, in those drawn boxes that overlap theirs enough, the most first."""
    xywh, score, given = found.xywh.copy(), found.score.copy(), found.stands.copy()
    overlap = box_overlaps(xywh, drawn.xywh)
    while overlap.size and overlap.max() > _SAME_PERSON:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        xywh[row], score[row], given[row] = drawn.xywh[column], 1.0, drawn.stands[column]
        overlap[row], overlap[:, column] = 0, 0
    return replace(found, xywh=xywh, score=score, given=given)


class AnchoredTracker:
    """A tracker that looks at what is found in frames with drawn boxes too."""

    def __init__(self, tracker: Tracker, anchors: Anchors) -> None:
        self.observes, self._tracker, self._frames = tracker.observes, tracker, frozenset(anchors)

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        return self._tracker.settings()

    def due(self, frame: VideoFrame) -> bool:
        """As of `Tracker`."""
        return self._tracker.due(frame) or frame.index in self._frames

    def update(self, frame: VideoFrame, found: Boxes | None) -> list[TrackedPerson]:
        """As of `Tracker`."""
        return self._tracker.update(frame, found)

    def observe(self, pose: FrameMaps) -> bool:
        """As of `Tracker`."""
        return self._tracker.observe(pose)

    def state(self) -> dict[str, Any]:
        """As of `Tracker`."""
        return self._tracker.state()

    def restore(self, state: dict[str, Any], last: VideoFrame) -> None:
        """As of `Tracker`."""
        self._tracker.restore(state, last)
