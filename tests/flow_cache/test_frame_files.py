from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from flow_cache.errors import FlowCacheError
from flow_cache.frame_files import IMAGE_SUFFIXES, frame_files, hash_of_all, hash_of_file
from flow_cache.video import open_video

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


@pytest.mark.filterwarnings("error")  # of the decoder: one error says it all
@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".PPM", ".Jpg"])
def test_pictures_of_all_these_kinds_are_frames_and_damage_is_found(
    tmp_path: Path, texture: np.ndarray, suffix: str
) -> None:
    kind = {".jfif": ".jpg", ".j2k": ".jp2"}.get(suffix, suffix.lower())
    for index in range(2):
        picture = np.roll(texture, index, axis=0)
        picture = picture if kind not in (".pgm", ".pbm") else picture[..., 0]
        written, content = cv2.imencode(kind, picture)
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
