"""Pictures of lines: what of neighbouring ones is measured, and the film of two dense poses."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import pytest

from flow_cache import FlowCacheError
from slimdp.__main__ import main
from slimdp.evaluation import isi, itf
from slimdp.inference.contour_video import contour_fidelity, contour_image, write_side_by_side
from slimdp.inference.iuv_video import IuvVideo
from slimdp.inference.video_frames import open_frames
from slimdp.inference.writers.contours import draw_contours
from slimdp.surface.people import PEOPLE
from tests.inference.writers.moving_people import FRAMES, INFO, poses, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write("iuv-h5", tmp_path / "left")


def test_lines_lie_where_the_writer_draws_them(path: Path) -> None:
    pose = poses()[0]
    with IuvVideo(path) as video:
        image = contour_image(video.read(0), pose.frame.image)
        black = contour_image(video.read(0))
    drawn = draw_contours(pose, PEOPLE)
    changed = (drawn != pose.frame.image).any(axis=2)
    assert changed.sum() > 100
    # u and v of the file are whole numbers of 255ths: lines are off by a fraction of a pixel.
    assert np.abs(image.astype(int) - drawn)[changed].mean() < 20
    assert ((black > 0).any(axis=2) & changed).sum() > 0.9 * changed.sum()


def test_fidelity_is_the_mean_over_neighbouring_pictures(path: Path) -> None:
    with IuvVideo(path) as video:
        pictures = [contour_image(frame) for frame in video]
        found = contour_fidelity(video)
    assert found == {"itf_db": pytest.approx(itf(pictures)), "isi": pytest.approx(isi(pictures)), "equal": 0}
    with h5py.File(path, "a") as file:
        file["iuv"][3], file["track"][3] = 0, 0  # as the third frame: nobody
    with IuvVideo(path) as video:
        pictures = [contour_image(frame) for frame in video]
        found = contour_fidelity(video)
    finite = [itf(pair) for pair in pairwise(pictures) if (pair[0] != pair[1]).any()]
    assert found == {
        "itf_db": pytest.approx(np.mean(finite)), "isi": pytest.approx(isi(pictures)), "equal": 25
    }  # fmt: skip


def test_steadier_lines_have_higher_fidelity(path: Path) -> None:
    rng = np.random.default_rng(0)
    offsets = rng.uniform(-1, 1, (FRAMES, 1, 1, 2))
    rows, columns = np.mgrid[: INFO.height, : INFO.width]
    smooth = np.stack([columns, rows], axis=-1) * 2 + 30.0  # u and v, in 255ths
    scores = {}
    for name, size in (("little", 3), ("much", 12)):
        with h5py.File(path, "a") as file:
            file["iuv"][..., 0], file["track"][:] = 1, 2
            file["iuv"][..., 1:] = smooth + size * offsets
        with IuvVideo(path) as video:
            scores[name] = contour_fidelity(video)
    for measure in ("itf_db", "isi"):
        little, much = (scores[name][measure] for name in ("little", "much"))
        assert little is not None
        assert much is not None
        assert little > much


def source(folder: Path) -> Path:
    folder.mkdir()
    for pose in poses():
        cv2.imwrite(str(folder / f"{pose.frame.index:06d}.png"), pose.frame.image[..., ::-1])
    return folder


def test_a_film_shows_both(path: Path, tmp_path: Path) -> None:
    other = write("iuv-h5", tmp_path / "right")
    with h5py.File(other, "a") as file:
        file["iuv"][:], file["track"][:] = 0, 0
    frames = open_frames(source(tmp_path / "walk"))
    with IuvVideo(path) as left, IuvVideo(other) as right:
        film = write_side_by_side(left, right, tmp_path / "film.mp4")
        over = write_side_by_side(left, right, tmp_path / "over.mp4", frames)
    for file_name, bright in ((film, False), (over, True)):
        with av.open(str(file_name)) as video:
            images = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(images) == FRAMES
        assert images[0].shape == (INFO.height, 2 * INFO.width, 3)
        empty, lines = images[0][:, INFO.width + 2 :], images[0][:, : INFO.width]
        assert (empty.mean() > 60) == bright
        assert np.abs(lines.astype(int)[:, : INFO.width - 2] - empty).mean() > 2


def test_two_videos_or_another_source_are_refused(path: Path, tmp_path: Path) -> None:
    other = write("iuv-h5", tmp_path / "right")
    with h5py.File(other, "a") as file:
        file["frame"][:] += 10
    small = tmp_path / "small"
    small.mkdir()
    cv2.imwrite(str(small / "0.png"), np.zeros((20, 30, 3), np.uint8))
    with IuvVideo(path) as left, IuvVideo(other) as right:
        with pytest.raises(ValueError, match="with 0 frames in common; name two dense poses of one video"):
            write_side_by_side(left, right, tmp_path / "film.mp4")
        with pytest.raises(FlowCacheError, match=r"small is not of \(90, 70\) px"):
            write_side_by_side(left, left, tmp_path / "film.mp4", open_frames(small))
        folder = source(tmp_path / "walk")
        (folder / "000004.png").unlink()
        with pytest.raises(FlowCacheError, match="the source ends before frame 4"):
            write_side_by_side(left, left, tmp_path / "film.mp4", open_frames(folder))
    assert not (tmp_path / "film.mp4").exists()


def test_the_command_takes_both_or_neither(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["stability", "--video", f"{path}", "--source", f"{source(tmp_path / 'walk')}"]
    assert main([*given, "--film", f"{tmp_path / 'f.mp4'}"]) == 2
    assert "--film shows two dense poses: --video and --beside" in capsys.readouterr().err
    film, out = tmp_path / "f.mp4", tmp_path / "s.json"
    assert main([*given, "--film", f"{film}", "--beside", f"{path}", "--out", f"{out}"]) == 0
    assert film.is_file()
    assert "Lines of equal u and v in neighbouring frames: ITF" in capsys.readouterr().out
    assert set(json.loads(out.read_text())["contours"]) == {"itf_db", "isi", "equal"}
