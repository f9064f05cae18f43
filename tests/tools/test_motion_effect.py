"""The rows of the study of carried labels: what is run, and that nothing is run twice."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from slimdp.config import load_config
from slimdp.data import write_annotations
from slimdp.inference.weights import find_weights
from slimdp.structures import ImageRecord
from slimdp.training import load_checkpoint
from tools import motion_effect


def options(folder: Path, **given: object) -> Namespace:
    words = {
        "data": folder / "six", "flow": folder / "dis.h5", "out": folder / "runs", "reach": 39, "stride": 3,
        "longest_hop": 1, "threshold_px": 15.0, "colour_limit": 14.0, "least_probability": 0.5,
        "weights": None, "steps": None, "agree_cm": 20.0,
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
    assert all(row["steps"] == 1200 for row in rows)
    capsys.readouterr()


def test_with_weights_it_trains_as_fit_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as many steps whatever it learns from."""
    commands: list[list[str]] = []
    labels = tmp_path / "labels.json"
    image = ImageRecord(1, tmp_path, "walk/000005.jpg", 96, 96, "walk", 5)
    write_annotations(labels, [image], [])
    monkeypatch.setattr(motion_effect, "run", commands.append)
    weights = find_weights()
    made = motion_effect.train(options(tmp_path, weights=weights), tmp_path, [labels], seed=3)
    config = load_config(tmp_path / "settings.yaml")
    (stage,) = config.stages
    assert (config.seed, stage.steps, stage.initial_share) == (3, 500, 0.3)
    assert config.model == load_checkpoint(weights).config.model
    assert made == tmp_path / "train" / f"stage_{stage.name}.pt"
    assert commands[0][-2:] == ["--initial", str(weights)]
