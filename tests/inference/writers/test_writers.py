"""What holds of every writer, and what each of those holds that write no video."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from slimdp.evaluation.densepose_results import read_results
from slimdp.inference.painting import smooth_window
from slimdp.inference.texture import SIDE
from slimdp.inference.writers import WRITERS
from slimdp.inference.writers.iuv_file import IuvFile
from slimdp.surface.layout import layout_from_json
from slimdp.surface.people import PEOPLE
from tests.inference.writers.moving_people import FRAMES, INFO, contents, poses, write

VIDEOS = [name for name, writer in WRITERS.items() if hasattr(writer, "draw")]
#: Pieces of a video begin with a whole picture, so other cuts give other bytes.
OTHERS = [name for name in WRITERS if name not in VIDEOS]


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_pieces_give_the_same_files_and_joining_again_does_too(name: str, tmp_path: Path) -> None:
    first = contents(write(name, tmp_path / "a", 3))
    path = write(name, tmp_path / "b", 3)
    assert contents(path) == first
    assert WRITERS[name].join(sorted((tmp_path / "b").glob("piece*")), path.parent, INFO, PEOPLE) == path
    assert contents(path) == first
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing temporary is left"


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "iuv-h5"])
def test_where_pieces_begin_makes_no_difference(name: str, tmp_path: Path) -> None:
    whole = contents(write(name, tmp_path / "whole"))
    assert len(whole) > 0
    assert contents(write(name, tmp_path / "cut", 1, 3, 4)) == whole


@pytest.mark.parametrize("name", OTHERS)
def test_pieces_may_hold_no_frame(name: str, tmp_path: Path) -> None:
    whole = contents(write(name, tmp_path / "whole", 2))
    assert contents(write(name, tmp_path / "cut", 2, 2)) == whole


def test_where_pieces_begin_makes_no_difference_to_what_an_hdf5_file_holds(tmp_path: Path) -> None:
    paths = write("iuv-h5", tmp_path / "whole"), write("iuv-h5", tmp_path / "cut", 1, 3, 4)
    with h5py.File(paths[0]) as whole, h5py.File(paths[1]) as cut:
        names: list[str] = []
        whole.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        assert len(names) == 8
        for name in names:
            np.testing.assert_array_equal(whole[name][:], cut[name][:])


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond so many bytes fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_an_error_and_leaves_nothing_that_looks_whole(name: str, tmp_path: Path) -> None:
    with files_of_at_most(60), pytest.raises(OSError, match=r"large|space|written"):
        write(name, tmp_path / "piece")
    assert not (tmp_path / "piece" / "out").exists()
    path = write(name, tmp_path / "join")
    if path.is_dir() and name != "texture":
        return  # frames are written once: joining names them anew
    shutil.rmtree(path.parent)
    with files_of_at_most(60), pytest.raises(OSError, match=r"large|space"):
        WRITERS[name].join([tmp_path / "join" / "piece0"], path.parent, INFO, PEOPLE)
    assert list(path.parent.iterdir()) == []


def test_frames_hold_part_u_v_as_red_green_blue(tmp_path: Path) -> None:
    folder = write("iuv", tmp_path, 2)
    assert sorted(contents(folder)) == [f"{index:06d}.png" for index in range(FRAMES)]
    for pose in poses():
        found = np.array(Image.open(folder / f"{pose.frame.index:06d}.png"))
        np.testing.assert_array_equal(found[:, :, 0], pose.painted.part)
        for channel in (1, 2):
            np.testing.assert_array_equal(found[:, :, channel], np.rint(255 * pose.painted.uv[channel - 1]))


def test_hdnet_reads_v_u_i_and_opencv_i_u_v(tmp_path: Path) -> None:
    file = write("vui", tmp_path, 2) / "000001.png"
    painted = poses()[1].painted
    np.testing.assert_array_equal(np.array(Image.open(file))[:, :, 2], painted.part)
    np.testing.assert_array_equal(cv2.imread(str(file)), painted.iuv.transpose(1, 2, 0))


def test_one_file_holds_maps_tracks_and_people(tmp_path: Path) -> None:
    with h5py.File(write("iuv-h5", tmp_path, 2, 4)) as file:
        assert file["iuv"].shape == (FRAMES, 70, 90, 3)
        assert file["time_s"][:].tolist() == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
        assert file["frame"][:].tolist() == [0, 1, 2, 3, 4]
        for index, pose in enumerate(poses()):
            np.testing.assert_array_equal(file["iuv"][index], pose.painted.iuv.transpose(1, 2, 0))
            np.testing.assert_array_equal(file["track"][index], pose.painted.track)
        assert file["people/frame"][:].tolist() == [0, 0, 1, 1, 3, 3, 4, 4]
        assert file["people/track"][:].tolist() == [2, 3] * 4
        assert file["people/score"][:].tolist() == [0.9, 0.6] * 4
        np.testing.assert_allclose(file["people/box"][2], [8, 8, 50, 50])
        assert layout_from_json(json.loads(file.attrs["layout"])) == PEOPLE
        assert (file.attrs["width"], file.attrs["height"], file.attrs["rate"]) == (90, 70, 25)


def test_large_frames_are_several_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.inference.writers.iuv_file._CHUNK_PX", 90 * 30)
    with h5py.File(write("iuv-h5", tmp_path, 2)) as file:
        assert file["iuv"].chunks == (1, 30, 90, 3)
        for index, pose in enumerate(poses()):
            np.testing.assert_array_equal(file["iuv"][index], pose.painted.iuv.transpose(1, 2, 0))


def test_a_damaged_piece_is_no_whole_file(tmp_path: Path) -> None:
    path = write("iuv-h5", tmp_path, 2)
    path.unlink()
    piece = tmp_path / "piece1" / "piece.h5"
    piece.write_bytes(piece.read_bytes()[:-400])
    with pytest.raises(OSError, match=r"truncated|Unable"):
        IuvFile().join([tmp_path / "piece0", tmp_path / "piece1"], tmp_path / "out", INFO, PEOPLE)
    assert list((tmp_path / "out").iterdir()) == []


def test_results_can_be_read_by_any_evaluator(tmp_path: Path) -> None:
    path = write("results", tmp_path, 2)
    found = list(read_results(path))
    expected = [person for pose in poses() for person in pose.people]
    assert [each.image_id for each in found] == [1, 1, 2, 2, 4, 4, 5, 5], "frames count from 1"
    assert [each["track_id"] for each in json.loads(path.read_text())] == [2, 3] * 4
    for detection, person in zip(found, expected, strict=True):
        assert detection.score == person.score
        x0, y0, width, height = detection.box.astype(int)
        part, uv = smooth_window(person, x0, y0, width, height)
        np.testing.assert_array_equal(detection.iuv[0], part)
        np.testing.assert_array_equal(detection.iuv[1:], np.rint(255 * uv))


def test_textures_are_the_mean_of_all_pixels_seen_at_a_texel(tmp_path: Path) -> None:
    folder = write("texture", tmp_path, 1, 4)
    assert sorted(contents(folder)) == ["track_0002.png", "track_0003.png"]
    for track in (2, 3):
        sums: dict[tuple[int, int], list[np.ndarray]] = {}
        for pose in poses():
            for y, x in np.argwhere(pose.painted.track == track):
                part, (u, v) = int(pose.painted.part[y, x]), pose.painted.uv[:, y, x]
                # Charts of 200 texels, six down a column; v upwards.
                row = (part - 1) % 6 * SIDE + round(float((1 - v) * (SIDE - 1)))
                column = (part - 1) // 6 * SIDE + round(float(u * (SIDE - 1)))
                sums.setdefault((row, column), []).append(pose.frame.image[y, x].astype(int))
        atlas = np.array(Image.open(folder / f"track_{track:04d}.png"))
        assert atlas.shape == (1200, 800, 4)
        assert (atlas[:, :, 3] > 0).sum() == len(sums)
        for (row, column), seen in sums.items():
            np.testing.assert_array_equal(atlas[row, column, :3], np.floor(np.mean(seen, axis=0) + 0.5))
        assert not atlas[atlas[:, :, 3] == 0].any()


def test_a_folder_that_a_join_left_is_replaced_whole(tmp_path: Path) -> None:
    folder = write("iuv", tmp_path, 2)
    (folder / "000099.png").write_bytes(b"left by a longer video")
    shutil.rmtree(tmp_path / "piece1")
    (tmp_path / "piece1").mkdir()
    WRITERS["iuv"].join([tmp_path / "piece0", tmp_path / "piece1"], tmp_path / "out", INFO, PEOPLE)
    assert sorted(contents(folder)) == ["000000.png", "000001.png"]
