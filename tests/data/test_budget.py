"""Fewer labels: which, and what stays of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from slimdp.config import BudgetSettings, ConfigError
from slimdp.data import AnnotationError
from slimdp.structures import LabelSource
from tests.data.small_sets import a_set, kept, labelled_frames, stills_with, with_uv


def test_frames_by_number() -> None:
    everyone = a_set({"a": [0, 8, 10, 12], "b": [8, 9]})
    few = kept(everyone, frames=(8, 10))
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
    assert labelled_frames(kept(unnumbered, frames=(0, 3))) == {"a": [1]}


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (1, {"a": [12], "b": [9]}),
        (2, {"a": [8, 16], "b": [8, 9]}),
        (3, {"a": [8, 12, 16], "b": [8, 9]}),
        (99, {"a": [0, 8, 10, 12, 14, 16, 24], "b": [8, 9]}),
    ],
)
def test_so_many_frames_a_video(count: int, wanted: dict[str, list[int]]) -> None:
    """DensePose-Track's seven frames: one is the middle one."""
    everyone = a_set({"a": [24, 0, 8, 10, 12, 14, 16], "b": [8, 9]})
    found = labelled_frames(kept(everyone, frames_per_video=count))
    assert {video: sorted(f or 0 for f in frames) for video, frames in found.items()} == {**wanted, None: [0]}


@pytest.mark.parametrize(("count", "wanted"), [(1, ["c"]), (2, ["b", "d"]), (9, ["a", "b", "c", "d", "e"])])
def test_fewer_videos(count: int, wanted: list[str]) -> None:
    everyone = a_set({name: [3, 1] for name in ("e", "a", "c", "b", "d")})
    found = labelled_frames(kept(everyone, videos=count))
    assert sorted(video for video in found if video) == wanted
    assert all(sorted(frames) == [1, 3] for video, frames in found.items() if video)  # type: ignore[type-var]
    assert found[None] == [None]


def test_frames_are_spread_over_the_videos_that_are_left() -> None:
    everyone = a_set({"a": [0, 8, 16], "b": [4], "c": [2, 3, 5]}, stills=0)
    assert labelled_frames(kept(everyone, videos=2, frames_per_video=1)) == {"a": [8], "c": [3]}


def test_other_frames_keep_nothing_whatever_the_shares_leave() -> None:
    everyone = a_set({"a": [0, 8, 16]}, stills=0)
    few = kept(everyone, frames_per_video=1, points=0.5, parts="kept", masks="kept")
    assert labelled_frames(few) == {"a": [8]}
    assert [int(person.has_uv.sum()) for person in few.people if person.has_labels] == [1]
    assert [image.labelled for image in few.images] == [False, True, False]


def test_nothing_left_is_said() -> None:
    with pytest.raises(AnnotationError, match=r"a.json: nobody is labelled in the videos and frames"):
        kept(a_set({"a": [1]}, stills=0), frames=(7, 9))


@pytest.mark.parametrize(
    ("budget", "left_out", "stays"),
    [
        # What a person keeps of 10 points, (points, of them with (u, v), masks): left out, and not left out.
        ({}, (0, 0, False), (10, 10, True)),
        ({"parts": "kept"}, (10, 0, True), (10, 10, True)),
        ({"parts": "kept", "masks": "dropped"}, (10, 0, False), (10, 10, True)),
        ({"masks": "kept"}, (0, 0, True), (10, 10, True)),
        ({"points": 0.0}, (0, 0, False), (0, 0, True)),
        ({"points": 0.0, "parts": "kept"}, (10, 0, True), (10, 0, True)),
    ],
)
def test_what_pictures_that_are_left_out_keep(
    budget: dict[str, Any], left_out: tuple[int, int, bool], stays: tuple[int, int, bool]
) -> None:
    """Table 3: (iii) is the first, (iv) the second, (ii) the last."""
    whole = stills_with([10] * 8)
    few = kept(whole, images=0.5, **budget)
    chosen = {p.image.id for p in kept(whole, images=0.5).people if p.has_labels}
    assert len(chosen) == 4
    for person in few.people:
        found = len(person.points), int(person.has_uv.sum()), person.coarse is not None
        assert found == (stays if person.image.id in chosen else left_out)
        assert person.image.labelled == person.has_labels
        assert person.keypoints is not None


