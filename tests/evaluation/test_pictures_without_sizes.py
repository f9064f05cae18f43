"""PoseTrack 2018 gives no width and height: commands that open no picture find the sizes with --images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.data import write_annotations
from slimdp.evaluation import PredictionWriter


@pytest.fixture
def labels(perfect_pair: Any, tmp_path: Path) -> Path:
    """An annotation file without sizes, beside `found.h5`; the picture is not among the folders around it."""
    person, predicted = perfect_pair()
    person = dataclasses.replace(
        person,
        image=dataclasses.replace(person.image, video="v", frame=1),
        keypoints=np.array([[30.0, 20.0, 2.0], [40.0, 20.0, 2.0]]),
        keypoint_names=("left_shoulder", "right_shoulder"),
    )
    folder, pictures = tmp_path / "labels", tmp_path / "pictures"
    folder.mkdir()
    pictures.mkdir()
    cv2.imwrite(str(pictures / person.image.file_name), np.zeros((60, 80, 3), np.uint8))
    file = folder / "people.json"
    write_annotations(file, [person.image], [person])
    content = json.loads(file.read_text())
    for image in content["images"]:
        del image["width"], image["height"]
    file.write_text(json.dumps(content))
    with PredictionWriter(folder / "found.h5", len(predicted.part)) as writer:
        writer.write(predicted)
    return file


@pytest.mark.parametrize(
    "command",
    [
        "evaluate --predictions found.h5 --annotations people.json --score parts.fine",
        "evaluate --predictions found.h5 --annotations people.json --keypoints --score parts.fine",
        "evaluate --predictions results.json --annotations people.json",
        "annotators --annotations people.json --truth people.json",
        "merge people.json people.json --out out.json",
        "exam --annotations people.json --out out.json",
        "budget --annotations people.json --keep-points 0.5 --out out.json",
    ],
)
def test_images_tell_the_sizes(
    labels: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(labels.parent)
    if "results.json" in command:
        assert main(["results", "--predictions", "found.h5", "--out", "results.json"]) == 0
    assert main([*command.split(), "--images", str(labels.parent.parent / "pictures")]) == 0, (
        capsys.readouterr().err
    )
    if "out.json" in command:
        (image,) = json.loads((labels.parent / "out.json").read_text())["images"]
        assert (image["width"], image["height"]) == (80, 60)
    if "budget" not in command:  # which demands the folder
        capsys.readouterr()
        assert main(command.split()) == 2
        assert "name the pictures' folder" in capsys.readouterr().err


def test_a_merge_replaces_none_of_the_pictures(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = labels.parent.parent / "pictures"
    picture = next(pictures.iterdir())
    command = ["merge", str(labels), str(labels), "--images", str(pictures), "--picture", str(picture)]
    assert main(command) == 2
    assert "which would be lost" in capsys.readouterr().err
