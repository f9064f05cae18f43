from __future__ import annotations

from pathlib import Path

import pytest

from flow_cache.errors import FlowCacheError
from flow_cache.numbering import number_files

FRAMES = tuple(f"{index:06d}.png" for index in range(6))


def fields(*names: str, frames: tuple[str, ...] = FRAMES, **said: int) -> dict[tuple[int, int], str]:
    numbered = number_files([Path("flow", name) for name in names], frames, **said)
    return {field: path.name for field, path in numbered.fields.items()}


def names(pattern: str, *numbers: int) -> list[str]:
    return [pattern % number for number in numbers]


@pytest.mark.parametrize(
    "files",
    [
        names("%06d.flo", *range(5)),  # FlowNet2
        names("frame_%04d.flo", *range(1, 6)),  # Sintel
        names("flow%d.flo", *range(7, 12)),  # any first number, and 10 after 9
        names("cam2_%03d_20200101.flo", *range(5)),
        [f"{number:04d}_{number + 1:04d}.flo" for number in range(1, 6)],  # from and to
    ],
)
def test_as_many_files_as_fit_are_the_steps_from_frame_to_frame(files: list[str]) -> None:
    assert fields(*reversed(files)) == {(frame, 1): name for frame, name in enumerate(files)}


def test_names_of_frames_are_believed_before_numbers() -> None:
    kitti = ("000000_10.png", "000000_11.png", "000001_10.png", "000001_11.png")
    assert fields("000000_10.png", "000001_10.png", frames=kitti) == {
        (0, 1): "000000_10.png",
        (2, 1): "000001_10.png",
    }
    middlebury = tuple(f"frame{number:02d}.png" for number in range(7, 15))
    assert fields("frame10.flo", frames=middlebury) == {(3, 1): "frame10.flo"}
    assert fields("000002.flo", "000003.flo") == {(2, 1): "000002.flo", (3, 1): "000003.flo"}


def test_a_step_may_lead_back_or_farther() -> None:
    back = names("%06d.flo", *range(1, 6))
    assert fields(*back, step=-1) == {(frame, -1): f"{frame:06d}.flo" for frame in range(1, 6)}
    assert fields(*names("b%02d.flo", *range(5)), step=-1) == {
        (frame + 1, -1): f"b{frame:02d}.flo" for frame in range(5)
    }
    assert set(fields(*names("f%d.flo", *range(4)), step=2)) == {(frame, 2) for frame in range(4)}
    assert set(fields("a_3_5.flo", "a_1_3.flo", first=1)) == {(0, 2), (2, 2)}


def test_the_first_frame_may_be_said() -> None:
    assert fields("x2.flo", "x3.flo", first=1) == {(1, 1): "x2.flo", (2, 1): "x3.flo"}
    assert fields("x2.flo", "x3.flo", first=0) == {(2, 1): "x2.flo", (3, 1): "x3.flo"}


@pytest.mark.parametrize(
    ("files", "frames", "said"),
    [
        (
            names("f%d.flo", 1, 2, 3),
            FRAMES,
            "numbers 1 to 3, whose names are not .*--first-frame 1",
        ),
        (names("f%d.flo", 0, 1, 2, 4, 5), FRAMES, "numbers 0 to 5 with gaps"),
        (names("f%d.flo", *range(6)), FRAMES, "6 files.* 5 fields of step"),
        (names("%06d.flo", 1, 2), tuple(f"{index:06d}" for index in range(6)), "--first-frame 0 or"),
        (["forward_1.flo", "back_1.flo"], FRAMES, r"named in 2 ways \(back_1.flo, forward_1.flo\); .*--step"),
        (["a1_1.flo", "a1_2.flo", "a2_1.flo"], FRAMES, "2 of the numbers in the names count"),
        (["flow.flo"], FRAMES, "none of the numbers"),
        (["3+1.flo", "03+1.flo"], FRAMES, "are the same field"),
        (["3+0.flo"], FRAMES, "leaves the video"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    files: list[str], frames: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FlowCacheError, match=said):
        fields(*files, frames=frames)
