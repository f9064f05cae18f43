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

from slimdp.data import AnnotationError, read_annotations
from slimdp.geometry import box_overlaps
from slimdp.inference.video_records import Boxes, Detector, FrameMaps, TrackedPerson, Tracker, VideoFrame
from slimdp.structures import PersonAnnotation

#: A detector's box that overlaps a drawn one by more than this is of the same person.
_SAME_PERSON = 0.3

#: Boxes (N, 4) x, y, width, height px by the number of the frame, from 0.
Anchors = Mapping[int, np.ndarray]


def read_anchors(file: Path, video: str, known_as: str | None = None) -> Anchors:
    """The boxes that an annotation file, as `slimdp frames` writes it, has of a video of a name.

    `known_as` is what the file calls it; without that, of a file of one video any name will do. Raises
    AnnotationError where there are none.
    """
    annotations = read_annotations(file, file.parent, check_images=False)
    named = sorted({image.video for image in annotations.images if image.video is not None})
    names = [known_as] if known_as is not None else [video, *(named if len(named) == 1 else ())]
    boxes = next((found for name in names if (found := boxes_of(annotations.people, name))), None)
    if boxes is None:
        raise AnnotationError(
            f"{file}: nobody in a frame of video {known_as or video!r}; its videos: {', '.join(named)}"
        )
    return boxes


def boxes_of(people: Sequence[PersonAnnotation], video: str) -> Anchors:
    """The boxes of those people who are in frames of a video.

    Their `vid_id` is its name, or that and the first frame of a stretch of it (walk_000120), and `frame_id`
    counts from 0.
    """
    of_video = re.compile(re.escape(video.replace("/", "_")) + r"(_\d{6})?")
    boxes: dict[int, list[np.ndarray]] = {}
    for person in people:
        frame = person.image.frame
        if frame is not None and not person.crowd and of_video.fullmatch(person.image.video or ""):
            boxes.setdefault(frame, []).append(person.box)
    return {frame: np.array(of_frame, dtype=np.float64) for frame, of_frame in boxes.items()}


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
        drawn = [[frame, self._anchors[frame].tolist()] for frame in sorted(self._anchors)]
        return {**self._detector.settings(), "anchors": drawn}

    def __str__(self) -> str:
        return f"{self._detector}; boxes that are drawn in {len(self._anchors)} frames stand"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:
        """As of `Detector`; drawn boxes come first, with score 1, or in the place of named people's."""
        found, drawn = self._detector.detect(image, index), self._anchors.get(index)
        if drawn is None:
            return found
        if self._names_people or (found is not None and found.track is not None):
            return None if found is None else _corrected(found, drawn)
        xywh, score = [drawn], [np.ones(len(drawn))]
        if found is not None and len(found):
            others = (box_overlaps(found.xywh, drawn) <= _SAME_PERSON).all(axis=1)
            xywh, score = [*xywh, found.xywh[others]], [*score, found.score[others]]
        return Boxes(np.concatenate(xywh), np.concatenate(score))


def _corrected(found: Boxes, drawn: np.ndarray) -> Boxes:
    """The people found, in those drawn boxes (M, 4) xywh px that overlap theirs enough, the most first."""
    xywh, score = found.xywh.copy(), found.score.copy()
    overlap = box_overlaps(xywh, drawn)
    while overlap.size and overlap.max() > _SAME_PERSON:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        xywh[row], score[row] = drawn[column], 1.0
        overlap[row], overlap[:, column] = 0, 0
    return replace(found, xywh=xywh, score=score)


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
