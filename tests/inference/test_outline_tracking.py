"""One person who is followed by the outline that a network sees."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine
from slimdp.geometry import apply_affine, box_overlaps, crop_from_map, invert_affine
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.person_maps import tracked_maps
from slimdp.inference.video_records import Boxes, FrameMaps, PersonMaps, TrackedPerson, VideoFrame
from slimdp.structures import DensePoseMaps

SIZE, STRIDE = 128, 4
WIDTH, HEIGHT = 640, 360
#: Where the person is, frame by frame; nowhere in the third one.
PERSON = [(500, 120, 80, 200), (490, 120, 80, 200), None, (80, 100, 80, 200), (80, 100, 80, 200)]


class Seeing:
    """A network that sees a rectangle, however it is cropped; counts how often it looks at a frame."""

    batch = 8

    def __init__(self) -> None:
        self.looks = [0] * len(PERSON)
        self.boxes: list[list[np.ndarray]] = [[] for _ in PERSON]

    def predict(self, frames: list[tuple[VideoFrame, list[TrackedPerson]]]) -> list[FrameMaps]:
        return [
            FrameMaps(frame, tuple(self._maps(frame, each) for each in people)) for frame, people in frames
        ]

    def _maps(self, frame: VideoFrame, person: TrackedPerson) -> PersonMaps:
        self.looks[frame.index] += 1
        self.boxes[frame.index].append(person.box)
        affine = crop_affine(person.box, CropSettings(size=SIZE))
        side = SIZE // STRIDE
        row, column = np.divmod(np.arange(side * side), side)
        points = apply_affine(
            invert_affine(affine), crop_from_map(np.stack([column, row], axis=1).astype(float), STRIDE)
        )
        seen = np.zeros(side * side)
        if (there := PERSON[frame.index]) is not None:
            x, y, width, height = there
            seen = ((points >= [x, y]) & (points < [x + width, y + height])).all(axis=1)
        person_there = torch.tensor(np.where(seen, 9.0, -9.0)).float().view(side, side)
        coarse, fine = torch.zeros(1, 15, side, side), torch.zeros(1, 25, side, side)
        coarse[0, 1:] = fine[0, 1:] = person_there
        maps = DensePoseMaps(fine, *(torch.zeros(1, 24, side, side) for _ in range(2)), coarse)
        return PersonMaps(person, affine, maps, STRIDE)


class WholeFrame:
    name = "whole"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        return Boxes(np.array([[0.0, 0, WIDTH, HEIGHT]]), np.ones(1))

    def settings(self) -> dict[str, object]:
        return {}


def follow() -> Seeing:
    network = Seeing()
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frames = [VideoFrame(index, Fraction(index, 25), image) for index in range(len(PERSON))]
    for _ in tracked_maps(frames, WholeFrame(), OutlineTracker(), network, 100, lambda maps: None):  # type: ignore[arg-type]
        pass
    return network


def test_the_first_frame_is_looked_at_until_the_outline_stands_still() -> None:
    network = follow()
    first = np.array(network.boxes[0])
    person = np.array([PERSON[0]], dtype=float)
    assert first[0].tolist() == [0, 0, WIDTH, HEIGHT]
    assert 2 <= len(first) <= 7
    assert box_overlaps(first[-1:], person)[0, 0] > 0.5 > box_overlaps(first[:1], person)[0, 0]
    assert network.looks[1] == 1


def test_where_nobody_is_seen_the_box_grows_from_frame_to_frame() -> None:
    network = follow()
    assert network.looks[2:] == [1, 1, 1]
    (lost,), (searched,), (further,) = network.boxes[2:]
    assert searched[2] * searched[3] > lost[2] * lost[3]
    assert further[2] * further[3] > searched[2] * searched[3]


def test_a_person_who_comes_back_in_a_grown_box() -> None:
    tracker, network = OutlineTracker(), Seeing()
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    tracker.restore({"box": [0, 0, WIDTH, HEIGHT], "searching": True}, VideoFrame(2, Fraction(2, 25), image))
    frame = VideoFrame(3, Fraction(3, 25), image)
    people = tracker.update(frame, None)
    again = 0
    while tracker.observe(network.predict([(frame, people)])[0]):
        people = tracker.update(frame, None)
        again += 1
    assert 1 <= again <= 6
    assert tracker.state()["searching"] is False
    there = np.array([PERSON[3]], dtype=float)
    assert box_overlaps(np.array([tracker.state()["box"]]), there)[0, 0] > 0.5


def test_what_never_stands_still_is_looked_at_seven_times(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, looks = OutlineTracker(), 0
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame = VideoFrame(0, Fraction(0), image)
    people = tracker.update(frame, WholeFrame().detect(image))
    places = iter(np.arange(20) * 30.0)
    monkeypatch.setattr(
        "slimdp.inference.outline_tracking.outline_box", lambda person: np.array([next(places), 0, 20, 20])
    )
    while True:
        looks += 1
        if not tracker.observe(FrameMaps(frame, (Seeing()._maps(frame, people[0]),))):
            break
        people = tracker.update(frame, None)
    assert looks == 7
    assert tracker.state()["searching"] is False
