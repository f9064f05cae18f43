"""The rows of the study of carried labels: what is run, and that nothing is run twice."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from flow_cache import FlowStore, FlowWriter
from flow_cache.schema import VideoRecord
from slimdp.config import load_config
from slimdp.data import write_annotations
from slimdp.inference.weights import find_weights
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.training import load_checkpoint
from tools import motion_effect


def options(folder: Path, **given: object) -> Namespace:
    words = {
        "data": folder / "six", "flow": folder / "dis.h5", "out": folder / "runs", "reach": 39, "stride": 3,
        "longest_hop": 1, "threshold_px": 15.0, "colour_limit": 14.0, "least_probability": 0.5,
        "weights": None, "steps": None, "agree_cm": 20.0, "labelled": None, "noise_px": 0.0,
        "equivariance": 0.0, "set": [], "also": None,
    }  # fmt: skip
    return Namespace(**{**words, **given})


def test_labels_are_carried_as_the_row_says(tmp_path: Path) -> None:
    def words(check: str) -> str:
        asked = options(tmp_path, reach=7)
        return " ".join(motion_effect.propagate_words(asked, check, Path("a"), Path("b"), Path("c")))

    assert "--steps=-6,-3,3,6 " in words("offset")
    assert words("offset").endswith("--threshold-px 15.0")
    assert "--colour-limit 14.0" in words("colours")
    assert words("learned").endswith("--threshold-px 15.0 --least-probability 0.5")
    assert words("truth").endswith("--least-probability 0 --regions none")
    assert "flow_exact" in words("exact")
    assert "--longest-hop" not in words("exact")


def test_rows_that_are_there_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[tuple[str, int]] = []

    def measure(asked: Namespace, check: str, seed: int) -> dict:
        measured.append((check, seed))
        return {"scores": {}}

    monkeypatch.setattr(motion_effect, "measure", measure)
    command = ["motion_effect", str(tmp_path), "--flow", "dis.h5", "--out", str(tmp_path)]
    command += ["--results", str(tmp_path / "rows.json"), "--checks", "none", "learned", "--seeds", "0", "1"]
    monkeypatch.setattr("sys.argv", command)
    for _ in range(2):
        assert motion_effect.main() == 0
    assert measured == [("none", 0), ("learned", 0), ("none", 1), ("learned", 1)]
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row.get("least_probability") for row in rows] == [None, 0.5, None, 0.5]
    assert [row.get("threshold_px") for row in rows] == [None, 15, None, 15]
    assert all(row["steps"] == 1200 for row in rows)
    capsys.readouterr()


def test_with_weights_it_trains_as_fit_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as many steps whatever it learns from."""
    commands: list[list[str]] = []
    labels = tmp_path / "labels.json"
    image = ImageRecord(1, tmp_path, "walk/000005.jpg", 96, 96, "walk", 5)
    write_annotations(labels, [image], [])
    monkeypatch.setattr(motion_effect, "run", commands.append)
    weights = find_weights(to_fit=True)
    made = motion_effect.train(options(tmp_path, weights=weights), tmp_path, [labels], "none", seed=3)
    config = load_config(tmp_path / "settings.yaml")
    (stage,) = config.stages
    assert (config.seed, stage.steps, stage.initial_share) == (3, 500, 0.3)
    assert config.model == load_checkpoint(weights).config.model
    assert made == tmp_path / "train" / f"stage_{stage.name}.pt"
    assert commands[0][-2:] == ["--initial", str(weights)]


def test_every_row_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """A file of carried labels is taken as it is found."""
    asked = [
        options(tmp_path),
        options(tmp_path, threshold_px=5.0),
        options(tmp_path, labelled=[10, 30]),
        options(tmp_path, equivariance=1.0),
        options(tmp_path, set=["ema_decay=0.9"]),
        options(tmp_path, steps=600),
    ]
    folders = {motion_effect.run_folder(each, "offset", seed) for each in asked for seed in (0, 1)}
    assert len(folders) == 12


def test_warps_and_equivariance_are_settings_of_the_training(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    write_annotations(labels, [ImageRecord(1, tmp_path, "walk/000005.jpg", 96, 96, "walk", 5)], [])
    warped = motion_effect.fit_settings(options(tmp_path), labels, "warps", seed=0)
    assert (warped.stages[0].motion.kind, warped.stages[0].motion.propagate) == ("tps", True)
    held = motion_effect.fit_settings(options(tmp_path, equivariance=0.5), labels, "offset", seed=0)
    assert (held.stages[0].motion.kind, held.stages[0].motion.propagate) == ("flow", False)
    equivariance = held.loss["equivariance"]
    assert (equivariance.weight, equivariance.stop) == (0.5, "first")


def test_points_are_far_from_the_labels_of_their_own_clip() -> None:
    def person(video: str, part: list[int]) -> PersonAnnotation:
        image = ImageRecord(1, Path(), f"{video}/000000.jpg", 64, 64, video, 0)
        return PersonAnnotation(
            id=1, image=image, box=np.array([0.0, 0, 60, 60]), points=np.full((len(part), 2), 9.0),
            part=np.array(part), uv=np.full((len(part), 2), 0.5), source=np.ones(len(part), np.int64),
            step=np.zeros(len(part), np.int64),
        )  # fmt: skip

    people = [person("walk", [1, 3, 1]), person("run", [1, 3])]
    labelled = [person("walk", [1]), person("run", [3]), person("run", [4])]
    assert motion_effect.far_from_labels(people, labelled, 0.05).tolist() == [False, True, False, True, False]
    nobody = motion_effect.far_from_labels([*people, person("swim", [5, 6])], labelled, 0.05)
    assert nobody.tolist() == [False, True, False, True, False, True, True]


def test_spoiled_flow_is_as_far_off_as_it_says(tmp_path: Path) -> None:
    store = tmp_path / "dis.h5"
    names = tuple(f"{frame:06}.jpg" for frame in range(3))
    record = VideoRecord("walk", 64, 48, names, "some", "hash", "dis", "{}", "settings")
    with FlowWriter(store) as writer:
        writer.add_video(record, (1,))
        for frame in range(2):
            writer.write("walk", frame, 1, np.full((2, 48, 64), 3.0, np.float32))
    spoiled = motion_effect.spoiled_flow(store, 2.0, tmp_path / "runs")
    with FlowStore(spoiled) as noisy:
        first, second = (noisy.read("walk", frame, 1).displacement - 3 for frame in range(2))
        assert json.loads(noisy.record("walk").settings) == {"noise_px": 2.0}
    assert np.allclose([first.std(), second.std()], 2, atol=0.05)
    assert np.abs(np.diff(first, axis=2)).mean() < 0.3, "it is smooth"
    assert np.abs(first - second).mean() > 1, "each field has its own"
    assert motion_effect.spoiled_flow(store, 2.0, tmp_path / "runs") == spoiled
