from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from flow_cache.errors import FlowCacheError
from flow_cache.video import open_video, probe_video
from flow_cache.video_file import VideoFile, matroska_size

MakeFilm = Callable[..., Path]
LOSSLESS = {"codec": "ffv1", "pix_fmt": "bgr0"}


@pytest.fixture
def frames(texture: np.ndarray) -> list[np.ndarray]:
    """Twelve frames (48, 64, 3) that can be told apart."""
    return [np.roll(texture[:48, :64], (place, 2 * place), axis=(0, 1)) for place in range(12)]


def joined(path: Path, *parts: Path) -> Path:
    """One stream of several: transport streams can be joined so, as recorders do."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def turned(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an MP4 a display matrix: stored x, y are shown at a x + c y, b x + d y (ISO 14496-12, 6.2.2)."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def test_frames_are_those_that_were_encoded(make_film: MakeFilm, frames: list[np.ndarray]) -> None:
    video = open_video(make_film("walk.mkv", frames, **LOSSLESS))
    assert (video.width, video.height, len(video.frame_names)) == (64, 48, 12)
    for index, frame in video.read([7, 0, 11]):
        np.testing.assert_array_equal(frame, frames[index])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("walk.mp4", {"max_b_frames": 2, "options": {"bf": "2"}}),
        ("walk.mp4", {"pix_fmt": "yuv420p10le"}),
        ("walk.mp4", {"pix_fmt": "gray"}),
        ("walk.avi", {"codec": "mpeg4"}),
        ("walk.mkv", {"codec": "ffv1", "pix_fmt": "yuva420p"}),
    ],
)
def test_frames_are_those_that_opencv_reads(
    make_film: MakeFilm, frames: list[np.ndarray], name: str, settings: dict[str, object]
) -> None:
    path = make_film(name, frames, **settings)
    capture = cv2.VideoCapture(str(path))
    found = dict(open_video(path).read(range(12)))
    assert len(found) == 12
    for frame in found.values():
        there, expected = capture.read()
        assert there
        if settings.get("pix_fmt") == "yuv420p10le":  # rounded otherwise, in OpenCV 4.8 by up to 29 levels
            assert np.abs(frame.astype(int) - expected[..., ::-1]).mean() < 6
        else:
            np.testing.assert_array_equal(frame, expected[..., ::-1])
    assert not capture.grab()


def test_odd_sides_are_kept(make_film: MakeFilm, frames: list[np.ndarray]) -> None:
    video = open_video(make_film("odd.mkv", [frame[:47, :63] for frame in frames], **LOSSLESS))
    (_, frame), *_ = video.read([3])
    np.testing.assert_array_equal(frame, frames[3][:47, :63])


def test_av1_is_decoded(make_film: MakeFilm, frames: list[np.ndarray]) -> None:
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this FFmpeg cannot encode AV1")
    path = make_film("walk.mp4", [np.tile(frame, (2, 2, 1)) for frame in frames], codec="libsvtav1")
    with VideoFile(path) as file:
        assert file.codec == "av1"
    assert len(open_video(path).frame_names) == 12


def test_a_codec_without_a_decoder_is_named(make_film: MakeFilm, frames: list[np.ndarray]) -> None:
    path = make_film("two words.mp4", frames)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"avs3"))
    for look in (open_video, probe_video):
        with pytest.raises(
            FlowCacheError, match=r"cannot do its codec, avs3.*; convert it .*ffmpeg -i '"
        ) as said:
            look(path)
        assert "-start_number 0" in str(said.value)  # as frames of a video file are counted here


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),
        (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0),
    ],
)  # fmt: skip
def test_a_video_is_turned_and_mirrored_as_it_says(
    make_film: MakeFilm, frames: list[np.ndarray], matrix: tuple[int, int, int, int]
) -> None:
    plain = dict(open_video(make_film("plain.mp4", frames)).read([2]))[2]
    a, b, c, d = matrix
    video = open_video(turned(make_film("turned.mp4", frames), a, b, c, d))
    found = dict(video.read([2]))[2]
    assert found.shape == (video.height, video.width, 3)
    y, x = np.mgrid[:48, :64]
    shown_x, shown_y = a * x + c * y, b * x + d * y
    np.testing.assert_array_equal(found[shown_y - shown_y.min(), shown_x - shown_x.min()], plain)


def test_an_angle_that_pixels_cannot_turn_by_is_refused(
    make_film: MakeFilm, frames: list[np.ndarray]
) -> None:
    with pytest.raises(FlowCacheError, match=r"no multiple of 90 degrees; write it anew: ffmpeg -i"):
        open_video(turned(make_film("turned.mp4", frames), 1, 1, -1, 1))


def test_a_video_that_is_left_in_the_middle_hangs_nobody(
    make_film: MakeFilm, frames: list[np.ndarray]
) -> None:
    path = make_film("walk.mp4", frames)
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # threads of the decoder write it, through Python
    try:
        for _ in range(150):
            with VideoFile(path) as video:
                next(video.frames())
    finally:
        av.logging.set_level(before)


@pytest.mark.parametrize("name", ["walk.mkv", "walk.ts", "walk.flv", "walk.mp4", "walk.mov", "walk.avi"])
def test_sound_that_is_longer_than_the_picture_says_nothing(
    make_film: MakeFilm, frames: list[np.ndarray], name: str
) -> None:
    path = make_film(name, frames, sound=4, codec="mpeg4" if name == "walk.avi" else "libx264")
    assert len(open_video(path).frame_names) == 12
    assert len(dict(open_video(path).read([11]))) == 1


@pytest.mark.parametrize("name", ["walk.mkv", "walk.mp4"])
def test_frames_that_come_at_uneven_times_are_all_there(
    make_film: MakeFilm, frames: list[np.ndarray], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_film(name, frames, times=[*range(6), *range(10, 40, 5)])
    assert len(open_video(path).frame_names) == 12
    assert not caplog.text


def test_recordings_that_were_joined_are_whole(
    make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path
) -> None:
    one = make_film("one.ts", frames)
    assert len(open_video(joined(tmp_path / "two.ts", one, one)).frame_names) == 24


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("name", ["walk.mkv", "walk.avi", "walk.mp4", "fast.mp4", "pieces.mp4"])
def test_what_was_cut_off_is_found(make_film: MakeFilm, texture: np.ndarray, name: str, kept: float) -> None:
    frames = [np.roll(texture, 3 * place, axis=1) for place in range(12)]
    container = {
        "fast.mp4": {"movflags": "faststart"},
        "pieces.mp4": {"movflags": "frag_keyframe+empty_moov"},
    }
    path = make_film(name, frames, "mpeg4", options={"g": "4"}, container=container.get(name, {}))
    assert len(open_video(path).frame_names) == 12
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(FlowCacheError, match=r"cut off"):
        open_video(path)


def test_a_last_frame_with_parts_missing_is_found(make_film: MakeFilm, rng: np.random.Generator) -> None:
    noise = list(rng.integers(0, 256, (4, 96, 128, 3), dtype=np.uint8))  # a frame takes many packets
    path = make_film("walk.ts", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 8 // 188 * 188])  # of whole packets
    with pytest.raises(FlowCacheError, match=r"damaged, or cut off, after its frame 2 \(h264: parts of"):
        open_video(path)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("walk.ts", "mpeg4", "yuv420p"), ("walk.m2ts", "mpeg2video", "yuv420p"), ("walk.gif", "gif", "rgb8"),
     ("walk.ogg", "vp8", "yuv420p"), ("walk.mjpeg", "mjpeg", "yuvj420p")],
)  # fmt: skip
def test_a_file_that_ends_within_a_piece_is_found(
    make_film: MakeFilm, frames: list[np.ndarray], name: str, codec: str, pix_fmt: str
) -> None:
    path = make_film(name, frames, codec, pix_fmt=pix_fmt)
    assert len(open_video(path).frame_names) == 12
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(FlowCacheError, match=r"is cut off: its \d+ bytes end within a piece"):
        open_video(path)


def test_sound_that_goes_on_does_not_hide_frames_that_were_cut_off(
    make_film: MakeFilm, frames: list[np.ndarray]
) -> None:
    path = make_film("walk.flv", frames, sound=0.2)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(FlowCacheError, match=r"cut off"):
        open_video(path)


def test_damage_in_the_middle_is_found(make_film: MakeFilm, texture: np.ndarray) -> None:
    frames = [np.roll(texture, 3 * place, axis=1) for place in range(12)]
    path = make_film("walk.mp4", frames)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 3
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    with pytest.raises(
        FlowCacheError, match=r"damaged, or cut off, after its frame \d+ \(h264: .*fetch it again"
    ):
        open_video(path)


def test_a_recording_that_begins_in_the_middle_is_said_to(
    make_film: MakeFilm, frames: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    path = make_film("walk.ts", frames, codec="mpeg2video", options={"g": "6"})
    with av.open(str(path)) as film:
        places = [packet.pos for packet in film.demux(video=0) if packet.pos is not None]
    path.write_bytes(path.read_bytes()[places[2] // 188 * 188 :])
    with caplog.at_level(logging.WARNING):
        count = len(open_video(path).frame_names)
    assert 6 <= count < 12


def small(frames: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(frame[:36, :48]) for frame in frames]


@pytest.mark.parametrize("last", [1, 12])
def test_a_size_that_changes_is_named(
    make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path, last: int
) -> None:
    parts = make_film("one.ts", frames), make_film("two.ts", small(frames)[:last])
    with pytest.raises(
        FlowCacheError, match=r"frame 12 is 48 x 36 px, the first frame is 64 x 48 px; .*scale=64:48"
    ):
        open_video(joined(tmp_path / "both.ts", *parts))


def test_pixels_that_change_their_shape_are_named(
    make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path
) -> None:
    wide = make_film("wide.ts", frames, sample_aspect_ratio=Fraction(4, 3))
    both = joined(tmp_path / "both.ts", make_film("one.ts", frames), wide)
    with pytest.raises(FlowCacheError, match=r"the pixels of frame 12 are 4:3, those of the first frame 1:1"):
        open_video(both)
    assert len(open_video(wide).frame_names) == 12


def test_the_shape_of_pixels_is_that_of_players(make_film: MakeFilm, frames: list[np.ndarray]) -> None:
    def shape(path: Path) -> Fraction:
        with VideoFile(path) as file:
            next(file.frames())
            return file.pixel_shape

    wide = make_film("wide.mp4", frames, sample_aspect_ratio=Fraction(4, 3))
    assert shape(wide) == Fraction(4, 3)
    assert shape(turned(wide, 0, 1, -1, 0)) == Fraction(3, 4)
    content = wide.read_bytes()
    box = b"pasp" + struct.pack(">2I", 4, 3)
    assert box in content
    wide.write_bytes(content.replace(box, b"pasp" + struct.pack(">2I", 2, 1)))
    assert shape(wide) == Fraction(1, 2)  # the container's word counts before the codec's


def test_a_cover_is_no_frame(make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path) -> None:
    with (
        av.open(str(make_film("plain.mp4", frames))) as film,
        av.open(str(tmp_path / "song.mp4"), "w") as out,
    ):
        cover = out.add_stream("mjpeg", rate=1, options={"strict": "-1"})
        cover.width, cover.height, cover.pix_fmt = 128, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = out.add_stream_from_template(film.streams.video[0])
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8), "rgb24")))
        for packet in film.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    video = open_video(tmp_path / "song.mp4")
    assert (video.width, video.height, len(video.frame_names)) == (64, 48, 12)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.m4a"), "w") as film:
        stream = film.add_stream("aac", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        film.mux(stream.encode(samples))
        film.mux(stream.encode(None))
    with pytest.raises(FlowCacheError, match=r"song\.m4a has no video in it \(audio\)"):
        open_video(tmp_path / "song.m4a")


def test_the_other_videos_of_a_file_are_named(
    make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w") as out:
        for side in (48, 32):
            stream = out.add_stream("mpeg4", rate=10)
            stream.width = stream.height = side
        for stream in out.streams.video:
            side = stream.codec_context.width
            for frame in frames[:3]:
                pixels = np.ascontiguousarray(frame[:side, :side])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            out.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING):
        assert open_video(tmp_path / "two.mkv").width == 48
    assert "holds 2 videos; number 0 is taken, of 48 x 48 px" in caplog.text


def test_a_look_counts_what_is_not_announced(make_film: MakeFilm, frames: list[np.ndarray]) -> None:
    seen = probe_video(make_film("walk.mkv", frames, sound=4))
    assert (seen.frames, seen.area) == (12, 64 * 48)
    pieces = {"movflags": "frag_keyframe+empty_moov"}  # its index is read piece by piece
    long = make_film("pieces.mp4", frames * 30, "mpeg4", options={"g": "5"}, container=pieces)
    assert probe_video(long).frames == 360


def test_frames_do_not_depend_on_threads(
    make_film: MakeFilm, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = open_video(make_film("walk.mp4", frames, options={"bf": "2"}))
    several = dict(video.read(range(12)))
    with VideoFile(video.path) as file:
        file._stream.thread_type = "NONE"
        for index, frame in enumerate(file.frames()):
            np.testing.assert_array_equal(file.pixels(frame), several[index])


def test_the_length_of_a_matroska_file(make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path) -> None:
    path = make_film("walk.mkv", frames)
    assert matroska_size(path) == path.stat().st_size
    (tmp_path / "empty.mkv").touch()
    assert matroska_size(tmp_path / "empty.mkv") == 0
    content = path.read_bytes()
    start = content.index(b"\x18\x53\x80\x67") + 4
    path.write_bytes(content[:start] + b"\x01" + b"\xff" * 7 + content[start + 8 :])  # as a recording says it
    assert matroska_size(path) == 0
    assert len(open_video(path).frame_names) == 12


def test_a_name_is_never_an_address(make_film: MakeFilm, frames: list[np.ndarray], tmp_path: Path) -> None:
    odd = make_film("plain.mp4", frames).rename(tmp_path / "concat:a|b,c%03d.mp4")
    assert len(open_video(odd).frame_names) == 12
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(FlowCacheError):
        open_video(playlist)
