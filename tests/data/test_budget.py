"""Fewer labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.data import AnnotationError, AnnotationSet, read_annotations, write_annotations
from slimdp.data.budget import keep_frames, keep_frames_per_video, keep_videos
from slimdp.structures import ImageRecord, PersonAnnotation


def a_set(videos: dict[str, list[int]], stills: int = 1) -> AnnotationSet:
    """Two people in every frame, one of them labelled; frames are given by their numbers, in any order."""
    images = [
        ImageRecord(100 * v + f, Path(f"{name}/{f}.jpg"), f"{name}/{f}.jpg", 64, 48, name, f)
        for v, (name, frames) in enumerate(videos.items())
        for f in frames
    ]
    images += [ImageRecord(9000 + i, Path(f"{i}.jpg"), f"{i}.jpg", 64, 48) for i in range(stills)]
    people = []
    for image in images:
        labelled = PersonAnnotation(
            id=1, image=image, box=np.array([1.0, 2, 30, 40]), points=np.array([[5.0, 6], [7, 8]]),
            part=np.array([1, 2]), uv=np.zeros((2, 2), np.float32), source=np.zeros(2, np.int64),
            step=np.zeros(2, np.int64), track=4, coarse=np.ones((256, 256), np.uint8),
            confidence=np.ones(2, np.float32),
        )  # fmt: skip
        none = {name: getattr(labelled, name)[:0] for name in ("points", "part", "uv", "source", "step")}
        people += [labelled, replace(labelled, id=2, coarse=None, confidence=None, **none)]
    return AnnotationSet(tuple(images), tuple(people), Path("a.json"))


def labelled_frames(annotations: AnnotationSet) -> dict[str | None, list[int | None]]:
    found: dict[str | None, list[int | None]] = {}
    for person in annotations.people:
        assert (len(person.points) > 0) == (person.coarse is not None)
        if len(person.points):
            assert person.image.labelled
            found.setdefault(person.image.video, []).append(person.image.frame)
    return found


def test_frames_by_number() -> None:
    everyone = a_set({"a": [0, 8, 10, 12], "b": [8, 9]})
    few = keep_frames(everyone, range(8, 11))
    assert labelled_frames(few) == {"a": [8, 10], "b": [8, 9], None: [None]}
    assert len(few.people) == len(everyone.people)
    assert len(few.images) == len(everyone.images)
    assert [image.labelled for image in few.images] == [False, True, True, False, True, True, True]
    for person in few.people:
        assert person.image in few.images
        assert person.track == 4


def test_a_frame_without_a_number_is_none_of_the_asked_for() -> None:
    everyone = a_set({"a": [0, 1]}, stills=0)
    images = {image.id: replace(image, frame=image.frame or None) for image in everyone.images}
    people = tuple(replace(person, image=images[person.image.id]) for person in everyone.people)
    unnumbered = replace(everyone, images=tuple(images.values()), people=people)
    assert labelled_frames(keep_frames(unnumbered, range(4))) == {"a": [1]}


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (1, {"a": [12], "b": [9]}),
        (2, {"a": [8, 16], "b": [8, 9]}),
        (3, {"a": [8, 12, 16], "b": [8, 9]}),
        (99, {"a": [0, 8, 10, 12, 14, 16, 24], "b": [8, 9]}),
    ],
)
def test_so_many_frames_a_video(count: int, kept: dict[str, list[int]]) -> None:
    """DensePose-Track's seven frames: one is the middle one."""
    everyone = a_set({"a": [24, 0, 8, 10, 12, 14, 16], "b": [8, 9]})
    found = labelled_frames(keep_frames_per_video(everyone, count))
    assert {video: sorted(f or 0 for f in frames) for video, frames in found.items()} == {**kept, None: [0]}


@pytest.mark.parametrize(("count", "kept"), [(1, ["c"]), (2, ["b", "d"]), (9, ["a", "b", "c", "d", "e"])])
def test_fewer_videos(count: int, kept: list[str]) -> None:
    everyone = a_set({name: [3, 1] for name in ("e", "a", "c", "b", "d")})
    found = labelled_frames(keep_videos(everyone, count))
    assert sorted(video for video in found if video) == kept
    assert all(sorted(frames) == [1, 3] for video, frames in found.items() if video)  # type: ignore[type-var]
    assert found[None] == [None]


def test_the_command_takes_one_budget_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everyone = a_set({"a": [0, 8, 16], "b": [4], "c": [2, 3, 5]}, stills=0)
    write_annotations(tmp_path / "a.json", everyone.images, everyone.people)
    for image in everyone.images:
        (tmp_path / image.file_name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / image.file_name), np.zeros((image.height, image.width, 3), np.uint8))
    command = ["budget", "--annotations", str(tmp_path / "a.json"), "--images", str(tmp_path), "--out"]
    assert main([*command, str(tmp_path / "b.json"), "--videos", "2", "--frames-per-video", "1"]) == 0
    assert "kept 2 labelled people in 2 pictures, 4 points" in capsys.readouterr().out
    found = labelled_frames(read_annotations(tmp_path / "b.json", tmp_path))
    assert found == {"a": [8], "c": [3]}
    assert main([*command, str(tmp_path / "c.json")]) == 2
    assert "nothing to leave out: give --videos" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "c.json"), "--frames", "9:3"]) == 2
    assert "--frames 9:3, but FIRST:LAST is wanted" in capsys.readouterr().err


def test_nothing_left_is_said() -> None:
    with pytest.raises(AnnotationError, match=r"a.json: nobody is labelled in these frames"):
        keep_frames(a_set({"a": [1]}, stills=0), [7])
    with pytest.raises(ValueError, match="0 labelled frames a video"):
        keep_frames_per_video(a_set({"a": [1]}), 0)
