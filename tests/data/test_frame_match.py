"""Pictures with numbers, and the frames of a video that have these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest

from slimdp.data.frame_match import (
    FrameMatch,
    Misplaced,
    NumberedPicture,
    describe_misplaced,
    distance,
    thumbnail,
)

HEIGHT, WIDTH, FRAMES = 144, 256, 60
ROOM = cv2.resize(np.random.default_rng(0).integers(60, 200, (9, 16, 3), dtype=np.uint8), (WIDTH, HEIGHT))


def frame_of(index: int, noise: float = 1.0) -> np.ndarray:
    """Somebody, 20 px wide, goes through a room of still things that a camera with some noise looks at."""
    image = ROOM.astype(np.float32)
    cv2.ellipse(image, (20 + 3 * index, 80), (10, 30), 0, 0, 360, (230, 220, 210), -1)
    image += np.random.default_rng(1000 + index).normal(0, noise, image.shape)
    return np.clip(image, 0, 255).round().astype(np.uint8)


def still_frame(index: int) -> np.ndarray:
    return np.clip(ROOM + np.random.default_rng(index).normal(0, 2, ROOM.shape), 0, 255).astype(np.uint8)


MOVING = [frame_of(index) for index in range(FRAMES)]
STILL = [still_frame(index) for index in range(FRAMES)]


def as_jpeg(image: np.ndarray, quality: int = 60, scale: float = 1.0) -> np.ndarray:
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def numbered(pictures: dict[int, np.ndarray]) -> list[NumberedPicture]:
    return [NumberedPicture(f"{n:06d}.jpg", n, thumbnail(image)) for n, image in pictures.items()]


def no_search() -> Iterator[np.ndarray]:
    """Frames that nobody may ask for."""
    pytest.fail("the whole video was searched")
    yield


def match(
    pictures: dict[int, np.ndarray], frames: Sequence[np.ndarray], firsts: Sequence[int] = (0, 1)
) -> tuple[FrameMatch, int]:
    compared = FrameMatch(numbered(pictures), firsts)
    for index in sorted(compared.near):
        if index < len(frames):
            compared.see(index, frames[index])
    return compared, compared.first()


def found(
    pictures: dict[int, np.ndarray], frames: Sequence[np.ndarray], firsts: Sequence[int] = (0, 1)
) -> tuple[int, dict[int, int | None]]:
    """The number of the first frame, and what is misplaced: the frame found of each number."""
    compared, first = match(pictures, frames, firsts)
    return first, {each.picture.number: each.found for each in compared.misplaced(first, frames)}


def washed_out(image: np.ndarray) -> np.ndarray:
    """As a reader that takes full range for the limited one has it."""
    return (16 + image * (219 / 255)).round().astype(np.uint8)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("numbers", [(0,), (7,), (FRAMES - 1,), (3, 9, 40)])
@pytest.mark.parametrize(
    "written",
    [
        lambda image: image,
        as_jpeg,
        lambda image: as_jpeg(image, scale=0.5),
        lambda image: as_jpeg(image, quality=90, scale=2),
        washed_out,
    ],
    ids=["as it is", "quality 60", "half size", "twice the size", "another range"],
)
def test_pictures_of_their_frames_are_known_without_a_search(
    written: Callable[[np.ndarray], np.ndarray], numbers: tuple[int, ...], first: int
) -> None:
    compared, its_first = match({n + first: written(MOVING[n]) for n in numbers}, MOVING)
    assert its_first == first
    assert compared.misplaced(its_first, no_search()) == []


@pytest.mark.parametrize("step", [2, 5, 12])
def test_every_nth_frame_is_refused_with_the_right_frames(step: int) -> None:
    pictures = {1 + k: as_jpeg(MOVING[k * step]) for k in range(FRAMES // step)}
    compared, first = match(pictures, MOVING, [1])
    wrong = compared.misplaced(first, MOVING)
    assert {each.picture.number: each.found for each in wrong} == {
        n: step * (n - 1) for n in list(pictures)[1:]
    }
    said = describe_misplaced(wrong, compared.pictures, first)
    assert f"is frame {step} of the video (its first is 0), not frame 1, and" in said
    assert f"every {step}{'nd' if step == 2 else 'th'} frame; give each image its frame_id" in said


def test_a_film_that_goes_backwards_is_refused() -> None:
    compared, first = match({n: as_jpeg(MOVING[FRAMES - 1 - n]) for n in range(0, FRAMES, 7)}, MOVING)
    wrong = compared.misplaced(first, MOVING)
    assert all(each.found == FRAMES - 1 - each.picture.number for each in wrong)
    assert "; the pictures are numbered backwards; give" in describe_misplaced(
        wrong, compared.pictures, first
    )


@pytest.mark.parametrize(("number", "true"), [(3, 50), (0, 30), (9, 11), (FRAMES - 1, 4)])
def test_one_picture_alone_that_is_another_frame_is_refused(number: int, true: int) -> None:
    first, wrong = found({number: as_jpeg(MOVING[true], scale=0.5)}, MOVING)
    assert wrong == {number: true}
    (picture,) = numbered({number: MOVING[true]})
    said = describe_misplaced([Misplaced(picture, number - first, true)], [picture], first)
    assert said.endswith(f"give it its frame_id, {true}")


def test_a_number_behind_the_end_is_found_or_left_to_the_caller() -> None:
    assert found({FRAMES + 30: as_jpeg(MOVING[5])}, MOVING)[1] == {FRAMES + 30: 5}


@pytest.mark.parametrize(
    ("first", "says"), [(-19, "are 20, 23, 27"), (5, "are 20, 23, 27, or say --first-frame 5")]
)
def test_pictures_that_count_on_from_another_frame_tell_the_first_number(first: int, says: str) -> None:
    """The option takes no number below 0: a piece from the middle, numbered from 1, needs `frame_id`."""
    pictures = {index + first: as_jpeg(MOVING[index]) for index in (20, 23, 27)}
    compared, its_first = match(pictures, MOVING)
    wrong = compared.misplaced(its_first, MOVING)
    assert describe_misplaced(wrong, compared.pictures, its_first, "--first-frame").endswith(says)
    assert found(pictures, MOVING, [first]) == (first, {})


@pytest.mark.parametrize("written", [as_jpeg, lambda image: as_jpeg(image, scale=0.5)])
def test_a_camera_that_sees_nothing_move_is_no_fault(written: Callable[[np.ndarray], np.ndarray]) -> None:
    for n in (0, 5, 31, FRAMES - 1):
        assert found({n: written(STILL[n])}, STILL)[1] == {}
    assert found({n + 1: written(STILL[n]) for n in range(0, FRAMES, 9)}, STILL)[1] == {}


def test_frames_that_are_shown_twice_are_no_fault() -> None:
    twice = [MOVING[index // 2] for index in range(FRAMES)]
    for n in (0, 6, 7, FRAMES - 1):
        assert found({n: as_jpeg(twice[n])}, twice, [0])[1] == {}


def test_black_frames_and_cuts_are_no_fault() -> None:
    black = np.zeros_like(ROOM)
    film = [black] * 10 + MOVING[:10] + [255 - image for image in MOVING[:10]] + [black] * 10
    for n in range(len(film)):
        assert found({n: as_jpeg(film[n])}, film, [0])[1] == {}
    assert found({3: as_jpeg(film[15])}, film, [0])[1] == {3: 15}
    assert found({15: black}, film, [0])[1] == {15: 0}


def test_a_face_that_was_blurred_is_no_fault() -> None:
    picture = MOVING[20].copy()
    picture[52:72, 70:90] = 128
    assert found({20: picture}, MOVING, [0])[1] == {}


def test_another_video_shows_something_else() -> None:
    other = np.random.default_rng(9).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    assert found({5: cv2.resize(other, (WIDTH, HEIGHT))}, MOVING)[1] == {5: None}
    assert found({5: MOVING[5].transpose(1, 0, 2)}, MOVING)[1] == {5: None}  # not turned as it is shown


def test_a_frame_is_its_own_nearest_and_brightness_does_not_count() -> None:
    small = thumbnail(MOVING[3])
    assert small.shape == (72, 128)
    assert distance(small, small) == pytest.approx(0, abs=1e-4)
    assert distance(0.9 * small + 12, small) == pytest.approx(0, abs=1e-3)
    assert distance(small, np.zeros_like(small)) > 50
    one_pixel = small.copy()
    one_pixel[0, 0] += 10  # the mean fourth power of one in 9,216
    assert distance(one_pixel, small) == pytest.approx(10 / small.size**0.25, rel=0.01)
