"""A category with six charts, from its mesh to scores, by the settings and commands of people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from slimdp.__main__ import main
from slimdp.data import AnnotationError, read_annotations, write_annotations
from slimdp.evaluation import PredictionFile
from slimdp.settings_file import dump_yaml
from slimdp.surface import PEOPLE, BodySurface, load_surface, load_symmetry
from slimdp.training import load_model
from slimdp.training.checkpoint import load_checkpoint, save_checkpoint
from tests.box_animal import HALF, LAYOUT, box_person, write_box_surface
from tests.made_once import made_once

TRAINED, TESTED = range(1, 25), range(101, 107)


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the surface, labels to train and to test with, and settings; only read it."""

    def make(folder: Path) -> None:
        surface = load_surface(write_box_surface(folder / "surface"))
        assert isinstance(surface, BodySurface)
        for name, numbers in (("train", TRAINED), ("test", TESTED)):
            people = [box_person(folder, surface, number) for number in numbers]
            write_annotations(folder / f"{name}.json", [person.image for person in people], people)
        source = {"annotations": str(folder / "train.json"), "images": str(folder)}
        stage = {"name": "boxes", "data": [source], "steps": 150, "batch": 8, "learning_rate": 4.0e-3}
        settings = {
            "surface": str(folder / "surface"),
            "model": {"stacks": 1, "features": 16, "keypoints": list(LAYOUT.keypoints)},
            "crop": {"size": 64},
            "augment": {"flip": True, "rotation_deg": 0.0},
            "loss": {"keypoint_part": 0.1, "keypoint_uv": 0.1},
            "stages": [stage],
            "validation": {"data": [source], "every": 150, "people": 4},
            "ema_decay": 0.9,
            "log_every": 50,
            "images_every": 150,
        }
        (folder / "train.yaml").write_text(dump_yaml(settings))
        assert main(["train", str(folder / "train.yaml"), "--out", str(folder / "run")]) == 0

    return made_once(tmp_path_factory, "animals", make)


