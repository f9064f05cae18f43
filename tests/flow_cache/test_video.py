from __future__ import annotations

import hashlib
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from flow_cache.errors import FlowCacheError
from flow_cache.file_hashes import hash_of_all, hash_of_file
from flow_cache.images import IMAGE_SUFFIXES, jpeg_is_complete
from flow_cache.video import (
    check_pictures,
    content_digest,
    frame_files,
    open_video,
    read_image,
)

MakeFolder = Callable[..., Path]


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((20, 30, 3), number, np.uint8))
    (tmp_path / "._frame3.png").write_bytes(b"what macOS leaves on other disks")
    (tmp_path / "notes.txt").write_text("no picture")
    video = open_video(tmp_path)
    assert video.name == tmp_path.name
    assert (video.width, video.height) == (30, 20)
    assert video.frame_names == ("frame1.png", "frame2.png", "frame10.png")
    assert [(index, int(frame[0, 0, 0])) for index, frame in video.read([2, 0])] == [(0, 1), (2, 10)]


def test_superscripts_are_no_numbers(tmp_path: Path) -> None:
    for name in ("x1²2.png", "x1²10.png", "x1²1.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 30, 3), np.uint8))
    assert open_video(tmp_path).frame_names == ("x1²1.png", "x1²2.png", "x1²10.png")


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "a.png"), red)
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [255, 0, 0]


def test_frames_of_a_video_file_come_in_order_and_skip_exactly(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), (200, 20 * index, 30), np.uint8) for index in range(8)]
    write_video(tmp_path / "clip.avi", frames)
    video = open_video(tmp_path / "clip.avi")
    assert video.name == "clip"
    assert video.frame_names == tuple(f"{index:06d}" for index in range(8))
    for index, frame in video.read([6, 1, 2]):
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), frames[index][0, 0], atol=6)


def test_the_hash_follows_the_content(make_folder: MakeFolder) -> None:
    folder = make_folder()
    before = open_video(folder).source_hash
    assert open_video(folder).source_hash == before
    shutil.copy(folder / "0000.png", folder / "0003.png")
    assert open_video(folder).source_hash != before


def test_real_videos(samples: Path) -> None:
    clip = open_video(samples / "posetrack18/videos/000001_mpiinew_test")
    assert clip.name == "000001_mpiinew_test"
    assert len(clip.frame_names) == 5
    assert len(dict(clip.read(range(5)))) == 5
    juggle = open_video(samples / "video/juggle.mp4")
    assert (juggle.width, juggle.height, len(juggle.frame_names)) == (1280, 720, 247)


