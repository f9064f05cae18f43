from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import FlowStore
from slimdp.data import read_annotations
from slimdp.motion import propagate
from slimdp.surface import load_surface
from slimdp.synthetic import dataset
from slimdp.synthetic.dataset import PRESETS, SetPlan, synthesize, synthesize_preset

SMALL = SetPlan(2, 1, 1, 4, (1,), 3, (0, 2), 96)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("rendered") / "set", SMALL, seed=3, quiet=True)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".h5"
    }


def test_the_project_s_readers_read_it(rendered: Path) -> None:
    stills = read_annotations(rendered / "stills_train.json", rendered)
    assert len(stills.images) == 2
    assert all(len(person.points) > 10 for person in stills.people)
    clips = read_annotations(rendered / "clips_train.json", rendered)
    assert [image.labelled for image in clips.images] == [False, True, False, False]
    assert {person.image.frame for person in clips.people} == {1}
    assert {person.image.video for person in clips.people} == {"train_00000"}
    val = read_annotations(rendered / "clips_val.json", rendered)
    assert {person.image.frame for person in val.people} <= {0, 2}


def test_the_true_map_agrees_with_the_points(rendered: Path) -> None:
    for person in read_annotations(rendered / "stills_train.json", rendered).people:
        name = Path(person.image.file_name).relative_to("images").with_suffix(".png")
        iuv = cv2.imread(str(rendered / "iuv" / name))[..., ::-1]
        x, y = np.rint(person.points).astype(int).T
        np.testing.assert_array_equal(iuv[y, x, 0], person.part)
        np.testing.assert_allclose(iuv[y, x, 1:] / 255, person.uv, atol=0.5 / 255 + 1e-6)


def test_the_same_seed_gives_the_same_bytes_with_more_processes(rendered: Path, tmp_path: Path) -> None:
    again = synthesize(tmp_path / "again", SMALL, seed=3, processes=2, quiet=True)
    assert digest(again) == digest(rendered)
    assert json.loads((again / "dataset.json").read_text())["seed"] == 3
    # HDF5 files carry times of writing; their fields must agree.
    with FlowStore(again / "flow_exact") as one, FlowStore(rendered / "flow_exact") as other:
        assert one.videos() == other.videos() == ("train_00000",)
        for frame, step in ((0, 1), (3, -3)):
            fields = [store.read("train_00000", frame, step).displacement for store in (one, other)]
            np.testing.assert_array_equal(*fields)


def test_a_set_where_nobody_can_be_seen_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody was seen"):
        synthesize(tmp_path / "tiny", replace(SMALL, size=8, train_clips=0, val_clips=0), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_labels_carried_along_the_exact_flow_stay_on_their_points(rendered: Path) -> None:
    """The issue's measure: the rendered truth at the place where a label arrives is the label itself."""
    surface = load_surface("open")
    labelled = read_annotations(rendered / "clips_train.json", rendered, read_masks=True)
    carried, summary = propagate(labelled, FlowStore(rendered / "flow_exact"), (-1, 1, 2))
    assert summary.labels > 0
    size = replace(SMALL, labelled=(0, 1, 2, 3), train_clips=1, stills=0, val_clips=0)
    truth = synthesize(rendered.parent / "all_labelled", size, seed=3, exact=False, quiet=True)
    errors = []
    for person in carried.people:
        if person.step.any():
            name = Path(person.image.file_name).relative_to("images").with_suffix(".png")
            iuv = cv2.imread(str(truth / "iuv" / name))[..., ::-1]
            x, y = np.rint(person.points).astype(int).T
            seen = iuv[y, x, 0] > 0
            there = surface.locate(iuv[y, x, 0][seen], iuv[y, x, 1:][seen] / 255)
            label = surface.locate(person.part[seen], person.uv[seen])
            errors.append(surface.geodesic_distance(*there, *label))
    error_m = np.concatenate(errors)
    assert len(error_m) > 100
    assert np.median(error_m) < 0.015  # half a pixel of 96 and half a step of 255
    assert np.mean(error_m < 0.06) > 0.95


def test_nothing_is_overwritten_and_nothing_half_made_is_left(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileExistsError, match="remove it"):
        synthesize(rendered, SMALL)
    monkeypatch.setattr(dataset, "write_annotations", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        synthesize(tmp_path / "broken", replace(SMALL, stills=1, train_clips=0, val_clips=0), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_unknown_presets_and_process_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=", ".join(PRESETS)):
        synthesize_preset(tmp_path / "x", "huge")
    with pytest.raises(ValueError, match="processes = 0"):
        synthesize_preset(tmp_path / "x", "smoke", processes=0)
