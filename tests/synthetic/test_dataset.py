from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import FlowStore
from flow_cache.images import ImageError
from slimdp.data import read_annotations
from slimdp.motion import propagate
from slimdp.surface import load_surface
from slimdp.synthetic import items
from slimdp.synthetic.dataset import PRESETS, synthesize, synthesize_preset
from slimdp.synthetic.exact_flow import read_visible
from tests.made_once import TEST_SEED
from tests.small_sets import small_plan

SMALL = small_plan(
    stills=2, train_clips=1, val_clips=1, labelled=(1,), val_frames=3, val_labelled=(0, 2), val_stills=1
)
SEED = 3 + TEST_SEED


@pytest.fixture(scope="module")
def rendered(remembered_scenes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("rendered") / "set", SMALL, seed=SEED, quiet=True)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_project_s_readers_read_it(rendered: Path) -> None:
    stills = read_annotations(rendered / "stills_train.json", rendered)
    assert len(stills.images) == 2
    assert all(len(person.points) > 10 for person in stills.people)
    other = read_annotations(rendered / "stills_val.json", rendered)
    assert len(other.images) == 1
    assert other.people
    assert not {image.id for image in other.images} & {image.id for image in stills.images}
    assert not {person.id for person in other.people} & {person.id for person in stills.people}
    clips = read_annotations(rendered / "clips_train.json", rendered)
    assert [image.labelled for image in clips.images] == [False, True, False, False]
    assert {person.image.frame for person in clips.people} == {1}
    assert {person.image.video for person in clips.people} == {"train_00000"}
    val = read_annotations(rendered / "clips_val.json", rendered)
    assert {person.image.frame for person in val.people} <= {0, 2}


def test_the_true_map_agrees_with_the_points(rendered: Path) -> None:
    people = [
        person
        for name in ("stills_train", "clips_train", "clips_val", "stills_val")
        for person in read_annotations(rendered / f"{name}.json", rendered).people
    ]
    assert people
    for person in people:
        name = Path(person.image.file_name).relative_to("images").with_suffix(".png")
        iuv = cv2.imread(str(rendered / "iuv" / name))[..., ::-1]
        x, y = np.rint(person.points).astype(int).T
        np.testing.assert_array_equal(iuv[y, x, 0], person.part)
        np.testing.assert_allclose(iuv[y, x, 1:] / 255, person.uv, atol=0.5 / 255 + 1e-6)


@pytest.mark.usefixtures("forked_workers")
def test_the_same_seed_gives_the_same_bytes_with_more_processes(rendered: Path, tmp_path: Path) -> None:
    again = synthesize(tmp_path / "again", SMALL, seed=SEED, processes=2, quiet=True)
    assert digest(again) == digest(rendered)
    assert json.loads((again / "dataset.json").read_text())["seed"] == SEED
    with FlowStore(again / "flow_exact") as one, FlowStore(rendered / "flow_exact") as other:
        assert one.videos() == other.videos() == ("train_00000",)
        for frame, step in ((0, 1), (3, -3)):
            fields = [store.read("train_00000", frame, step).displacement for store in (one, other)]
            np.testing.assert_array_equal(*fields)


def test_a_set_where_nobody_can_be_seen_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "_MOST_TRIES", 2)
    with pytest.raises(ValueError, match="nobody was seen"):
        synthesize(tmp_path / "tiny", SMALL.replace(size=8, train_clips=0, val_clips=0), quiet=True)
    assert list(tmp_path.iterdir()) == []  # there is nothing to go on with


def test_what_is_marked_as_visible_is_there(rendered: Path) -> None:
    """A pixel that stays in sight ends on its own part of the body, or on a neighbour at an edge."""

    def part(frame: int) -> np.ndarray:
        return cv2.imread(str(rendered / f"iuv/clips/train_00000/{frame:06d}.png"))[..., 2]

    with FlowStore(rendered / "flow_exact") as store:
        for frame, step in ((1, 1), (3, -2)):
            visible = read_visible(rendered / f"visible/train_00000/{frame:06d}.png", step)
            assert visible.shape == (96, 96)
            y, x = np.nonzero(visible & (part(frame) > 0))
            assert len(x) > 200
            flow = store.read("train_00000", frame, step).displacement[:, y, x]
            to_x, to_y = np.rint([x + flow[0], y + flow[1]]).astype(int)
            around = np.pad(part(frame + step), 1)
            near = [around[to_y + dy, to_x + dx] for dy in range(3) for dx in range(3)]
            assert np.mean((np.array(near) == part(frame)[y, x]).any(axis=0)) > 0.97
    for frame, step in ((0, -1), (3, 1), (2, 3)):  # past the ends of the clip
        assert not read_visible(rendered / f"visible/train_00000/{frame:06d}.png", step).any()