@pytest.mark.parametrize(("name", "kept"), [("vtest.avi", 0.5), ("juggle.mp4", 0.5), ("juggle.mp4", 0.9)])
def test_a_video_that_was_cut_off_is_refused(samples: Path, tmp_path: Path, name: str, kept: float) -> None:
    content = (samples / "video" / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(
        FlowCacheError, match=r"is cut off, or damaged after its frame \d+: \d+ of the \d+ frames"
    ):
        open_video(tmp_path / name)


def encoded(texture: np.ndarray, *settings: int) -> bytes:
    return cv2.imencode(".jpg", texture, list(settings))[1].tobytes()


@pytest.mark.parametrize(
    "settings", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)]
)
def test_a_jpeg_is_complete_only_with_its_last_byte(texture: np.ndarray, settings: tuple[int, ...]) -> None:
    content = encoded(texture, *settings)
    assert jpeg_is_complete(content)
    assert jpeg_is_complete(content + b"bytes after the picture")
    assert not any(jpeg_is_complete(content[:length]) for length in range(0, len(content), 7))
    assert not jpeg_is_complete(content[:-1])


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(texture: np.ndarray) -> None:
    thumbnail, content = encoded(texture[:16, :16]), encoded(texture)
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = content[:2] + segment + content[2:]
    assert jpeg_is_complete(with_thumbnail)
    assert not jpeg_is_complete(with_thumbnail[: len(with_thumbnail) // 2])


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_frame_that_was_cut_off_is_named(make_folder: MakeFolder, texture: np.ndarray, suffix: str) -> None:
    folder = make_folder()
    content = cv2.imencode(suffix, texture)[1].tobytes()
    (folder / f"0006{suffix}").write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(FlowCacheError, match=rf"0006\{suffix} is cut off"):
        open_video(folder)


def test_unreadable_frames_are_named(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "0002.png").write_bytes(b"")
    with pytest.raises(FlowCacheError, match=r"0002\.png is cut off: its 0 bytes"):
        open_video(folder)
    (folder / "0002.png").write_text("no picture at all")
    with pytest.raises(FlowCacheError, match=r"0002\.png is no picture"):
        open_video(folder)
    with pytest.raises(FlowCacheError, match=r"none\.png: no such image file"):
        read_image(folder / "none.png")


def test_frames_that_change_size_are_named(make_folder: MakeFolder) -> None:
    folder = make_folder()
    cv2.imwrite(str(folder / "0009.png"), np.zeros((50, 40, 3), np.uint8))
    with pytest.raises(
        FlowCacheError, match=r"0009\.png is 40 x 50 px, the first frame 0000\.png is 128 x 96 px"
    ):
        open_video(folder)


def test_headers_tell_pictures_of_another_size_or_cut_off(make_folder: MakeFolder) -> None:
    folder = make_folder()
    check_pictures(folder)
    cv2.imwrite(str(folder / "0009.bmp"), np.zeros((50, 40, 3), np.uint8))
    with pytest.raises(
        FlowCacheError, match=r"0009\.bmp is 40 x 50 px, the first frame 0000\.png is 128 x 96 px"
    ):
        check_pictures(folder)
    (folder / "0002.png").write_bytes((folder / "0002.png").read_bytes()[:-40])
    with pytest.raises(FlowCacheError, match=r"0002\.png is cut off"):
        check_pictures(folder)


def test_a_frame_that_changes_after_the_video_was_opened_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder()
    video = open_video(folder)
    cv2.imwrite(str(folder / "0001.png"), np.zeros((50, 40, 3), np.uint8))
    with pytest.raises(FlowCacheError, match=r"frame 0001\.png is 40 x 50 px"):
        dict(video.read([0, 1]))


def test_what_is_no_video_is_refused(tmp_path: Path, make_folder: MakeFolder) -> None:
    with pytest.raises(FlowCacheError, match=r"no video at .*nowhere"):
        open_video(tmp_path / "nowhere")
    with pytest.raises(FlowCacheError, match=r"empty holds 0 pictures \(\.jpg"):
        open_video(make_folder("empty", 0))
    with pytest.raises(FlowCacheError, match="single holds 1 pictures"):
        open_video(make_folder("single", 1))
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FlowCacheError, match=r"empty\.mp4 \(0 bytes\) is no video"):
        open_video(tmp_path / "empty.mp4")
    (tmp_path / "text.avi").write_text("no video at all")
    with pytest.raises(FlowCacheError, match=r"text\.avi \(15 bytes\) is no video"):
        open_video(tmp_path / "text.avi")
    write_video(tmp_path / "still.avi", [np.zeros((48, 64, 3), np.uint8)])
    with pytest.raises(FlowCacheError, match=r"still\.avi holds 1 frames; flow needs at least 2"):
        open_video(tmp_path / "still.avi")


def test_a_picture_in_place_of_its_folder_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    with pytest.raises(
        FlowCacheError, match=r"0001\.png is a picture; name the folder of the frames: .*walk"
    ):
        open_video(folder / "0001.png")


def test_a_video_that_was_looked_through_before_is_not_decoded_again(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = make_folder(), tmp_path / "clip.avi"
    write_video(file, [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(8)])
    seen = {path: open_video(path) for path in (folder, file)}

    def refuse(*arguments: object) -> None:
        raise AssertionError("decoded")

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imdecode", refuse)
        patch.setattr(av, "open", refuse)
        for path, video in seen.items():
            assert open_video(path, video) == video
    cv2.imwrite(str(folder / "0003.png"), np.zeros((50, 40, 3), np.uint8))
    with pytest.raises(FlowCacheError, match=r"0003\.png is 40 x 50 px"):
        open_video(folder, seen[folder])
    (folder / "0003.png").unlink()
    assert len(open_video(folder, seen[folder]).frame_names) == 5


def test_a_file_that_gives_fewer_frames_than_it_announces_is_said_to(
    tmp_path: Path, texture: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, [np.roll(texture, index, axis=0) for index in range(60)])
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xd8", len(content) // 2)
    content[start - 8 : start - 4] = b"JUNK"  # a frame in the middle that the reader passes over
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        video = open_video(path)
    assert len(video.frame_names) == 59
    assert "clip.avi: 59 frames can be decoded, it announces 60; if one is damaged" in caplog.text


@pytest.mark.parametrize("kind", ["sixteen bit", "grey", "sixteen bit grey", "transparent"])
def test_other_kinds_of_pictures_are_read_as_eight_bit_colour(
    tmp_path: Path, texture: np.ndarray, kind: str
) -> None:
    grey = texture[..., 1]
    image = {
        "sixteen bit": texture.astype(np.uint16) * 257,
        "grey": grey,
        "sixteen bit grey": grey.astype(np.uint16) * 257,
        "transparent": np.dstack([texture, np.full(grey.shape, 40, np.uint8)]),
    }[kind]
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    (_, frame), _ = open_video(tmp_path).read([0, 1])
    expected = np.repeat(grey[..., None], 3, axis=-1) if "grey" in kind else texture[..., ::-1]
    np.testing.assert_array_equal(frame, expected)


def test_a_picture_too_large_to_decode_is_named(make_folder: MakeFolder) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    bomb = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    folder = make_folder()
    (folder / "0003.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bomb)
    with pytest.raises(FlowCacheError, match=r"0003\.png is 100000 x 100000 px, more than"):
        open_video(folder)


MakeFolder = Callable[..., Path]


def make_files(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_frames_come_in_the_order_of_their_numbers_without_what_is_no_picture(tmp_path: Path) -> None:
    names = ("b10.png", "b9.png", "b2.png", "._b1.png", ".png", "notes.txt", "b3.png.tmp", "Thumbs.db", "B")
    folder = make_files(tmp_path, *names)
    (folder / "masks").mkdir()
    assert [file.name for file in frame_files(folder)] == ["b2.png", "b9.png", "b10.png"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("0001.png", "0002.png", "0004.png", "0005.png"),
            "jump at 1 places, the first from 0002.png to 0004",
        ),
        (
            ("a1_5.png", "a1_6.png", "a1_7.png", "a1_9.png"),
            "jump at 1 places, the first from a1_7.png to a1_9",
        ),
        (("0001.png", "0002.png", "cover.png"), r"named in 2 ways (0001.png, cover.png); all are frames"),
        (("0000.png", "0005.png", "0010.png"), None),  # every fifth
        (("s1_f0.png", "s1_f1.png", "s2_f0.png", "s2_f1.png"), None),  # two numbers change: any order may be
        (("frame9.jpg", "frame10.jpg", "frame11.jpg"), None),
        (("a.png", "b.png"), "named in 2 ways"),
    ],
)
def test_what_is_odd_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, ...], said: str | None
) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(frame_files(make_files(tmp_path, *names))) == len(names)
    assert (said in caplog.text) if said else not caplog.text


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = make_files(tmp_path, "0001.png", "0002.jpg", "0002.png")
    with pytest.raises(FlowCacheError, match=r"holds both 0002\.jpg and 0002\.png; keep the frames"):
        frame_files(folder)


