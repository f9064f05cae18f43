"""The number of a frame is the one that varies within its video."""

from __future__ import annotations

import pytest

from slimdp.data.frame_numbers import FrameName, FrameNumberError, frame_number, number_frames

FRAMES = (9, 10, 100)
HASHES = ("a3f9", "9f3c", "1b11")


def numbers(names: list[str], ids: list[int] | None = None, image_ids: list[int] | None = None) -> object:
    frames = [
        FrameName(name, image_ids[place] if image_ids else place, ids[place] if ids else None)
        for place, name in enumerate(names)
    ]
    return number_frames(frames)[0]


@pytest.mark.parametrize(
    "pattern",
    [
        "v/{0:06d}.jpg",
        "v/{0}.jpg",
        "v/frame{0}.png",
        "cam1/cam1_{0:06d}_cam2.jpg",
        "v/{0:06d}_1920x1080.jpg",
        "v/clip_1080p_30fps_{0:04d}.jpg",
        "v/20230115_{0:06d}.jpg",
        "v/2023-01-15_10-30-00_{0:03d}.jpg",
        "v/{0:06d}_{1}.jpg",
        "v/{1}_{0:06d}.jpg",
        "v/{0:06d}-{1}-1.jpg",
        "v/{0:06d}{1}.jpg".replace("{1}", "x{1}"),
        "v/frame_{0:04d} (1).jpg",
        "v/clip ({0}).jpg",
        "v/{0:06d}/rgb_2.png",
        "v.2/{0:06d}.0.jpg",
        "{0:06d}",
    ],
)
def test_the_number_that_varies(pattern: str) -> None:
    names = [pattern.format(frame, tail) for frame, tail in zip(FRAMES, HASHES)]
    assert numbers(names) == list(FRAMES)


def test_a_hash_of_digits_spans_more() -> None:
    assert numbers(["v/9_83412.jpg", "v/10_91245.jpg", "v/100_99231.jpg"]) == list(FRAMES)
    # A number that grows with the list is the frame's, not one that jumps about.
    assert numbers(["v/9_5.jpg", "v/10_7.jpg", "v/100_6.jpg"]) == list(FRAMES)


def test_a_copy_among_others() -> None:
    assert numbers(["v/f_0005.jpg", "v/f_0006 (1).jpg", "v/f_0007.jpg"]) == [5, 6, 7]


def test_times_are_ranks() -> None:
    """A minute has 60 seconds: 103100 is the second after 103059."""
    assert numbers(["20230115_103059.jpg", "20230115_103100.jpg", "20230115_103058.jpg"]) == [1, 2, 0]
    assert numbers(
        ["2023-01-15_10-30-59_1.jpg", "2023-01-15_10-30-59_2.jpg", "2023-01-15_10-31-00_1.jpg"]
    ) == [
        0,
        1,
        2,
    ]


def test_times_without_a_date_are_ranks_where_seconds_begin_again() -> None:
    assert numbers(["00-00-58.jpg", "00-00-59.jpg", "00-01-00.jpg"]) == [0, 1, 2]
    assert numbers(["snap_1m59s.png", "snap_2m00s.png", "snap_2m01s.png"]) == [0, 1, 2]
    assert numbers(["00-01-05.jpg", "00-01-10.jpg"]) == [5, 10]
    assert numbers(["PXL_20230115_103059123.jpg", "PXL_20230115_103100123.jpg"]) == [0, 1]


def test_names_without_numbers_have_none() -> None:
    assert numbers(["left.jpg", "right.jpg"]) == [None, None]
    assert numbers(["a.jpg"]) == [None]


def test_one_picture_listed_twice_is_one_frame() -> None:
    assert numbers(["1.jpg", "2.jpg", "1.jpg"]) == [1, 2, 1]
    assert numbers(["4.jpg", "4.jpg"]) == [4, 4]


@pytest.mark.parametrize(
    "names",
    [
        ["a/000001.jpg", "b/000001.jpg"],
        ["a/000001.jpg", "a/000002.jpg", "b/000001.jpg"],
        ["c1_000001.jpg", "c1_000002.jpg", "c2_000001.jpg"],
    ],
)
def test_two_pictures_of_one_number_are_refused(names: list[str]) -> None:
    with pytest.raises(FrameNumberError, match=r"file_name: frame \d is .* too, in one video"):
        numbers(names)


def test_frame_ids() -> None:
    names = ["0.jpg", "4.jpg"]
    # PoseTrack 2018: the image's id, whose last digits are the frame.
    assert numbers(names, [10128340000, 10128340004], [10128340000, 10128340004]) == [0, 4]
    assert numbers(["x.jpg", "y.jpg"], [3, 5]) == [3, 5]
    assert number_frames([FrameName("0.jpg", 1, 0), FrameName("1.jpg", 2, 8)]) == ([0, 8], True)
    # The image's id in the order of writing says nothing.
    assert numbers(names, [7, 3], [7, 3]) == [0, 4]
    with pytest.raises(FrameNumberError, match=r"frame_id: frame 3 is 4\.jpg, and 0\.jpg too"):
        numbers(names, [3, 3])
    assert numbers(["x/3_77.jpg"], [10128340003], [10128340003]) == [3]
    assert numbers(["x/3_77.jpg"], [12]) == [12]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("v/000005.jpg", 5),
        ("bonn_01/00000012.jpg", 12),
        ("img_7_left.png", 7),
        ("000123_1080p.jpg", 123),
        ("cam1_000005_1920x1080.png", 5),
        ("000005 (1).jpg", 5),
        ("frame5_a3f9c2.jpg", 5),
        ("20230115_103058_07.jpg", 7),
        ("000005", 5),
        ("a.jpg", None),
    ],
)
def test_a_name_alone(name: str, number: int | None) -> None:
    assert frame_number(name) == number
