"""Boxes that somebody drew: where they are read from, and that they stand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from slimdp.data import AnnotationError, write_annotations
from slimdp.inference import anchors as drawn_boxes
from slimdp.inference.anchors import AnchoredDetector, AnchoredTracker, boxes_of, read_anchors
from slimdp.inference.detectors import FollowDetector
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.tracking import FlowTracker, TrackSettings
from slimdp.inference.video_records import Boxes, VideoFrame, VideoInfo
from slimdp.structures import BoxSource, ImageRecord, PersonAnnotation

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


def video(name: str, frames: int = 100) -> VideoInfo:
    return VideoInfo(Path(f"{name}.mp4"), name, 200, 100, frames, Fraction(25))


def given(xywh: list[list[float]]) -> Boxes:
    """Boxes that somebody drew."""
    return Boxes(np.array(xywh), np.ones(len(xywh)), given=np.ones(len(xywh), bool))


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
    anchors = read_anchors(file, video("walk"))
    assert {frame: boxes.xywh.tolist() for frame, boxes in anchors.items()} == {
        4: [[5, 10, 20, 40]],
        22: [[6, 10, 20, 40]],
    }
    assert list(read_anchors(file, video("out"), known_as="run")) == [4]
    with pytest.raises(AnnotationError, match=r"video 'ride'; its videos: run_000001, walk_000003"):
        read_anchors(file, video("ride"))


def test_of_a_file_of_one_video_any_name_will_do(tmp_path: Path) -> None:
    file = labels(tmp_path, ("train_00000", 9, 5.0))
    assert list(read_anchors(file, video("walk"))) == [9]
    with pytest.raises(AnnotationError, match="video 'walk'"):
        read_anchors(file, video("walk"), known_as="walk")


def test_a_stretch_of_another_video_is_not_of_this_one(tmp_path: Path) -> None:
    frames = [("walk", 4, 5.0), ("walk_000120", 2, 6.0), ("run_000120", 2, 7.0), ("run_000120", 121, 8.0)]
    file = labels(tmp_path, *frames)
    assert list(read_anchors(file, video("walk"))) == [4]
    assert list(read_anchors(file, video("walk_000120"))) == [2]
    assert list(read_anchors(file, video("run", frames=130))) == [121], (
        "a stretch has no frame before it begins"
    )


def test_boxes_of_another_size_or_of_frames_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(drawn_boxes, "log_line", said.append)
    file = labels(tmp_path, ("walk", 4, 5.0), ("walk", 60, 6.0))
    with pytest.raises(
        AnnotationError, match=r"200 x 100 px, but the frames of walk\.mp4 are of 100 x 50 px"
    ):
        read_anchors(file, replace(video("walk"), width=100, height=50))
    with pytest.raises(AnnotationError, match=r"2 of 2 frames with boxes, 4 the first, are not in walk\.mp4"):
        read_anchors(file, video("walk", frames=4))
    assert list(read_anchors(file, video("walk", frames=0))) == [4, 60], "a file may not say how many it has"
    assert not said
    assert list(read_anchors(file, video("walk", frames=60))) == [4]
    assert "1 of 2 frames with boxes, 60 the first, are not in walk.mp4" in said[0]


def test_boxes_that_labels_were_carried_to_were_not_drawn(tmp_path: Path) -> None:
    image = ImageRecord(1, tmp_path / "4.jpg", "walk/000004.jpg", 200, 100, "walk", 4)
    drawn, found, carried = (person(identity, image, 10.0 * identity) for identity in (1, 2, 3))
    found = replace(found, box_source=BoxSource.TRACKED)
    one = {"points": np.zeros((1, 2)), "part": np.ones(1, np.int64), "uv": np.zeros((1, 2), np.float32)}
    carried = replace(carried, **one, source=np.ones(1, np.int64), step=np.array([3]))
    assert boxes_of([drawn, found, carried])[4].stands.tolist() == [True, False, False]
    bare = replace(drawn, id=4, propagated=True)  # with masks or keypoints alone
    assert boxes_of([drawn, bare])[4].stands.tolist() == [True, False]


def test_two_drawn_people_who_overlap_are_two_and_their_boxes_stand() -> None:
    """A detector's second box there would be the same person's, and the first would be a mean."""
    anchors = {4: given([[47.0, 10, 20, 42], [51, 10, 20, 42]])}
    tracker = AnchoredTracker(FlowTracker(TrackSettings(every=4)), anchors)
    detector = AnchoredDetector(Finds(44), anchors)
    image = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)
    for index in range(5):
        frame = VideoFrame(index, Fraction(index, 25), image)
        found = detector.detect(image, index) if tracker.due(frame) else None
        people = tracker.update(frame, found)
    assert [each.box.tolist() for each in people] == anchors[4].xywh.tolist()


def test_drawn_boxes_stand_and_others_come_beside_them() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    detector = AnchoredDetector(Finds(50, 120), {7: given([[55.0, 10, 20, 40]])})
    found = detector.detect(image, 7)
    assert found is not None
    assert (found.xywh[:, 0].tolist(), found.score.tolist()) == ([55, 120], [1, 0.7])
    assert detector.detect(image, 8) is detector.detect(image, 6)
    assert detector.settings()["anchors"] == [[7, [[55.0, 10.0, 20.0, 40.0]], [True]]]


class Names(Finds):
    """A detector that knows who the people are, but not in every second frame."""

    names_people = True

    def __init__(self, *people: tuple[int, float]) -> None:
        super().__init__(*(left for _, left in people))
        self.boxes = replace(self.boxes, track=np.array([track for track, _ in people]))

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:  # type: ignore[override]
        return None if index % 2 else self.boxes


def test_drawn_boxes_correct_people_who_have_names_and_bring_nobody() -> None:
    image, anchors = np.zeros((100, 200, 3), np.uint8), given([[160.0, 10, 20, 40], [55, 10, 20, 40]])
    detector = AnchoredDetector(Names((7, 50), (4, 57), (2, 120)), {3: anchors, 6: anchors})
    found = detector.detect(image, 6)
    assert found is not None
    assert found.track is not None
    assert found.track.tolist() == [7, 4, 2]
    assert found.stands.tolist() == [False, True, False]
    assert (found.xywh[:, 0].tolist(), found.score.tolist()) == ([50, 55, 120], [0.7, 1, 0.7])
    assert detector.detect(image, 3) is None


def test_whom_nobody_names_takes_no_number_of_somebody_else() -> None:
    """A drawn person would be the tracker's number 2, and the file's person 2 the same one from then on."""
    anchors = {2: given([[55.0, 10, 20, 40], [150, 10, 20, 40]]), 3: given([[150.0, 10, 20, 40]])}
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
    anchors = {5: given([[55.0, 10, 20, 40]])}
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
    anchors = {2: given([[150.0, 10, 20, 40], [30, 10, 20, 40]])}
    tracker = AnchoredTracker(OutlineTracker(), anchors)
    detector = AnchoredDetector(FollowDetector((20, 10, 20, 40)), anchors)
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = []
    for index in range(4):
        frame = VideoFrame(index, Fraction(index, 25), image)
        found = detector.detect(image, index) if tracker.due(frame) else None
        boxes.append(tracker.update(frame, found)[0].box[0])
    assert boxes == [20, 20, 30, 30]
