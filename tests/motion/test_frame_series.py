"""What names say of the frames of videos."""

from __future__ import annotations

import pytest

from slimdp.data import AnnotationError
from slimdp.motion.frame_series import frame_numbers, video_of_each


@pytest.mark.parametrize(
    ("known", "others", "numbers"),
    [
        (["000004.jpg"], ["000005.jpg", "notes.png"], [4, 5]),
        (["cam2_0004_640x480.png"], ["cam2_0005_640x480.png", "cam3_0004_640x480.png"], [4, 5]),
        (["a_4.jpg", "a_6.jpg"], ["a_5.jpg", "b_5.jpg", "a_4 (1).jpg"], [4, 6, 5]),
        (["img (3).jpg"], ["img (1).jpg", "img (2).jpg"], [3, 1, 2]),
        (["d_12-00-59.jpg", "d_12-01-00.jpg"], ["d_12-00-58.jpg"], [1, 2, 0]),  # places, of times of the day
        (["frame.jpg"], ["other.jpg"], [0]),
    ],
)
def test_the_number_that_counts_the_frames(known: list[str], others: list[str], numbers: list[int]) -> None:
    found = frame_numbers(known, [*known, *others])
    assert [found[name] for name in [*known, *others] if name in found] == numbers


@pytest.mark.parametrize(
    ("names", "owners", "wanted"),
    [
        ("a1 a2 a3 b1 b2", {0: "x"}, "xxx--"),
        ("a1 a2 a3 b1 b2", {0: "x", 4: "y"}, "xxxyy"),
        ("a1 a2 a3 b1 b2", {0: "x", 4: "x"}, "xxxxx"),
        ("1 2 3 4 5 6 7 8", {1: "x", 2: "x", 5: "y"}, "xxx--yyy"),  # where one ends nobody knows
        ("1 2 3 4", {2: "x"}, "xxxx"),
        ("v1_1 v1_2 v1_3 v2_1 v2_2 v3_1 v3_2", {1: "x", 6: "y"}, "xxx--yy"),
        ("f1_a8f f2_b9 f3_ccf f4_d1", {1: "x"}, "xxxx"),  # a hash in every name tells nothing
    ],
)
def test_which_video_each_frame_belongs_to(names: str, owners: dict[int, str], wanted: str) -> None:
    assert "".join(video or "-" for video in video_of_each(names.split(), owners)) == wanted


def test_videos_that_alternate() -> None:
    with pytest.raises(AnnotationError, match=r"videos 'r' and 'l' alternate .*01l, 01r, 02l"):
        video_of_each(["01l", "01r", "02l", "02r"], {0: "l", 1: "r", 2: "l"})