def test_bits_of_visible_are_read_by_step(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.array([[0, 1, 4, 32, 33]], dtype=np.uint8))
    assert read_visible(path, -3).tolist() == [[False, True, False, False, True]]
    assert read_visible(path, -1).tolist() == [[False, False, True, False, False]]
    assert read_visible(path, 3).tolist() == [[False, False, False, True, True]]
    with pytest.raises(ValueError, match=r"step 4, but one of -3, -2, -1, \+1, \+2, \+3"):
        read_visible(path, 4)
    assert cv2.imwrite(str(path), np.zeros((3, 3, 3), dtype=np.uint8))
    with pytest.raises(ImageError, match="one channel is wanted"):
        read_visible(path, 1)


def test_pictures_do_not_depend_on_what_is_labelled(rendered: Path, tmp_path: Path) -> None:
    plan = SMALL.replace(labelled=(0, 3), stills=0, val_clips=0, val_stills=0, annotator_error=1.0)
    other = synthesize(tmp_path / "other", plan, seed=SEED, exact=False, quiet=True)
    frames = sorted((other / "images").rglob("*.jpg"))
    assert len(frames) == SMALL.frames
    for frame in frames:
        assert frame.read_bytes() == (rendered / frame.relative_to(other)).read_bytes()


def test_an_annotator_s_error_is_in_training_only(rendered: Path, tmp_path: Path) -> None:
    wrong = synthesize(
        tmp_path / "wrong", SMALL.replace(annotator_error=1.0), seed=SEED, exact=False, quiet=True
    )

    def same(name: str) -> np.ndarray:
        """Of all people who have as many points in both: which numbers are the same. Who errs loses some."""
        both = zip(*(read_annotations(folder / name, folder).people for folder in (wrong, rendered)))
        pairs = [(one.uv, other.uv) for one, other in both]
        return np.concatenate([(one == other).ravel() for one, other in pairs if one.shape == other.shape])

    assert same("clips_val.json").all()
    for name in ("stills_train.json", "clips_train.json"):
        assert same(name).mean() < 0.5


def test_every_frame_may_be_labelled_too_and_changes_nothing_else(rendered: Path, tmp_path: Path) -> None:
    other = synthesize(tmp_path / "other", SMALL.replace(every_frame=True), seed=SEED, quiet=True)
    added = {"clips_train_every_frame.json", "dataset.json"}
    without, there = digest(rendered), digest(other)
    assert {name for name in there if there[name] != without.get(name)} == added
    few, all_frames = (
        read_annotations(other / name, other) for name in ("clips_train.json", "clips_train_every_frame.json")
    )
    assert [image.labelled for image in all_frames.images] == [True] * SMALL.frames
    assert {person.image.frame for person in all_frames.people} == set(range(SMALL.frames))
    same = {(person.image.id, person.id): person for person in all_frames.people}
    for person in few.people:
        twin = same[person.image.id, person.id]
        np.testing.assert_array_equal(twin.points, person.points)
        np.testing.assert_array_equal(twin.uv, person.uv)


def test_labels_propagated_along_the_exact_flow_stay_on_their_points(rendered: Path) -> None:
    """The issue's measure: the rendered truth at the place where a label arrives is the label itself."""
    surface = load_surface("open")
    labelled = read_annotations(rendered / "clips_train.json", rendered, read_masks=True)
    propagated, summary = propagate(labelled, FlowStore(rendered / "flow_exact"), (-1, 1, 2))
    assert summary.labels > 0
    errors = []
    for person in propagated.people:
        if person.step.any():
            name = Path(person.image.file_name).relative_to("images").with_suffix(".png")
            iuv = cv2.imread(str(rendered / "iuv" / name))[..., ::-1]
            x, y = np.rint(person.points).astype(int).T
            seen = iuv[y, x, 0] > 0
            there = surface.locate(iuv[y, x, 0][seen], iuv[y, x, 1:][seen] / 255)
            label = surface.locate(person.part[seen], person.uv[seen])
            errors.append(surface.geodesic_distance(*there, *label))
    error_m = np.concatenate(errors)
    assert len(error_m) > 100
    assert np.median(error_m) < 0.015  # half a pixel of 96 and half a step of 255
    assert np.mean(error_m < 0.06) > 0.95


def test_unknown_presets_and_process_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=", ".join(PRESETS)):
        synthesize_preset(tmp_path / "x", "huge")
    with pytest.raises(ValueError, match="processes = 0"):
        synthesize_preset(tmp_path / "x", "smoke", processes=0)
