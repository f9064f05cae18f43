from __future__ import annotations

import itertools
import os
import resource
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from slimdp.inference import video_encoder
from slimdp.inference.video_encoder import (
    VideoEncoder,
    check_encoder,
    checked_preset,
    join_video,
    time_base,
)
from slimdp.inference.video_records import VideoInfo
from slimdp.settings_file import ConfigError


def info(
    width: int = 64, height: int = 48, rate: Fraction = Fraction(25), shape: Fraction = Fraction(1)
) -> VideoInfo:
    return VideoInfo(Path("in.mp4"), "in", width, height, 0, rate, shape)


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth picture of many colours that moves."""
    x, y = np.meshgrid(np.arange(width) + 2 * index, np.arange(height))
    image = np.stack(
        [127 + 100 * np.sin(x / 20), 127 + 100 * np.cos(y / 15), 127 + 100 * np.sin((x + y) / 25)], -1
    )
    return image.astype(np.uint8)


def write(folder: Path, video: VideoInfo, times: list[Fraction], pieces: tuple[int, ...]) -> Path:
    """A video whose pieces begin at some of its frames."""
    paths = []
    bounds = (*pieces, len(times))
    for number, (first, end) in enumerate(itertools.pairwise(bounds)):
        paths.append(folder / f"{number}.nut")
        with VideoEncoder(paths[-1], video) as encoder:
            for index in range(first, end):
                encoder.write(picture(index, video.width, video.height), times[index])
    return join_video(paths, folder / "out.mp4", video)


def decoded(path: Path) -> tuple[list[Fraction], list[np.ndarray]]:
    """Times and pictures of a video."""
    times, images = [], []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            assert frame.pts is not None
            times.append(frame.pts * frame.time_base)
            images.append(frame.to_ndarray(format="rgb24"))
    return times, images


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(10)])
def test_regular_times_come_back_exactly(tmp_path: Path, rate: Fraction) -> None:
    times = [index / rate for index in range(9)]
    found, images = decoded(write(tmp_path, info(rate=rate), times, (0, 4, 5)))
    assert found == times
    assert len(images) == 9


def test_irregular_times_come_back_to_a_tick_across_pieces(tmp_path: Path) -> None:
    times = [Fraction(n, 600) for n in (50, 60, 95, 96, 300, 1200, 1201)]  # QuickTime's clock, not from 0
    found, _ = decoded(write(tmp_path, info(), times, (0, 2, 5)))
    assert found == times
    odd = [Fraction(1, 7), Fraction(2, 7) + Fraction(1, 10**9), Fraction(2, 7), Fraction(1)]
    found, _ = decoded(write(tmp_path, info(), odd, (0, 2)))
    assert all(abs(a - b) < Fraction(2, 90_000) for a, b in zip(found, odd))
    assert sorted(set(found)) == found


def test_pictures_come_back_in_their_colours(tmp_path: Path) -> None:
    _, images = decoded(write(tmp_path, info(), [Fraction(n, 25) for n in range(4)], (0, 2)))
    for index, image in enumerate(images):
        assert np.abs(image.astype(int) - picture(index)).mean() < 3
    flat = np.full((48, 64, 3), (255, 0, 0), np.uint8)  # red is where BT.601 and BT.709 differ most
    with VideoEncoder(tmp_path / "red.nut", info()) as encoder:
        encoder.write(flat, Fraction(0))
    _, (red,) = decoded(join_video([tmp_path / "red.nut"], tmp_path / "red.mp4", info()))
    assert np.abs(red.astype(int) - flat).max() <= 3


def test_cut_in_pieces_or_not_frames_are_alike(tmp_path: Path) -> None:
    times = [Fraction(n, 25) for n in range(8)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, whole = decoded(write(tmp_path / "a", info(), times, (0,)))
    _, cut = decoded(write(tmp_path / "b", info(), times, (0, 3, 6)))
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(whole, cut)) < 3


def test_a_quick_preset_keeps_the_pictures(tmp_path: Path) -> None:
    video, times = info(), [Fraction(index, 25) for index in range(6)]
    for preset in ("ultrafast", "veryfast"):
        with VideoEncoder(tmp_path / preset, video, preset) as encoder:
            for index, time in enumerate(times):
                encoder.write(picture(index), time)
        out = join_video([tmp_path / preset], tmp_path / f"{preset}.mp4", video)
        found, pictures = decoded(out)
        assert found == times
        assert np.mean([np.abs(got - picture(i).astype(int)).mean() for i, got in enumerate(pictures)]) < 6
    assert (tmp_path / "ultrafast.mp4").read_bytes() != (tmp_path / "veryfast.mp4").read_bytes()
    assert checked_preset("slow") == "slow"
    with pytest.raises(ConfigError, match=r"preset 'veryfas' of x264; choices: .*veryfast"):
        checked_preset("veryfas")


def test_the_same_pieces_give_the_same_bytes(tmp_path: Path) -> None:
    times = [Fraction(n, 25) for n in range(8)]
    first = write(tmp_path, info(), times, (0, 5)).read_bytes()
    assert write(tmp_path, info(), times, (0, 5)).read_bytes() == first


def test_browsers_can_play_it(tmp_path: Path) -> None:
    path = write(tmp_path, info(shape=Fraction(4, 3)), [Fraction(n, 25) for n in range(5)], (0, 3))
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index comes first"
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_context.sample_aspect_ratio == Fraction(4, 3)
        assert stream.frames == 5
        assert stream.duration * stream.time_base == pytest.approx(0.2)


def test_odd_sides_get_their_edge_once_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, images = decoded(write(tmp_path, info(63, 47), [Fraction(0)], (0,)))
    assert images[0].shape == (48, 64, 3)
    assert np.abs(images[0][:47, :63].astype(int) - picture(0, 63, 47)).mean() < 3
    assert np.abs(images[0][47].astype(int) - images[0][46]).mean() < 3
    assert "is 64 x 48 px, the source 63 x 47" in caplog.text


def test_ticks_hold_usual_rates() -> None:
    for rate in (24, 25, 30, 50, 60, Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)):
        assert (1 / Fraction(rate) / time_base(Fraction(rate))).denominator == 1
    assert time_base(Fraction(1_000_003, 33_367)) == Fraction(1, 90_000)


def test_bad_frames_are_refused(tmp_path: Path) -> None:
    with VideoEncoder(tmp_path / "a.nut", info()) as encoder:
        with pytest.raises(ValueError, match=r"shape \(47, 64, 3\), uint8, but \(48, 64, 3\)"):
            encoder.write(picture(0)[1:], Fraction(0))
        with pytest.raises(ValueError, match="float64"):
            encoder.write(picture(0) / 255, Fraction(0))
        encoder.write(picture(0), Fraction(0))
    with pytest.raises(ValueError, match="none of 0 pieces has a frame"):
        join_video([], tmp_path / "out.mp4", info())
    assert not (tmp_path / "out.mp4").exists()


def test_a_machine_without_the_encoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    check_encoder()
    monkeypatch.setattr(video_encoder, "ENCODER", "libx264_that_is_not_there")
    with pytest.raises(ConfigError, match=r"has no libx264_that_is_not_there.*pip install"):
        check_encoder()


def encode_noise(path: Path, video: VideoInfo) -> None:
    rng = np.random.default_rng(0)
    with VideoEncoder(path, video) as encoder:
        for index in range(6):
            noise = rng.integers(0, 256, (video.height, video.width, 3)).astype(np.uint8)
            encoder.write(noise, Fraction(index, 25))


def test_a_full_disk_names_the_video_and_leaves_nothing(tmp_path: Path) -> None:
    big = info(640, 480)
    encode_noise(tmp_path / "a.nut", big)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"out\.mp4"):
            join_video([tmp_path / "a.nut"], tmp_path / "out.mp4", big)
        with pytest.raises(OSError, match=r"b\.nut"):
            encode_noise(tmp_path / "b.nut", big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert sorted(os.listdir(tmp_path)) == ["a.nut", "b.nut"]


@pytest.mark.parametrize(("height", "threads"), [(2, 1), (56, 1), (360, 2), (720, 4), (2160, 4)])
def test_low_frames_are_encoded_by_few_threads(tmp_path: Path, height: int, threads: int) -> None:
    info = VideoInfo(tmp_path / "v.mp4", "v", 64, height, 1, Fraction(25))
    with VideoEncoder(tmp_path / "piece.nut", info) as encoder:
        assert encoder._stream.codec_context.thread_count == threads
        encoder.write(np.zeros((height, 64, 3), np.uint8), Fraction(0))