def test_parts_stay_where_points_lose_uv() -> None:
    whole = stills_with([10, 20])
    few = kept(whole, points=0.5, parts="kept")
    for person, before in zip(few.people, whole.people):
        np.testing.assert_array_equal(person.points, before.points)
        np.testing.assert_array_equal(person.part, before.part)
        np.testing.assert_array_equal(person.uv[person.has_uv], before.uv[person.has_uv])
        assert np.isnan(person.uv[~person.has_uv]).all()
        assert person.uv.dtype == np.float32
    again = kept(few, points=1.0)
    assert with_uv(again) == with_uv(few)
    assert sum(len(person.points) for person in again.people) == 30


def test_keypoints_can_be_dropped_with_the_points_that_stand_for_them() -> None:
    whole = stills_with([4])
    (person,) = whole.people
    source = np.array([0, 0, LabelSource.KEYPOINT, 0])
    whole = replace(whole, people=(replace(person, source=source),))
    (few,) = kept(whole, keypoints="dropped").people
    assert few.keypoints is None
    np.testing.assert_array_equal(few.points, person.points[[0, 1, 3]])
    (few,) = kept(whole, points=0.0).people
    np.testing.assert_array_equal(few.points, person.points[[2]])


def test_a_share_of_what_flow_has_propagated_is_refused() -> None:
    whole = stills_with([4])
    propagated = replace(whole.people[0], source=np.array([1, 1, 1, 1]))
    whole = replace(whole, people=(propagated,))
    assert kept(whole, keypoints="dropped").people[0].keypoints is None
    told = r"annotation 7 of image 0.*propagated by flow.*take the budget"
    with pytest.raises(AnnotationError, match=told):
        kept(whole, points=0.5)
    clip = a_set({"a": [3, 4]}, stills=0)
    people = tuple(replace(person, source=person.source + LabelSource.PROPAGATED) for person in clip.people)
    for frames in ({"frames": (3, 3)}, {"frames_per_video": 1}):
        with pytest.raises(AnnotationError, match="propagated by flow"):
            kept(replace(clip, people=people), **frames)


def test_videos_without_labels_are_not_counted() -> None:
    whole = a_set({name: [1] for name in ("a", "b", "c", "d")}, stills=0)
    none = {name: getattr(whole.people[0], name)[:0] for name in ("points", "part", "uv", "source", "step")}
    people = tuple(
        person if person.image.video == "c" else replace(person, coarse=None, confidence=None, **none)
        for person in whole.people
    )
    assert labelled_frames(kept(replace(whole, people=people), videos=1)) == {"c": [1]}


@pytest.mark.parametrize("budget", [{"videos": 1}, {"frames": (1, 2)}, {"frames_per_video": 1}], ids=str)
def test_frames_of_what_is_no_video_are_refused(budget: dict[str, Any]) -> None:
    with pytest.raises(AnnotationError, match="no picture is known to be of a video"):
        kept(a_set({}, stills=2), **budget)


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [
        ({"images": 1.01}, "budget.images = 1.01, but it must be in 0..1"),
        ({"points": -0.1}, "budget.points = -0.1"),
        ({"parts": "some"}, "budget.parts = 'some', but it must be one of dropped, kept"),
        ({"masks": "all"}, "budget.masks = 'all', but it must be one of like_parts, dropped, kept"),
        ({"keypoints": "only"}, "budget.keypoints = 'only'"),
        ({"videos": 0}, "budget.videos = 0"),
        ({"frames_per_video": 0}, "budget.frames_per_video = 0, but it must be 1 or more"),
        ({"frames": (9,)}, "budget.frames"),
        ({"frames": (9, 3)}, "budget.frames"),
        ({"frames": (3, 9), "frames_per_video": 1}, "left out where frames_per_video is given"),
        ({"seed": -1}, "budget.seed = -1"),
    ],
)
def test_impossible_budgets_name_their_key(budget: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted.replace("(", r"\(")):
        BudgetSettings.parse(budget, "budget")
