from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from slimdp.inference.video_records import FramePose, VideoFrame, VideoInfo
from slimdp.inference.writers import WRITERS
from slimdp.inference.writers.overlay import draw_overlay, track_colour
from slimdp.inference.writers.palettes import colour_table
from slimdp.structures import DensePoseInstance
from slimdp.surface.people import PEOPLE

INFO = VideoInfo(Path("in.mp4"), "in", 160, 120, 4, Fraction(25))


def person(track: int, x: float, y: float, size: float, score: float = 0.9) -> DensePoseInstance:
    """A square of part 2 alone."""
    zoom = 16 / size
    return DensePoseInstance(
        track, 0, np.array([x, y, size, size]), score, np.array([[zoom, 0, -zoom * x], [0, zoom, -zoom * y]]),
        np.full((16, 16), 2, np.uint8), np.full((2, 16, 16), 0.5, np.float16), np.ones((16, 16), bool),
    )  # fmt: skip


def pose(index: int, *people: DensePoseInstance) -> FramePose:
    image = np.full((120, 160, 3), 128, np.uint8)
    return FramePose(VideoFrame(index, Fraction(index, 25), image), people)


def written(name: str, folder: Path, cut: int) -> Path:
    pieces = []
    for first, end in ((0, cut), (cut, 4)):
        pieces.append(folder / f"{first}")
        pieces[-1].mkdir(parents=True)
        with WRITERS[name].piece(pieces[-1], INFO, PEOPLE) as write:
            for index in range(first, end):
                write(pose(index, person(1, 40 + 4 * index, 30, 40)))
    return WRITERS[name].join(pieces, folder / "out", INFO, PEOPLE)


@pytest.mark.parametrize("name", ["overlay", "parts-viridis-canvas"])
def test_a_video_has_all_frames_of_all_pieces(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path, 3)
    assert path == tmp_path / "out" / f"{name}.mp4"
    with av.open(str(path)) as file:
        frames = [
            (frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)
        ]
    assert [time for time, _ in frames] == [Fraction(n, 25) for n in range(4)]
    if name == "parts-viridis-canvas":
        for index, (_, image) in enumerate(frames):
            assert np.abs(image[50, 60 + 4 * index].astype(int) - colour_table("viridis")[21]).max() < 6
            assert np.abs(image[100, 10].astype(int) - (68, 1, 84)).max() < 6


def test_the_overlay_numbers_everyone_in_the_colour_of_the_track() -> None:
    drawn = draw_overlay(pose(0, person(1, 20, 40, 40), person(2, 100, 40, 40)), PEOPLE)
    for track, x in ((1, 40), (2, 120)):
        plate = (drawn[20:40, x - 8 : x + 8] == track_colour(track)).all(axis=2)
        assert 20 < plate.sum() < 300
        ink = (drawn[20:40, x - 8 : x + 8].astype(int).sum(axis=2) < 200).sum()
        assert ink > 5
    colours = np.array([track_colour(track) for track in range(1, 9)], dtype=int)
    apart = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 999 * np.eye(8)
    assert apart.min() > 30


def test_a_number_stays_in_the_frame() -> None:
    for x, y in ((-20, -30), (150, -10), (150, 110)):
        drawn = draw_overlay(pose(0, person(12, x, y, 40)), PEOPLE)
        assert (drawn == track_colour(12)).all(axis=2).sum() > 40


def test_every_writer_goes_by_its_name() -> None:
    assert all(name == writer.name for name, writer in WRITERS.items())
    assert {"overlay", "parts-viridis", "parts-parula", "u", "v", "vid2densepose"} <= set(WRITERS)