@pytest.mark.parametrize("kind", ["nowhere", "loop", "folder", "pipe"])
def test_what_only_has_the_name_of_a_picture_is_refused(make_folder: MakeFolder, kind: str) -> None:
    odd = make_folder() / "0009.png"
    if kind == "folder":
        odd.mkdir()
    elif kind == "pipe":
        os.mkfifo(odd)  # reading it would wait for ever
    else:
        odd.symlink_to("missing.png" if kind == "nowhere" else odd.name)
    with pytest.raises(FlowCacheError, match=r"0009\.png is no file, or a link to none"):
        open_video(odd.parent)


def test_links_to_frames_are_frames(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, links = make_folder(), tmp_path / "links"
    links.mkdir()
    for file in folder.iterdir():
        (links / file.name).symlink_to(file)
    assert open_video(links).source_hash == open_video(folder).source_hash


def test_names_in_other_scripts_are_kept_and_names_that_are_no_text_refused(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder("näme ünï 日本")
    shutil.copy(folder / "0001.png", folder / "0006 ラスト.png")
    video = open_video(folder)
    assert (video.name, video.frame_names[-1]) == ("näme ünï 日本", "0006 ラスト.png")
    shutil.copy(folder / "0001.png", os.fsdecode(os.fsencode(folder) + b"/\xff7.png"))
    with pytest.raises(FlowCacheError, match=r"\\xff7\.png' is not UTF-8; rename it"):
        open_video(folder)


def test_hashes_are_those_of_names_and_contents(tmp_path: Path) -> None:
    files = [make_files(tmp_path, f"{i}.png") / f"{i}.png" for i in range(50)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    assert hash_of_all(files, hash_of_file) == digest.hexdigest()
    with pytest.raises(FlowCacheError, match=r"gone\.png cannot be read: No such file"):
        hash_of_file(tmp_path / "gone.png")


def test_pictures_that_keep_their_size_are_known_by_all_they_show(tmp_path: Path) -> None:
    image = np.zeros((900, 700, 3), np.uint8)  # with a middle beyond 1 MiB from both ends of the file
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.bmp"), image)
    before, alone = content_digest(tmp_path), content_digest(tmp_path / "1.bmp")
    assert content_digest(tmp_path) == before
    size = (tmp_path / "1.bmp").stat().st_size
    image[450, 350] = 255
    cv2.imwrite(str(tmp_path / "1.bmp"), image)
    assert (tmp_path / "1.bmp").stat().st_size == size
    assert content_digest(tmp_path) != before
    assert content_digest(tmp_path / "1.bmp") != alone


def test_a_video_file_is_known_by_its_size_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    contents = [b"a" * 100, b"a" * 101, b"b" + b"a" * 99, b"a" * 99 + b"b"]
    digests = {file.write_bytes(content) and content_digest(file) for content in contents}
    assert len(digests) == len(contents)
    with pytest.raises(FlowCacheError, match=r"no video at .*b\.mp4"):
        content_digest(tmp_path / "b.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_a_file_that_was_renamed_is_known_under_its_old_name(tmp_path: Path, suffix: str) -> None:
    """Runs keep the digest and the name, those of versions before too: what it is made of does not change."""
    old, new = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    old.write_bytes(b"abc")
    video, picture = b"old.mp4 3 abcabc", b"old.png\0" + hashlib.sha256(b"abc").digest()
    before = content_digest(old)
    assert before == hashlib.sha256(video if suffix == ".mp4" else picture).hexdigest()
    old.rename(new)
    assert content_digest(new) != before
    assert content_digest(new, old.name) == before
    new.write_bytes(b"abd")
    assert content_digest(new, old.name) != before


@pytest.mark.filterwarnings("error")  # of the decoder: one error says it all
@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".PPM", ".Jpg"])
def test_pictures_of_all_these_kinds_are_frames_and_damage_is_found(
    tmp_path: Path, texture: np.ndarray, suffix: str
) -> None:
    kind = {".jfif": ".jpg", ".j2k": ".jp2"}.get(suffix, suffix.lower())
    for index in range(2):
        image = np.roll(texture, index, axis=0)
        image = image if kind not in (".pgm", ".pbm") else image[..., 0]
        written, content = cv2.imencode(kind, image)
        assert written
        (tmp_path / f"{index}{suffix}").write_bytes(content.tobytes())
    video = open_video(tmp_path)
    assert [frame.shape for _, frame in video.read([0, 1])] == [(96, 128, 3)] * 2
    with Image.open(tmp_path / f"0{suffix}") as other:  # the other reader knows it as well
        assert other.size == (128, 96)
    whole = (tmp_path / f"1{suffix}").read_bytes()
    for kept in (len(whole) // 2, len(whole) - 200):
        (tmp_path / f"1{suffix}").write_bytes(whole[:kept])
        with pytest.raises(
            FlowCacheError, match=rf"1\{suffix}(?: is cut off| is no picture|: damaged or cut short)"
        ):
            open_video(tmp_path)


def test_files_of_several_pictures_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pages = [Image.new("RGB", (64, 48), (80 * number, 0, 0)) for number in range(3)]
    pages[0].save(tmp_path / "0.png")
    for number in (1, 2):
        pages[number].save(tmp_path / f"{number}.png", save_all=True, append_images=pages)
    with caplog.at_level(logging.WARNING):
        assert open_video(tmp_path).frame_names == ("0.png", "1.png", "2.png")
    (said,) = caplog.messages
    assert "2 of 3 files hold more than one picture, such as 1.png; the first one of each" in said
