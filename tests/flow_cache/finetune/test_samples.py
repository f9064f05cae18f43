from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from flow_cache.errors import FlowCacheError
from flow_cache.finetune.augment import change_colours, flip, flying_patches
from flow_cache.finetune.samples import StoredPairs, draw_sample, identity
from flow_cache.finetune.settings import FinetuneSettings
from flow_cache.video import open_video
from flow_cache.writer import FlowWriter


@pytest.fixture
def moving(tmp_path: Path) -> StoredPairs:
    """Frames of 128 x 160 px that move by (2, 1) px each, with their exact flow and masks of a square."""
    folder, masks = tmp_path / "walk", tmp_path / "masks" / "walk"
    folder.mkdir()
    masks.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    for index in range(4):
        cv2.imwrite(str(folder / f"{index:04d}.png"), np.roll(texture, (index, 2 * index), axis=(0, 1)))
        mask = np.zeros((128, 160, 3), np.uint8)
        mask[40:60, 50:80] = 255
        cv2.imwrite(str(masks / f"{index:04d}.png"), mask)

    video = open_video(folder)
    with FlowWriter(tmp_path / "flow.h5") as writer:
        writer.add_video(video.record("exact", "{}", ""), (1, 2))
        for step in (1, 2):
            for frame in range(4 - step):
                flow = np.broadcast_to(np.float32([2 * step, step])[:, None, None], (2, 128, 160)).copy()
                flow[:, :4, :4] = 900  # behind the camera
                writer.write("walk", frame, step, flow)
    return StoredPairs(tmp_path / "flow.h5", Path("masks"))


SETTINGS = FinetuneSettings(crop=128, zoom=(1.0, 1.0), patches_share=0.0)


def test_a_sample_has_the_flow_that_takes_one_picture_to_the_other(moving: StoredPairs) -> None:
    fields = moving.fields()
    assert len(fields) == 5
    field = fields[0]
    assert np.isnan(field.flow_0to1()[:, :4, :4]).all()
    assert (field.flow_0to1((10, 10, 5, 5)) == np.float32([2, 1])[:, None, None]).all()
    there = field.image_0[10:90, 10:90].astype(int) - field.image_1[11:91, 12:92]
    assert np.abs(there).max() == 0


def test_windows_are_scaled_with_their_flow(moving: StoredPairs) -> None:
    settings = FinetuneSettings(crop=128, zoom=(2.0, 2.0), patches_share=0.0)
    for step in range(6):
        sample = draw_sample(moving.fields(), settings, step, 0)
        known = sample.weight > 0
        assert sample.images.shape == (2, 128, 128, 3)
        assert set(np.unique(np.abs(sample.flow_0to1[0][known]))) <= {4.0, 8.0}
        assert set(np.unique(np.abs(sample.flow_0to1[1][known]))) <= {2.0, 4.0}


def test_people_weigh_more_and_draw_the_windows(moving: StoredPairs) -> None:
    settings = FinetuneSettings(crop=128, zoom=(4.0, 4.0), patches_share=0.0, people_share=1.0)
    for step in range(8):
        weight = draw_sample(moving.fields(), settings, step, 0).weight
        assert weight.max() == settings.people_weight
        assert set(np.unique(weight)) <= {0.0, 1.0, settings.people_weight}


def test_the_draw_depends_on_seed_step_and_place_alone(moving: StoredPairs) -> None:
    one, again = (draw_sample(moving.fields(), SETTINGS, 5, 1) for _ in range(2))
    other = draw_sample(moving.fields(), SETTINGS, 6, 1)
    np.testing.assert_array_equal(one.images, again.images)
    assert not np.array_equal(one.images, other.images)


def test_frames_that_are_not_there_are_named(moving: StoredPairs, tmp_path: Path) -> None:
    with pytest.raises(FlowCacheError, match="masks of people are not there; looked at: nowhere"):
        StoredPairs(tmp_path / "flow.h5", Path("nowhere"))
    (tmp_path / "walk").rename(tmp_path / "gone")
    with pytest.raises(FlowCacheError, match="frames of video 'walk' are not there"):
        StoredPairs(tmp_path / "flow.h5")