@pytest.fixture(scope="module")
def predicted(animals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("boxes") / "p.h5"
    files = ["--annotations", str(animals / "test.json"), "--images", str(animals)]
    command = ["predict", str(animals / "run" / "stage_boxes.pt"), "--flip-test", "--out", str(out)]
    assert main([*command, *files]) == 0
    return out


def test_distances_on_the_mesh(animals: Path) -> None:
    surface = load_surface(animals / "surface")
    part = np.array([1, 3, 5])
    uv = np.full((3, 2), 0.5)
    # From the middles of the left side, the top and the front to those of the top, the front and the left:
    # over one edge each.
    found = surface.distance_between(part, uv, np.roll(part, -1), uv)
    wanted = [HALF[0] + HALF[1], HALF[1] + HALF[2], HALF[0] + HALF[2]]
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert surface.layout == LAYOUT
    assert isinstance(surface, BodySurface)
    place = surface.vertices[surface.keypoints["left_ear"]]
    np.testing.assert_allclose(place, HALF)


def test_mirror_images_lie_across_the_middle(animals: Path) -> None:
    surface, rng = load_surface(animals / "surface"), np.random.default_rng(0)
    assert isinstance(surface, BodySurface)
    part, uv = rng.integers(1, 7, 200), rng.random((200, 2))
    flipped = load_symmetry(animals / "surface").flip(part, uv)
    here, there = (surface.positions(*surface.locate(*labels)) for labels in ((part, uv), flipped))
    np.testing.assert_allclose(there, here * [-1, 1, 1], atol=1e-6)


def test_labels_come_back_with_their_parts(animals: Path) -> None:
    content = json.loads((animals / "train.json").read_text())
    assert content["categories"][0]["dp_layout"] == LAYOUT.as_json()
    assert len(content["annotations"][0]["dp_masks"]) == 3
    for layout in (None, LAYOUT):
        people = read_annotations(animals / "train.json", animals, layout=layout).people
        assert {person.layout for person in people} == {LAYOUT}
    with pytest.raises(AnnotationError, match=r"dp_layout: .* of 24 parts .* but this file of 6 parts"):
        read_annotations(animals / "train.json", animals, layout=PEOPLE)


def test_a_file_without_a_layout_speaks_of_the_surface(animals: Path, tmp_path: Path) -> None:
    content = json.loads((animals / "test.json").read_text())
    del content["categories"][0]["dp_layout"]
    content["annotations"][0]["dp_I"][0] = 7
    (tmp_path / "bare.json").write_text(json.dumps(content))
    assert read_annotations(tmp_path / "bare.json", animals).people[0].layout == PEOPLE
    with pytest.raises(AnnotationError, match=r"dp_I: entry 0 is 7, outside 1\.\.6"):
        read_annotations(tmp_path / "bare.json", animals, layout=LAYOUT)


def test_a_network_learns_the_parts(animals: Path, predicted: Path, tmp_path: Path) -> None:
    model, _ = load_model(animals / "run" / "stage_boxes.pt")
    with PredictionFile(predicted) as file:
        assert file.layout == LAYOUT
        found = list(file)
    assert {int(each.part.max()) for each in found} <= set(range(1, 7))
    scores = tmp_path / "scores.json"
    command = ["evaluate", "--predictions", str(predicted), "--annotations", str(animals / "test.json")]
    assert main([*command, "--surface", str(animals / "surface"), "--out", str(scores)]) == 0
    content = json.loads(scores.read_text())
    # Sides are 40 to 100 cm long: whoever guesses is that near for less than a fifth of the points.
    assert content["points"]["localization"]["20cm"] > 35
    assert set(content["points"]["parts"]) <= set(LAYOUT.part_names[1:])
    assert content["gpsm"]["AP50"] > 50
    assert content["gps"]["AP"] > 0
    assert model.state_dict()["stacks.0.to_maps.bias"].shape == (7 + 6 + 6 + 4,)


def test_pairs_of_warped_crops(animals: Path, tmp_path: Path) -> None:
    changes = ["motion.kind=tps", "loss.equivariance=0.1", "stages.0.steps=3", "stages.0.batch=2"]
    command = ["train", str(animals / "train.yaml"), "--out", str(tmp_path / "run")]
    assert main([*command, *(word for change in changes for word in ("--set", change))]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any(np.isfinite(row.get("loss/stack0/equivariance", np.nan)) for row in rows), rows


def test_results_of_other_tools(animals: Path, predicted: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    assert main(["results", "--predictions", str(predicted), "--out", str(results)]) == 0
    command = ["evaluate", "--predictions", str(results), "--annotations", str(animals / "test.json")]
    assert main([*command, "--surface", str(animals / "surface"), "--out", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["gpsm"]["AP50"] > 50


@pytest.mark.parametrize("command", ["evaluate", "draw", "surface", "budget", "doctor"])
def test_commands_take_it(animals: Path, predicted: Path, tmp_path: Path, command: str) -> None:
    labels = ["--annotations", str(animals / "test.json"), "--images", str(animals)]
    out = tmp_path / ("out.json" if command == "budget" else "out.png")
    if command == "surface":
        assert (
            main(["surface", "--surface", str(animals / "surface"), "--height", "240", "--out", str(out)])
            == 0
        )
        assert cv2.imread(str(out)).shape[0] > 200
    elif command == "draw":
        assert main(["draw", *labels, "--predictions", str(predicted), "--out", str(out)]) == 0
    elif command == "budget":
        assert main(["budget", *labels, "--keep-points", "0.5", "--out", str(out)]) == 0
        assert {person.layout for person in read_annotations(out, animals).people} == {LAYOUT}
    elif command == "doctor":
        assert main(["doctor", str(animals)]) == 0
    else:  # people's surface is refused
        assert main(["evaluate", *labels, "--predictions", str(predicted)]) != 0


def test_weights_of_other_parts_are_refused(
    animals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["train", str(animals / "train.yaml"), "--out", str(tmp_path / "run")]
    checkpoint = load_checkpoint(animals / "run" / "stage_boxes.pt")
    assert checkpoint.layout == LAYOUT
    save_checkpoint(tmp_path / "other.pt", replace(checkpoint, layout=PEOPLE))
    assert main([*start, "--initial", str(tmp_path / "other.pt")]) != 0
    said = capsys.readouterr().err
    assert "of 6 parts in 3" in said
    assert "other.pt of 24 parts in 14" in said


def test_files_from_before_surfaces_said_their_parts(animals: Path, predicted: Path, tmp_path: Path) -> None:
    content = torch.load(animals / "run" / "stage_boxes.pt", weights_only=True)
    del content["layout"]
    torch.save(content, tmp_path / "old.pt")
    assert load_checkpoint(tmp_path / "old.pt").layout == PEOPLE
    old = tmp_path / "old.h5"
    old.write_bytes(predicted.read_bytes())
    with h5py.File(old, "r+") as file:
        del file.attrs["layout"]
    with PredictionFile(old) as predictions:
        assert predictions.layout == PEOPLE
        assert len(list(predictions)) == len(TESTED)
