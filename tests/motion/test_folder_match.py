"""Flow of other frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from flow_cache import FlowStore, MissingFlowError, precompute
from flow_cache.schema import put_text
from slimdp.data import AnnotationError
from slimdp.motion import FramePlaces
from slimdp.structures import ImageRecord


@pytest.fixture
def store(clip: list[ImageRecord], tmp_path: Path) -> Iterator[FlowStore]:
    precompute([tmp_path / "clip"], tmp_path / "flow.h5", steps=(1,), progress=False)
    with FlowStore(tmp_path / "flow.h5") as opened:
        yield opened


def test_the_same_frames_pass(store: FlowStore, clip: list[ImageRecord]) -> None:
    assert FramePlaces(store, clip).compared == 1
    assert FramePlaces(store, []).compared == 0


def change(clip: list[ImageRecord]) -> None:
    pixels = cv2.imread(str(clip[4].file))
    pixels[0, 0] ^= 1
    cv2.imwrite(str(clip[4].file), pixels)


def add(clip: list[ImageRecord]) -> None:
    clip[0].file.with_name("000006.png").write_bytes(clip[0].file.read_bytes())


def swap(clip: list[ImageRecord]) -> None:
    one, other = clip[0].file.read_bytes(), clip[1].file.read_bytes()
    clip[0].file.write_bytes(other)
    clip[1].file.write_bytes(one)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change, "not those that the flow of video 'clip' was computed from .* the content is not"),
        (swap, "the names are the same, the content is not; compute it again into another file: python -m"),
        (add, r"holds 1 pictures, first 000006\.png, that the flow of video 'clip' was not computed from"),
    ],
)
def test_other_frames_are_refused(
    store: FlowStore, clip: list[ImageRecord], spoil: Callable[[list[ImageRecord]], None], message: str
) -> None:
    spoil(clip)
    with pytest.raises(AnnotationError, match=message):
        FramePlaces(store, clip)


def test_another_size_is_refused(store: FlowStore, clip: list[ImageRecord]) -> None:
    with pytest.raises(AnnotationError, match=r"is 48 x 40 px, but the flow .* of 96 x 80 px"):
        FramePlaces(store, [replace(clip[2], width=48, height=40)])


def test_a_part_of_the_frames_cannot_be_compared(
    store: FlowStore, clip: list[ImageRecord], caplog: pytest.LogCaptureFixture
) -> None:
    clip[5].file.unlink()
    with caplog.at_level(logging.WARNING):
        assert FramePlaces(store, clip[:5]).compared == 0
    assert "holds 5 of the 6 frames" in caplog.text
    for image in clip[1:5]:
        image.file.unlink()
    assert FramePlaces(store, clip[:1]).compared == 0


def test_flow_of_a_video_file_is_compared_by_content(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    (tmp_path / "walk").mkdir()
    for number, frame in enumerate(frames):
        writer.write(frame)
        cv2.imwrite(str(tmp_path / f"walk/{number:06d}.png"), frame)
    writer.release()
    precompute([tmp_path / "walk.avi"], tmp_path / "flow.h5", steps=(1,), progress=False)
    image = ImageRecord(1, tmp_path / "walk/000001.png", "walk/000001.png", 64, 48, "1", 1)
    with FlowStore(tmp_path / "flow.h5") as store:
        assert FramePlaces(store, [image]).compared == 1


@pytest.mark.parametrize("relative", [False, True])  # as older stores have it
def test_the_source_of_flow_is_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    for folder in ("set/walk", "elsewhere/walk", "other/set/walk"):
        (tmp_path / folder).mkdir(parents=True)
        for number, frame in enumerate(frames if folder != "other/set/walk" else frames[::-1]):
            cv2.imwrite(str(tmp_path / folder / f"{number:06d}.png"), frame)
    pixels = cv2.imread(str(tmp_path / "elsewhere" / "walk" / "000001.png"))
    pixels[0, 0] ^= 1  # so that the bytes do not tell that it is the same
    cv2.imwrite(str(tmp_path / "elsewhere" / "walk" / "000001.png"), pixels)
    monkeypatch.chdir(tmp_path)
    precompute([Path("set/walk")], tmp_path / "flow.h5", steps=(1,), progress=False)
    if relative:
        with h5py.File(tmp_path / "flow.h5", "r+") as file:
            put_text(file["walk"].attrs, "source", "set/walk")
    monkeypatch.chdir(tmp_path / "other")
    places = [(tmp_path / folder / "walk" / "000001.png") for folder in ("elsewhere", "other/set")]
    same, other = (ImageRecord(1, place, "walk/000001.png", 64, 48, "1", 1) for place in places)
    with FlowStore(tmp_path / "flow.h5") as store:
        assert FramePlaces(store, [same]).compared == 1
        with pytest.raises(AnnotationError, match="the names are the same, the content is not"):
            FramePlaces(store, [other])


@pytest.mark.parametrize("border", [0, 4])
def test_pictures_that_were_cropped_are_refused(tmp_path: Path, border: int) -> None:
    texture = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 24, 3), np.uint8), (256, 96))
    writer = cv2.VideoWriter(str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (128, 96))
    (tmp_path / "walk").mkdir()
    for number in range(4):
        frame = np.ascontiguousarray(texture[:, 6 * number : 6 * number + 128])
        writer.write(frame)
        inner = frame[border : 96 - border, border : 128 - border]
        cv2.imwrite(str(tmp_path / f"walk/{number:06d}.jpg"), cv2.resize(inner, (128, 96)), [1, 30])
    writer.release()
    precompute([tmp_path / "walk.avi"], tmp_path / "flow.h5", steps=(1,), progress=False)
    image = ImageRecord(1, tmp_path / "walk/000001.jpg", "walk/000001.jpg", 128, 96, "1", 1)
    with FlowStore(tmp_path / "flow.h5") as store:
        if border:
            with pytest.raises(AnnotationError, match="cropped, scaled or moved"):
                FramePlaces(store, [image])
        else:
            assert FramePlaces(store, [image]).compared == 1


def test_no_flow_of_a_video(store: FlowStore, clip: list[ImageRecord], tmp_path: Path) -> None:
    other = replace(clip[0], file=tmp_path / "other" / "000000.png")
    with pytest.raises(
        MissingFlowError, match=r"has: clip\); run: python -m flow_cache precompute .*other --out FLOW.h5$"
    ):
        FramePlaces(store, [other])
