"""Which video of a store somebody means by a folder or a file, and that no other one passes for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from flow_cache import FlowCacheError, FlowStore, MissingFlowError, precompute
from flow_cache.video import name_sources
from slimdp.data import AnnotationError
from slimdp.motion.source_flow import find_source

NAMES, SIZE = tuple(f"{index:06d}.png" for index in range(3)), (96, 64)


def write_frames(folder: Path, seed: int) -> Path:
    """Frames of a scene of its own that moves to the right."""
    folder.mkdir(parents=True)
    scene = np.random.default_rng(seed).uniform(0, 255, (64, 96, 3))
    scene = cv2.GaussianBlur(scene, (0, 0), 2)
    for index, name in enumerate(NAMES):
        cv2.imwrite(str(folder / name), np.roll(scene, 2 * index, axis=1).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a/img1, b/img1 and c/img1; both.h5 of the first two, one.h5 of a/img1 under the name img1."""
    folder = tmp_path_factory.mktemp("clips")
    sources = [write_frames(folder / name / "img1", seed) for seed, name in enumerate("abc")]
    precompute(name_sources(sources[:2]), folder / "both.h5", [1, -1])
    precompute(sources[:1], folder / "one.h5", [1, -1])
    return folder


@pytest.fixture
def both(clips: Path) -> Iterator[FlowStore]:
    with FlowStore(clips / "both.h5") as store:
        yield store


@pytest.fixture
def one(clips: Path) -> Iterator[FlowStore]:
    with FlowStore(clips / "one.h5") as store:
        yield store


def test_names_of_several_folders_are_found(
    clips: Path, both: FlowStore, one: FlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert both.videos() == ("a/img1", "b/img1")
    assert find_source(both, clips / "a" / "img1", NAMES, SIZE) == "a/img1"
    assert find_source(one, clips / "a" / "img1", NAMES, SIZE) == "img1"
    monkeypatch.chdir(clips / "b" / "img1")
    assert find_source(both, Path(), NAMES, SIZE) == "b/img1"


def test_links_have_both_names(clips: Path, both: FlowStore, tmp_path: Path) -> None:
    os.symlink(clips / "b" / "img1", tmp_path / "link")
    assert find_source(both, tmp_path / "link", NAMES, SIZE) == "b/img1"


def test_frames_that_were_encoded_anew_are_found(clips: Path, one: FlowStore, tmp_path: Path) -> None:
    folder = tmp_path / "img1"
    shutil.copytree(clips / "a" / "img1", folder)
    for name in NAMES:
        image = cv2.imread(str(folder / name))
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert find_source(one, folder, NAMES, SIZE) == "img1"


def test_other_videos_of_the_same_name_are_refused(clips: Path, both: FlowStore, one: FlowStore) -> None:
    with pytest.raises(AnnotationError, match=r"not those that the flow of video 'img1' was computed from"):
        find_source(one, clips / "c" / "img1", NAMES, SIZE)
    with pytest.raises(
        MissingFlowError, match=r"no flow for video 'img1' .*has: a/img1.* precompute .*c/img1"
    ):
        find_source(both, clips / "c" / "img1", NAMES, SIZE)
    with pytest.raises(FlowCacheError, match=r"of 96 x 64 px, and .*/img1 has frames of 64 x 96 px"):
        find_source(one, clips / "a" / "img1", NAMES, (64, 96))
    with pytest.raises(FlowCacheError, match=r"its frames are not its first ones"):
        find_source(one, clips / "a" / "img1", NAMES[1:], SIZE)


def test_a_video_file_of_the_pictures_may_stand_for_them(clips: Path, one: FlowStore, tmp_path: Path) -> None:
    """Until they are gone; another film of that name and length does not."""

    def film(of: str, frames: int = 3) -> Path:
        file = tmp_path / f"{of}{frames}" / "img1.avi"
        file.parent.mkdir()
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
        for name in NAMES[:frames]:
            writer.write(cv2.imread(str(clips / of / "img1" / name)))
        writer.release()
        return file

    names = tuple(f"{index:06d}" for index in range(3))
    own, other, cut_off = film("a"), film("b"), film("a", frames=2)
    assert find_source(one, own, names, SIZE) == "img1"
    for file, count in ((other, 3), (own, 2), (cut_off, 3)):  # the last one announces more than it holds
        with pytest.raises(FlowCacheError, match=r"img1\.avi is not the video 'img1' whose flow is there"):
            find_source(one, file, names[:count], SIZE)


def test_video_files_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        writer = cv2.VideoWriter(str(tmp_path / name / "walk.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
        for frame in rng.integers(0, 255, (3, 64, 96, 3), dtype=np.uint8):
            writer.write(frame)
        writer.release()
    names = tuple(f"{index:06d}" for index in range(3))
    precompute([tmp_path / "here" / "walk.avi"], tmp_path / "flow.h5", [1])
    with FlowStore(tmp_path / "flow.h5") as store:
        assert find_source(store, tmp_path / "here" / "walk.avi", names, SIZE) == "walk"
        with pytest.raises(FlowCacheError, match=r"there/walk\.avi is not the video 'walk' whose flow is"):
            find_source(store, tmp_path / "there" / "walk.avi", names, SIZE)
    with h5py.File(tmp_path / "flow.h5", "r+") as file:  # as rendered flow has it: no hash of frames
        file["walk"].attrs["source_hash"] = "rendered"
    with FlowStore(tmp_path / "flow.h5") as store:
        assert find_source(store, tmp_path / "there" / "walk.avi", names, SIZE) == "walk"
