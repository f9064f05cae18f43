"""Reading iuv.h5: what was written, and files that are damaged or of another kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from slimdp.inference.iuv_video import IuvFileError, IuvVideo
from slimdp.surface.people import PEOPLE
from tests.inference.writers.moving_people import FRAMES, poses, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write("iuv-h5", tmp_path, 2)


def test_what_was_written_is_read(path: Path) -> None:
    with IuvVideo(path) as video:
        assert (len(video), video.name, video.width, video.height, video.rate) == (FRAMES, "walk", 90, 70, 25)
        assert video.layout == PEOPLE
        for frame, pose in zip(video, poses(), strict=True):
            assert (frame.number, frame.time_s) == (pose.frame.index, pytest.approx(float(pose.frame.time_s)))
            np.testing.assert_array_equal(frame.iuv, pose.painted.iuv.transpose(1, 2, 0))
            np.testing.assert_array_equal(frame.track, pose.painted.track)
            assert list(frame.boxes) == [person.annotation_id for person in pose.people]
            for person in pose.people:
                np.testing.assert_array_equal(frame.boxes[person.annotation_id], person.box)


def _set(name: str, index: Any, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][index] = value

    return change


def _announce(file: h5py.File) -> None:
    file["iuv"].resize(10_000, axis=0)


def _link(file: h5py.File) -> None:
    del file["track"]
    file["track"] = h5py.ExternalLink("other.h5", "track")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.update(format="slimdp predictions"), "the format is 'slimdp predictions'"),
        (lambda file: file.attrs.pop("format"), "the format is None"),
        (lambda file: file.attrs.update(version=2), "version 2, but"),
        (lambda file: file.attrs.update(width=91), r"wanted uint8 \(5, 70, 91, 3\)"),
        (lambda file: file.attrs.update(rate="fast"), "@rate is 'fast'"),
        (lambda file: file.attrs.update(layout="[]"), "layout: "),
        (lambda file: file.pop("people"), "/people is missing"),
        (lambda file: file.pop("track"), "/track is missing"),
        (lambda file: file["people/box"].resize(3, axis=0), "not of one length"),
        (lambda file: file["frame"].resize(3, axis=0), "frame and time_s are not of one length"),
        (_set("frame", 3, 7), "do not rise by 1"),
        (_set("people/frame", 7, 5), "in frames that the file lacks"),
        (_set("people/frame", 7, 0), "out of order"),
        (_set("people/track", 1, 2), "somebody is twice in a frame"),
        (_set("people/track", 1, 0), "tracks below 1"),
        (_set("people/box", (0, 2), np.nan), "boxes without a size"),
        (_announce, "wanted uint8 .5, 70, 90, 3."),
        (_link, "a link to another file"),
    ],
)
def test_a_file_that_cannot_be_is_refused(
    path: Path, change: Callable[[h5py.File], None], message: str
) -> None:
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(IuvFileError, match=message) as raised:
        IuvVideo(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("iuv", 25, "frame 1 holds part 25, but"), ("track", 0, "frame 1 has parts where nobody is")],
)
def test_a_frame_that_cannot_be_is_refused(path: Path, name: str, value: int, message: str) -> None:
    with h5py.File(path, "a") as file:
        file[name][1] = value
    with IuvVideo(path) as video:
        video.read(0)
        with pytest.raises(IuvFileError, match=message):
            video.read(1)


def test_a_damaged_frame_is_found_and_no_other_kind_of_file_is_read(path: Path, tmp_path: Path) -> None:
    with h5py.File(path) as file:
        chunk = file["iuv"].id.get_chunk_info_by_coord((1, 0, 0, 0))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    with IuvVideo(path) as video, pytest.raises(IuvFileError, match="frame 1 cannot be read"):
        list(video)
    with pytest.raises(FileNotFoundError, match="--write iuv-h5"):
        IuvVideo(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(IuvFileError, match="not a whole HDF5 file"):
        IuvVideo(tmp_path / "text.h5")