def test_other_flow_frames_and_masks_are_told_apart(moving: StoredPairs, tmp_path: Path) -> None:
    path, masks = tmp_path / "flow.h5", Path("masks")
    was = identity(moving.fields())
    moving.store.close()

    def changed(masks: Path | None) -> list[str]:
        pairs = StoredPairs(path, masks)
        found = identity(pairs.fields())
        pairs.store.close()
        return [what for what in found if found[what] != was[what]]

    assert changed(masks) == []
    assert changed(None) == ["masks"]
    mask = tmp_path / "masks" / "walk" / "0002.png"
    content = mask.read_bytes()
    mask.write_bytes((tmp_path / "walk" / "0002.png").read_bytes())
    assert changed(masks) == ["masks"]
    mask.unlink()
    with pytest.raises(FlowCacheError, match=r"0002\.png cannot be read"):
        changed(masks)
    mask.write_bytes(content)
    for key, value, told in (
        ("estimator", "dis", ["flow"]),
        ("settings_hash", "5678", ["flow"]),
        ("around", '{"margin": 0.5, "boxes": 1, "boxes_hash": "b"}', ["flow"]),
        ("source_hash", "rendered, seed 3", []),
    ):
        with h5py.File(path, "r+") as file:
            before = file["walk"].attrs[key]
            file["walk"].attrs[key] = value
        assert changed(masks) == told
        with h5py.File(path, "r+") as file:
            file["walk"].attrs[key] = before


def test_frames_of_rendered_flow_are_told_apart_by_what_they_show(
    moving: StoredPairs, tmp_path: Path
) -> None:
    path = tmp_path / "flow.h5"
    moving.store.close()
    with h5py.File(path, "r+") as file:
        file["walk"].attrs["source_hash"] = "rendered, seed 3"  # of which there may be others
    was = identity(StoredPairs(path).fields())
    cv2.imwrite(str(tmp_path / "walk" / "0003.png"), np.zeros((128, 160, 3), np.uint8))
    found = identity(StoredPairs(path).fields())
    assert [what for what in found if found[what] != was[what]] == ["frames"]


def test_flips_keep_the_flow_true(rng: np.random.Generator) -> None:
    """A pixel and its target show the same value before and after, whichever way the pair is mirrored."""
    images = np.zeros((2, 16, 16, 3), np.float32)
    images[0, 4, 3], images[1, 6, 8] = 7, 7
    flow, weight = np.zeros((2, 16, 16), np.float32), np.zeros((16, 16), np.float32)
    flow[:, 4, 3], weight[4, 3] = (5, 2), 1
    seen = set()
    for _ in range(40):
        flipped, flow_0to1, at = flip(rng, images, flow, weight)
        ((y, x),) = np.argwhere(at)
        dx, dy = flow_0to1[:, y, x].astype(int)
        assert flipped[0, y, x, 0] == 7
        assert flipped[1, y + dy, x + dx, 0] == 7
        seen.add((x, y))
    assert seen >= {(3, 4), (12, 4)}


def test_patches_fly_as_their_flow_says(rng: np.random.Generator) -> None:
    """Where the target shows what it should, warping the second picture back gives the first one."""
    noise = rng.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    ground, above = (cv2.GaussianBlur(one, (0, 0), 6) for one in noise)
    images, flow_0to1 = flying_patches(rng, ground, above, 128)
    y, x = np.mgrid[:128, :128].astype(np.float32)
    back = cv2.remap(images[1], x + flow_0to1[0], y + flow_0to1[1], cv2.INTER_LINEAR)
    difference = np.abs(back - images[0]).mean(axis=-1)
    assert np.median(difference) < 1.0
    assert np.hypot(*flow_0to1).max() > 1


def test_colours_stay_in_range_and_the_first_picture_is_never_wiped(rng: np.random.Generator) -> None:
    images = np.full((2, 64, 64, 3), 128, np.float32)
    images[:, ::2] = 90
    for _ in range(10):
        changed = change_colours(rng, images)
        assert changed.shape == images.shape
        assert changed.min() >= 0
        assert changed.max() <= 255
        assert (np.abs(changed[0, 1::2].mean(axis=-1) - changed[0, ::2].mean(axis=-1)).mean()) > 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"crop": 100}, "multiple of 8 px, 128 at least"),
        ({"steps": 0}, "1 or more"),
        ({"rate": 0.0}, "positive"),
        ({"patches_share": 2.0}, "share in 0..1"),
        ({"estimator": "dis"}, "raft_small or raft_large"),
    ],
)
def test_settings_that_cannot_be(change: dict, said: str) -> None:
    with pytest.raises(FlowCacheError, match=said):
        FinetuneSettings(**change)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    settings = FinetuneSettings(steps=100, rate=1.0)
    rates = [settings.rate_at(step) for step in range(100)]
    assert rates[4] == 1.0 == max(rates)
    assert rates[0] == pytest.approx(0.2)
    assert 0 < rates[99] < 0.02
