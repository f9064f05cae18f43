from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.geometry import box_overlaps
from slimdp.inference.detectors import FollowDetector
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.tracking import FlowTracker, TrackSettings, make_tracker
from slimdp.inference.video_records import Boxes, TrackedPerson, VideoFrame, VideoInfo

WIDTH, HEIGHT = 320, 160


def texture(height: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


BACKGROUND = texture(HEIGHT, WIDTH, 1) // 2
PEOPLE = [texture(80, 40, seed) for seed in (2, 3)]


def frame(index: int, *lefts: float) -> VideoFrame:
    """People of 40 x 80 px at y = 40."""
    image = BACKGROUND.copy()
    for person, left in zip(PEOPLE, lefts, strict=False):
        x = round(left)
        image[40:120, x : x + 40] = person
    return VideoFrame(index, Fraction(index, 25), image)


def boxes(*lefts: float, score: float = 0.9) -> Boxes:
    xywh = np.array([[left, 40, 40, 80] for left in lefts], dtype=float).reshape(-1, 4)
    return Boxes(xywh, np.full(len(lefts), score))


def step(tracker: FlowTracker, of: VideoFrame, found: Boxes | None) -> list[TrackedPerson]:
    tracker.due(of)
    return tracker.update(of, found)


def test_a_box_goes_along_the_flow_where_nobody_looks() -> None:
    tracker = FlowTracker(TrackSettings(every=4))
    assert tracker.due(frame(0, 40))
    (first,) = tracker.update(frame(0, 40), boxes(40))
    assert first.track == 1
    for index in range(1, 4):
        now = frame(index, 40 + 3 * index)
        assert not tracker.due(now)
        (person,) = tracker.update(now, None)
        assert person.track == 1
        np.testing.assert_allclose(person.box, [40 + 3 * index, 40, 40, 80], atol=1.5)
    assert tracker.due(frame(4, 52))


def test_numbers_stay_in_whatever_order_detections_come() -> None:
    tracker = FlowTracker(TrackSettings(every=1))
    first = step(tracker, frame(0, 40, 200), boxes(40, 200))
    assert [person.track for person in first] == [1, 2]
    for index in range(1, 6):
        left, right = 40 + 4 * index, 200 - 4 * index
        found = boxes(right, left)
        one, two = step(tracker, frame(index, left, right), found)
        assert (one.track, two.track) == (1, 2)
        assert one.box[0] == pytest.approx(left, abs=1.5)
        assert two.box[0] == pytest.approx(right, abs=1.5)


def test_who_is_missed_for_a_while_keeps_the_number_and_who_is_long_gone_does_not() -> None:
    settings = TrackSettings(shown=2, memory=5)
    tracker = FlowTracker(settings)
    step(tracker, frame(0, 40), boxes(40))
    shown = [len(step(tracker, frame(index, 40), boxes())) for index in range(1, 5)]
    assert shown == [1, 1, 0, 0]
    assert [person.track for person in step(tracker, frame(5, 42), boxes(42))] == [1]
    for index in range(6, 12):
        step(tracker, frame(index, 42), boxes())
    assert [person.track for person in step(tracker, frame(12, 42), boxes(42))] == [2]


def test_unsure_boxes_continue_a_track_and_begin_none() -> None:
    tracker = FlowTracker(TrackSettings(every=1))
    assert step(tracker, frame(0, 40), boxes(40, score=0.4)) == []
    assert [p.track for p in step(tracker, frame(1, 40), boxes(40, score=0.6))] == [1]
    (person,) = step(tracker, frame(2, 40), boxes(40, score=0.35))
    assert (person.track, person.score) == (1, 0.35)


class Finder:
    """A detector by its name."""

    name = "finder"


@pytest.mark.parametrize(
    ("still", "score", "begin"),
    [(False, None, [0.6]), (False, 0.35, [0.4, 0.6]), (False, 0.55, [0.6]), (True, None, [0.4, 0.6])],
)
def test_a_score_that_is_chosen_begins_people_and_in_a_still_every_box_does(
    still: bool, score: float | None, begin: list[float]
) -> None:
    info = VideoInfo(Path("a.png"), "a", WIDTH, HEIGHT, 1, Fraction(25), still=still)
    tracker = make_tracker(None, Finder(), info, every=1, score=score)  # type: ignore[arg-type]
    assert isinstance(tracker, FlowTracker)
    found = Boxes(boxes(40, 200).xywh, np.array([0.4, 0.6]))
    assert [person.score for person in step(tracker, frame(0, 40, 200), found)] == begin
    assert isinstance(make_tracker(None, FollowDetector(), info), OutlineTracker)


def test_two_boxes_of_one_person_are_one_person() -> None:
    tracker = FlowTracker(TrackSettings(every=1))
    step(tracker, frame(0, 40), boxes(40))
    assert [p.track for p in step(tracker, frame(1, 40), boxes(40, 48))] == [1]


def test_another_scene_ends_all_tracks_and_is_looked_at() -> None:
    tracker = FlowTracker(TrackSettings(every=100))
    step(tracker, frame(0, 40), boxes(40))
    other = VideoFrame(1, Fraction(1, 25), texture(HEIGHT, WIDTH, 7))
    assert tracker.due(other)
    assert [p.track for p in tracker.update(other, boxes(40))] == [2]


def test_who_leaves_the_frame_is_gone_and_boxes_stay_inside() -> None:
    tracker = FlowTracker(TrackSettings(every=100))
    step(tracker, frame(0, 270), boxes(270))
    (person,) = step(tracker, frame(1, 276), Boxes(np.array([[290.0, 40, 40, 80]]), np.ones(1)))
    assert person.box[0] + person.box[2] <= WIDTH
    assert box_overlaps(person.box[None], np.array([[0, 0, WIDTH, HEIGHT]]))[0, 0] > 0


def test_state_goes_through_json_and_gives_the_same_answers() -> None:
    lefts = [(40 + 3 * i, 200 - 2 * i) for i in range(8)]
    looks = [boxes(*pair) if i % 3 == 0 else None for i, pair in enumerate(lefts)]
    whole = FlowTracker()
    answers = [step(whole, frame(i, *lefts[i]), looks[i]) for i in range(8)]
    before = FlowTracker()
    for i in range(5):
        step(before, frame(i, *lefts[i]), looks[i])
    after = FlowTracker()
    after.restore(json.loads(json.dumps(before.state())), frame(4, *lefts[4]))
    for i in range(5, 8):
        for person, wanted in zip(step(after, frame(i, *lefts[i]), looks[i]), answers[i], strict=True):
            assert (person.track, person.score) == (wanted.track, wanted.score)
            np.testing.assert_array_equal(person.box, wanted.box)


def test_frames_of_any_size_are_tracked() -> None:
    tiny = VideoFrame(0, Fraction(0), np.zeros((5, 7, 3), np.uint8))
    tracker = FlowTracker(TrackSettings(every=1))
    found = Boxes(np.array([[0.0, 0, 7, 5]]), np.ones(1))
    assert len(step(tracker, tiny, found)) == 1
    assert len(step(tracker, VideoFrame(1, Fraction(1), tiny.image), found)) == 1
    with pytest.raises(ValueError, match="every = 0"):
        TrackSettings(every=0)


def test_who_a_box_names_is_who_it_is() -> None:
    tracker = FlowTracker(TrackSettings(every=1))

    def named(lefts: tuple[float, ...], *tracks: int) -> Boxes:
        return replace(boxes(*lefts, score=0.1), track=np.array(tracks))

    first = step(tracker, frame(0, 40, 200), named((40, 200), 9, 4))
    assert [person.track for person in first] == [4, 9]
    # They changed places, which overlap takes for the same two people in the same places.
    second = step(tracker, frame(1, 40, 200), named((40, 200), 4, 9))
    assert [(person.track, round(person.box[0], -2)) for person in second] == [(4, 100), (9, 100)]
    third = step(tracker, frame(2, 40, 200), named((40, 200, 42), 4, 9, 2))
    assert [person.track for person in third] == [2, 4, 9]


def test_boxes_of_a_file_stand_each_of_a_person_of_its_own() -> None:
    tracker = FlowTracker(TrackSettings(every=1))
    image = frame(0, 40, 50)
    for index, lefts in enumerate([(40, 50), (42, 52), (48, 52)]):
        found = replace(boxes(*lefts), given=np.ones(2, bool))
        people = step(tracker, replace(image, index=index), found)
        assert [(each.track, each.box[0]) for each in people] == [(1, lefts[0]), (2, lefts[1])]


def test_whom_a_detector_shows_once_is_followed_by_the_flow() -> None:
    """It says nothing of the frames after the first one, and not that nobody is there."""
    tracker, detector = FlowTracker(TrackSettings(every=4)), FollowDetector((40, 40, 40, 80))
    for index in range(40):
        now = frame(index, 40 + 2 * index)
        found = detector.detect(now.image, index) if tracker.due(now) else None
        (person,) = tracker.update(now, found)
    np.testing.assert_allclose(person.box, [118, 40, 40, 80], atol=6)
