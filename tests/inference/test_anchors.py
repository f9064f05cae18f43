"""Boxes that somebody drew: where they are read from, and that they stand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from slimdp.data import AnnotationError, write_annotations
from slimdp.inference.anchors import AnchoredDetector, AnchoredTracker, read_anchors
from slimdp.inference.detectors import FollowDetector
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.tracking import FlowTracker, TrackSettings
from slimdp.inference.video_records import Boxes, VideoFrame
from slimdp.structures import ImageRecord, PersonAnnotation

NONE = np.zeros(0, np.int64)


def person(identity: int, image: ImageRecord, left: float) -> PersonAnnotation:
    box = np.array([left, 10.0, 20, 40])
    return PersonAnnotation(
        identity, image, box, np.zeros((0, 2)), NONE, np.zeros((0, 2), np.float32), NONE, NONE
    )


def labels(folder: Path, *frames: tuple[str, int, float]) -> Path:
    """An annotation file of frames (video, number) with a box at a left edge each."""
    images, people = [], []
    for number, (video, index, left) in enumerate(frames, start=1):
        name = f"images/{video}/{index:06d}.jpg"
        images.append(ImageRecord(number, folder / name, name, 200, 100, video, index))
        people.append(person(number, images[-1], left))
    write_annotations(folder / "labels.json", images, people)
    return folder / "labels.json"


class Finds:
    """A detector that says the same of every frame."""

    name = "finds"

    def __init__(self, *lefts: float) -> None:
        xywh = np.array([[left, 10.0, 20, 40] for left in lefts]).reshape(-1, 4)
        self.boxes = Boxes(xywh, np.full(len(lefts), 0.7))

    def settings(self) -> dict[str, object]:
        return {"lefts": len(self.boxes)}

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        return self.boxes


def test_boxes_are_those_of_the_video_and_of_its_stretches(tmp_path: Path) -> None:
    frames = [("walk_000003", 4, 5.0), ("walk_000020", 22, 6.0), ("walker", 4, 7.0), ("run_000001", 4, 8.0)]
    file = labels(tmp_path, *frames)
    anchors = read_anchors(file, "walk")
    assert {frame: boxes.tolist() for frame, boxes in anchors.items()} == {
        4: [[5, 10, 20, 40]],
        22: [[6, 10, 20, 40]],
    }
    assert list(read_anchors(file, "out", known_as="run")) == [4]
    with pytest.raises(AnnotationError, match=r"video 'ride'; its videos: run_000001, walk_000003"):
        read_anchors(file, "ride")


def test_of_a_file_of_one_video_any_name_will_do(tmp_path: Path) -> None:
    file = labels(tmp_path, ("train_00000", 9, 5.0))
    assert list(read_anchors(file, "walk")) == [9]
    with pytest.raises(AnnotationError, match="video 'walk'"):
        read_anchors(file, "walk", known_as="walk")


def test_drawn_boxes_stand_and_others_come_beside_them() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    detector = AnchoredDetector(Finds(50, 120), {7: np.array([[55.0, 10, 20, 40]])})
    found = detector.detect(image, 7)
    assert found is not None
    assert (found.xywh[:, 0].tolist(), found.score.tolist()) == ([55, 120], [1, 0.7])
    assert detector.detect(image, 8) is detector.detect(image, 6)
    assert detector.settings()["anchors"] == [[7, [[55.0, 10.0, 20.0, 40.0]]]]


class Names(Finds):
    """A detector that knows who the people are, but not in every second frame."""

    names_people = True

    def __init__(self, *people: tuple[int, float]) -> None:
        super().__init__(*(left for _, left in people))
        self.boxes = replace(self.boxes, track=np.array([track for track, _ in people]))

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:  # type: ignore[override]
        return None if index % 2 else self.boxes


def test_drawn_boxes_correct_people_who_have_names_and_bring_nobody() -> None:
    image, anchors = np.zeros((100, 200, 3), np.uint8), np.array([[160.0, 10, 20, 40], [55, 10, 20, 40]])
    detector = AnchoredDetector(Names((7, 50), (4, 57), (2, 120)), {3: anchors, 6: anchors})
    found = detector.detect(image, 6)
    assert found is not None
    assert found.track is not None
    assert found.track.tolist() == [7, 4, 2]
    assert (found.xywh[:, 0].tolist(), found.score.tolist()) == ([50, 55, 120], [0.7, 1, 0.7])
    assert detector.detect(image, 3) is None


def test_whom_nobody_names_takes_no_number_of_somebody_else() -> None:
    """A drawn person would be the tracker's number 2, and the file's person 2 the same one from then on."""
    anchors = {2: np.array([[55.0, 10, 20, 40], [150, 10, 20, 40]]), 3: np.array([[150.0, 10, 20, 40]])}
    tracker = AnchoredTracker(FlowTracker(TrackSettings(every=1)), anchors)
    image = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)
    shown = []
    for index in range(6):
        detector = AnchoredDetector(Names((1, 50), *([(2, 100.0)] if index > 3 else [])), anchors)
        frame = VideoFrame(index, Fraction(index, 25), image)
        found = detector.detect(image, index) if tracker.due(frame) else None
        shown.append({each.track: each.box[0] for each in tracker.update(frame, found)})
    assert [sorted(people) for people in shown] == [[1], [1], [1], [1], [1, 2], [1, 2]]
    assert shown[4][2] == 100


def test_a_frame_with_drawn_boxes_is_looked_at() -> None:
    anchors = {5: np.array([[55.0, 10, 20, 40]])}
    tracker = AnchoredTracker(FlowTracker(TrackSettings(every=4)), anchors)
    detector = AnchoredDetector(Finds(), anchors)
    image = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)
    looked, shown = [], []
    for index in range(7):
        frame = VideoFrame(index, Fraction(index, 25), image)
        looked.append(tracker.due(frame))
        found = detector.detect(image, index) if looked[-1] else None
        shown.append([each.box[0] for each in tracker.update(frame, found)])
    assert looked == [True, False, False, False, True, True, False]
    assert shown[:5] == [[]] * 5
    assert shown[5:] == [[55], [pytest.approx(55, abs=0.5)]]


def test_whom_an_outline_follows_begins_anew_in_the_nearest_drawn_box() -> None:
    anchors = {2: np.array([[150.0, 10, 20, 40], [30, 10, 20, 40]])}
    tracker = AnchoredTracker(OutlineTracker(), anchors)
    detector = AnchoredDetector(FollowDetector((20, 10, 20, 40)), anchors)
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = []
    for index in range(4):
        frame = VideoFrame(index, Fraction(index, 25), image)
        found = detector.detect(image, index) if tracker.due(frame) else None
        boxes.append(tracker.update(frame, found)[0].box[0])
    assert boxes == [20, 20, 30, 30]
