from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.synthetic.assets import AssetError, Assets, find_assets, fingerprint, split_assets
from tests.synthetic.bvh_text import bvh_text


def image(path: Path, side: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((side, side, 3), 99, np.uint8))
    return path


def test_pictures_and_motions_are_found_in_order_at_any_depth(tmp_path: Path) -> None:
    images = [image(tmp_path / "pictures" / name) for name in ("a/z.jpg", "b.png", "c/d/e.JPG")]
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    motion = tmp_path / "motions" / "walk.BVH"
    motion.parent.mkdir()
    motion.write_text("\ufeff" + bvh_text([{}, {}]))
    assert find_assets(tmp_path / "pictures", tmp_path / "motions") == Assets(tuple(images), (motion,))
    assert find_assets() == Assets()


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"nowhere: no such folder; --backgrounds wants .*\.png"):
        find_assets(tmp_path / "nowhere")
    file = image(tmp_path / "one.png")
    with pytest.raises(AssetError, match=r"one\.png is a file; --backgrounds wants"):
        find_assets(file)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    with pytest.raises(AssetError, match="none of its 1 files"):
        find_assets(tmp_path / "texts")
    with pytest.raises(AssetError, match=r"--motions wants a folder with \.bvh files"):
        find_assets(motions=tmp_path / "texts")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    image(tmp_path / "good.png")
    whole = image(tmp_path / "bad.png", side=80)
    whole.write_bytes(whole.read_bytes()[:60])
    with pytest.raises(AssetError, match=r"bad\.png is cut off"):
        find_assets(tmp_path)
    whole.write_text("no picture at all")
    with pytest.raises(AssetError, match=r"bad\.png"):
        find_assets(tmp_path)


def test_a_picture_too_small_to_stand_before_is_named(tmp_path: Path) -> None:
    image(tmp_path / "small.png", side=40)
    with pytest.raises(AssetError, match=r"small\.png has 40 x 40 px, but 64 x 64"):
        find_assets(tmp_path)


def test_a_file_that_is_no_bvh_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text("MOTION\nFrames: 2\n")
    with pytest.raises(AssetError, match=r"a\.bvh.*HIERARCHY"):
        find_assets(motions=tmp_path)
    (tmp_path / "a.bvh").write_text(bvh_text([{}, {}], rename={"LeftUpLeg": "tentacle"}))
    with pytest.raises(AssetError, match=r"a\.bvh: .*tentacle"):
        find_assets(motions=tmp_path)
    (tmp_path / "a.bvh").write_text(bvh_text([{}, {}], scale=0))
    with pytest.raises(AssetError, match=r"a\.bvh: .*no length"):
        find_assets(motions=tmp_path)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    if os.access(closed, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(AssetError, match="closed: cannot be read"):
        find_assets(tmp_path)


@pytest.mark.parametrize(("count", "val"), [(0, []), (1, [0]), (2, [1]), (4, [3]), (5, [4]), (11, [4, 9])])
def test_no_file_is_in_training_and_in_validation(count: int, val: list[int]) -> None:
    files = tuple(Path(f"{number:02d}.jpg") for number in range(count))
    train_side, val_side = split_assets(Assets(backgrounds=files))
    assert val_side.backgrounds == tuple(files[number] for number in val)
    if count > 1:
        assert set(train_side.backgrounds) | set(val_side.backgrounds) == set(files)
        assert not set(train_side.backgrounds) & set(val_side.backgrounds)
        assert train_side.backgrounds
    else:
        assert train_side.backgrounds == files


def test_a_fingerprint_knows_files_but_not_their_place(tmp_path: Path) -> None:
    here, there = (image(tmp_path / place / "a.png") for place in ("here", "there"))
    assert fingerprint([here]) == fingerprint([there])
    assert fingerprint([here]) != fingerprint([image(tmp_path / "a.png", side=90)])
    assert fingerprint([]) == "none"


def test_a_fingerprint_knows_content_of_the_same_size(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text("1")
    before = fingerprint([tmp_path / "a.bvh"])
    (tmp_path / "a.bvh").write_text("2")
    assert fingerprint([tmp_path / "a.bvh"]) != before
