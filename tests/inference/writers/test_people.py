"""The folder `people/`: what training reads of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from flow_cache.images import read_image
from slimdp.data import read_annotations
from slimdp.evaluation import PredictionFile
from slimdp.inference.teacher import TaughtLabels
from slimdp.inference.video_records import VideoInfo
from slimdp.inference.writers.people import MOST_FRAMES, PeopleFolder, frames_apart
from slimdp.settings_file import ConfigError
from slimdp.structures import BoxSource
from slimdp.surface.people import PEOPLE
from tests.inference.writers.moving_people import FRAMES, INFO, poses, write


def test_people_have_boxes_tracks_and_no_labels(tmp_path: Path) -> None:
    folder = write("people", tmp_path, 2, 3)
    found = read_annotations(folder / "people.json", folder)  # it checks the pictures too
    assert [(image.video, image.frame) for image in found.images] == [("walk", n) for n in range(FRAMES)]
    assert not any(person.has_labels for person in found.people)
    assert {person.box_source for person in found.people} == {BoxSource.TRACKED}
    assert [(person.image.frame, person.track) for person in found.people] == [
        (n, track) for n in (0, 1, 3, 4) for track in (2, 3)
    ]
    assert [person.id for person in found.people] == list(range(1, 9))
    for person in found.people:
        frame = poses()[person.image.frame or 0]
        (said,) = (each for each in frame.people if each.annotation_id == person.track)
        np.testing.assert_array_equal(person.box, said.box)
        picture = read_image(person.image.file).astype(float)
        off = [np.abs(pose.frame.image - picture).mean() for pose in poses()]
        assert int(np.argmin(off)) == person.image.frame


def test_what_was_said_of_them_is_read_as_labels(tmp_path: Path) -> None:
    folder = write("people", tmp_path, 2)
    people = read_annotations(folder / "people.json", folder).people
    with PredictionFile(folder / "predictions.h5") as said:
        assert said.keys() == tuple((person.image.id, person.id) for person in people)
    # Bars of track 2 are 18 cm, those of track 3 27 cm.
    labels = TaughtLabels(folder / "predictions.h5", 4, within_cm=20)
    counts = [len(points.part) for points in map(labels.points, people) if points is not None]
    assert all(count > 5 for count in counts[::2])
    assert counts[1::2] == [0] * 4
    assert len(TaughtLabels(folder / "predictions.h5", 4).points(people[1]).part) == counts[0]  # type: ignore[union-attr]


def test_people_of_a_finished_run_are_refused(tmp_path: Path) -> None:
    """Those who are read from iuv.h5 have windows of all shapes."""
    pose = poses()[0]
    cut = replace(pose.people[0], part=pose.people[0].part[:12])
    with (
        pytest.raises(ConfigError, match=r"cannot be made from iuv\.h5"),
        PeopleFolder().piece(tmp_path, INFO, PEOPLE) as take,
    ):
        take(replace(pose, people=(cut,)))


@pytest.mark.parametrize(
    ("frames", "rate", "every"),
    [(MOST_FRAMES, 25, 1), (MOST_FRAMES + 1, 25, 2), (10 * MOST_FRAMES, 25, 10), (0, 30, 30), (0, 0.2, 1)],
)
def test_of_a_long_video_some_frames_are_taken(frames: int, rate: float, every: int) -> None:
    info = VideoInfo(Path("a.mp4"), "a", 90, 70, frames, Fraction(rate))
    assert frames_apart(info) == every


def test_of_a_video_of_unknown_length_no_more_frames_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimdp.inference.writers.people.MOST_FRAMES", 2)
    info, pieces = replace(INFO, frames=0, rate=Fraction(1)), [tmp_path / "0", tmp_path / "1"]
    for piece, some in zip(pieces, (poses()[:2], poses()[2:]), strict=True):
        piece.mkdir()
        with PeopleFolder().piece(piece, info, PEOPLE) as take:
            for pose in some:
                take(pose)
    folder = PeopleFolder().join(pieces, tmp_path / "out", info, PEOPLE)
    found = read_annotations(folder / "people.json", folder)
    assert [image.frame for image in found.images] == [0, 3]
    assert [(person.image.frame, person.track) for person in found.people] == [(0, 2), (0, 3), (3, 2), (3, 3)]
    with PredictionFile(folder / "predictions.h5") as said:
        assert said.keys() == tuple((person.image.id, person.id) for person in found.people)


def test_frames_between_are_left_out(tmp_path: Path) -> None:
    info = replace(INFO, frames=2 * MOST_FRAMES)
    (tmp_path / "piece").mkdir()
    with PeopleFolder().piece(tmp_path / "piece", info, PEOPLE) as take:
        for pose in poses():
            take(pose)
    folder = PeopleFolder().join([tmp_path / "piece"], tmp_path / "out", info, PEOPLE)
    found = read_annotations(folder / "people.json", folder)
    assert [image.frame for image in found.images] == [0, 2, 4]
    assert [person.image.frame for person in found.people] == [0, 0, 4, 4]
