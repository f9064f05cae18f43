from __future__ import annotations

import logging
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from flow_cache import FlowCacheError
from slimdp.inference.video_frames import open_frames


def write_video(path: Path, times: list[int], time_base: Fraction = Fraction(1, 1000)) -> list[np.ndarray]:
    """A lossless video of grey frames at times in units of the time base; returns its frames."""
    frames = [np.full((48, 64, 3), 10 * index, np.uint8) for index in range(len(times))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        stream.time_base = stream.codec_context.time_base = time_base
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return frames


def test_frames_come_with_the_times_of_the_file(tmp_path: Path) -> None:
    times = [0, 40, 60, 200, 210]
    images = write_video(tmp_path / "a.mkv", times)
    source = open_frames(tmp_path / "a.mkv")
    assert (source.info.name, source.info.width, source.info.height) == ("a", 64, 48)
    assert not source.info.still
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.time_s for frame in frames] == [Fraction(time, 1000) for time in times]
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
    later = list(source.frames(start=3))
    assert [(frame.index, frame.time_s) for frame in later] == [(3, Fraction(1, 5)), (4, Fraction(21, 100))]
    assert source.frame_names() == tuple(f"{index:06d}" for index in range(5))


def test_a_video_of_one_frame_is_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mkv", [0])
    source = open_frames(tmp_path / "one.mkv")
    assert len(list(source.frames())) == 1
    assert not source.info.still


def test_folders_and_single_images(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    for index in (10, 2):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((48, 64, 3), index, np.uint8))
    frames = list(open_frames(folder, Fraction(10)).frames())
    assert [(frame.time_s, frame.image[0, 0, 0]) for frame in frames] == [(0, 2), (Fraction(1, 10), 10)]
    image = open_frames(folder / "2.png")
    assert (image.info.still, image.info.frames, image.info.name) == (True, 1, "2")
    assert len(list(image.frames())) == 1
    (folder / "2.png").unlink()
    alone = open_frames(folder)
    assert (alone.info.still, len(list(alone.frames()))) == (False, 1)
    assert alone.frame_names() == ("10.png",)


def test_rates_that_no_player_knows_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((48, 64, 3), np.uint8))
    assert open_frames(tmp_path, 29.97).info.rate == Fraction(2997, 100)
    assert open_frames(tmp_path, Fraction("0.333333333333")).info.rate == Fraction(1, 3)
    assert open_frames(tmp_path, Fraction(30000, 1001)).info.rate == Fraction(30000, 1001)
    for rate in (0, -5, 1e-9, float("nan"), 10**9, 10**400, Fraction(-(10**400), 3)):
        with pytest.raises(FlowCacheError, match=r"a rate of .* images a second, but 0.0001 to 10000 is"):
            open_frames(tmp_path, rate)
    assert open_frames(tmp_path, np.float32(12.5)).info.rate == Fraction(25, 2)
    assert open_frames(tmp_path, np.int64(12)).info.rate == 12
    for what in ("25", True, [25]):
        with pytest.raises(FlowCacheError, match=r"rate = .*, but a number of images a second is wanted"):
            open_frames(tmp_path, what)  # type: ignore[arg-type]


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    for index, width in enumerate((64, 64, 32)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((48, width, 3), np.uint8))
    frames = open_frames(tmp_path).frames()
    assert [next(frames).index, next(frames).index] == [0, 1]
    with pytest.raises(FlowCacheError, match="frame 2 is 32 x 48 px, the first frame is 64 x 48"):
        next(frames)


def test_of_a_video_file_the_remedy_is_said_too(tmp_path: Path) -> None:
    write_video(tmp_path / "a b.mkv", [0, 40])
    source = open_frames(tmp_path / "a b.mkv")
    other = replace(source, info=replace(source.info, width=32))  # as a file announces it that changes
    with pytest.raises(
        FlowCacheError, match=r"need one size: ffmpeg -i '.*a b\.mkv' -vf scale=32:48,setsar=1"
    ):
        next(other.frames())


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    with pytest.raises(FlowCacheError, match=r"no video at .*none\.mp4: there is no such file or folder"):
        open_frames(tmp_path / "none.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(FlowCacheError, match=r"pipe\.mp4: it is neither a file nor a folder"):
        open_frames(tmp_path / "pipe.mp4")
    (tmp_path / "pipe.mp4").unlink()
    with pytest.raises(FlowCacheError, match=r"holds 0 pictures .*; wanted at least 1"):
        open_frames(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(FlowCacheError, match="no video that FFmpeg can open"):
        open_frames(tmp_path / "a.mp4")


def test_other_content_has_another_fingerprint(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", [0, 40])
    before = open_frames(tmp_path / "a.mkv").fingerprint()
    assert open_frames(tmp_path / "a.mkv").fingerprint() == before
    write_video(tmp_path / "a.mkv", [0, 41])
    assert open_frames(tmp_path / "a.mkv").fingerprint() != before
    for picture in ("a.bmp", "b.bmp"):
        cv2.imwrite(str(tmp_path / picture), np.zeros((48, 64, 3), np.uint8))
    folder, image = (open_frames(path).fingerprint() for path in (tmp_path, tmp_path / "b.bmp"))
    cv2.imwrite(str(tmp_path / "b.bmp"), np.ones((48, 64, 3), np.uint8))
    assert open_frames(tmp_path).fingerprint() != folder
    assert open_frames(tmp_path / "b.bmp").fingerprint() != image


def save_tagged(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (64, 48)).save(path, exif=exif)


def test_an_orientation_tag_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_tagged(tmp_path / "a.jpg", 6)
    with caplog.at_level(logging.WARNING):
        assert open_frames(tmp_path / "a.jpg").info.width == 64
    assert "has an orientation tag, which is not applied: people" in caplog.text


def test_a_tag_behind_the_first_image_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for index, orientation in enumerate((1, 6, 6, 3)):
        save_tagged(tmp_path / f"{index}.jpg", orientation)
    with caplog.at_level(logging.WARNING):
        source = open_frames(tmp_path)
        assert [len(list(source.frames())) for _ in range(2)] == [4, 4]
    (said,) = caplog.messages
    assert f"{tmp_path / '1.jpg'} has an orientation tag, which is not applied, here and in images" in said


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_an_image_file_of_several_pictures_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    pages = [Image.new("RGB", (64, 48), (80 * number, 0, 0)) for number in range(3)]
    pages[1].save(tmp_path / f"0{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    several = tmp_path / f"1{suffix}"
    pages[0].save(several, save_all=True, append_images=pages[1:])
    for path in (several, tmp_path):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            *_, last = open_frames(path).frames()
        assert last.image[0, 0, 0] < 10  # the first of the three
        (said,) = caplog.messages
        assert f"{several} holds 3 pictures; the first one alone is taken" in said
        assert f"magick {several} -coalesce" in said
