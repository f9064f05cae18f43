"""A network of crops answers in the boxes that another network found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from slimdp.__main__ import main
from slimdp.config import CropSettings, DataSource, TrainConfig
from slimdp.data import read_annotations
from slimdp.evaluation import PredictionFile
from slimdp.evaluation.predictions import PredictionFileError, PredictionWriter
from slimdp.inference import FoundPeople, predict_found, predict_people
from slimdp.models import StackedHourglass
from slimdp.structures import BoxSource, DensePoseInstance, ImageRecord

CROP = CropSettings(size=64)


def found(image_id: int, annotation_id: int, box: list[float], score: float) -> DensePoseInstance:
    """Of a network with maps of 8 px, which nobody looks at."""
    one = np.ones((8, 8), dtype=np.uint8)
    affine = np.array([[1.0, 0, 0], [0, 1, 0]])
    uv = np.zeros((2, 8, 8), np.float16)
    return DensePoseInstance(annotation_id, image_id, np.array(box), score, affine, one, uv, one > 0)


def saved(file: Path, people: list[DensePoseInstance]) -> Path:
    with PredictionWriter(file, 8) as writer:
        for person in people:
            writer.write(person)
    return file


@pytest.fixture
def images(ellipses: DataSource) -> tuple[ImageRecord, ...]:
    return read_annotations(ellipses.annotations, ellipses.images).images


@pytest.fixture(scope="module")
def model() -> StackedHourglass:
    torch.manual_seed(0)
    return StackedHourglass(stacks=1, features=16)


def test_it_answers_in_these_boxes_and_keeps_their_scores(
    model: StackedHourglass, images: tuple[ImageRecord, ...], tmp_path: Path
) -> None:
    boxes = {(1, -1): [10.0, 20, 30, 40], (1, -2): [0.0, 0, 96, 96], (3, -1): [50.5, 8, 20, 70]}
    scores = dict(zip(boxes, (0.75, 0.25, 0.5)))
    file = saved(tmp_path / "found.h5", [found(*key, box, scores[key]) for key, box in boxes.items()])
    there = FoundPeople.read(file, images)
    assert {person.box_source for person in there.people} == {BoxSource.TRACKED}
    out = predict_found(model, there, CROP, tmp_path / "p.h5")
    plain = {(p.image_id, p.annotation_id): p for p in predict_people(model, there.people, CROP)}
    with PredictionFile(out) as predictions:
        assert len(predictions) == 3
        for each in predictions:
            key = each.image_id, each.annotation_id
            assert each.score == scores[key]
            assert each.box.tolist() == boxes[key]
            np.testing.assert_array_equal(each.part, plain[key].part)
            np.testing.assert_array_equal(each.crop_from_image, plain[key].crop_from_image)
            assert plain[key].score == 1


def test_nobody_found_is_an_empty_file(
    model: StackedHourglass, images: tuple[ImageRecord, ...], tmp_path: Path
) -> None:
    there = FoundPeople.read(saved(tmp_path / "found.h5", []), images)
    with PredictionFile(predict_found(model, there, CROP, tmp_path / "p.h5")) as predictions:
        assert len(predictions) == 0


def test_people_of_other_pictures_are_refused(images: tuple[ImageRecord, ...], tmp_path: Path) -> None:
    file = saved(tmp_path / "found.h5", [found(77, -1, [1, 2, 3, 4], 0.5)])
    with pytest.raises(ValueError, match=r"found\.h5: somebody was found in image 77, .* none of the 3"):
        FoundPeople.read(file, images)
    file.write_bytes(b"no predictions")
    with pytest.raises(PredictionFileError, match=r"found\.h5 is not a whole HDF5 file"):
        FoundPeople.read(file, images)


def test_a_perfect_finder_scores_as_given_boxes_do(
    straight: tuple[TrainConfig, Path], ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    end = str(straight[1] / "stage_clips.pt")
    content = json.loads(Path(ellipses.annotations).read_text())
    for entry in content["annotations"]:
        entry["category_id"] = 7
    content["categories"][0]["id"] = 7
    Path("labels.json").write_text(json.dumps(content))
    labels = ["--annotations", "labels.json", "--images", ellipses.images]
    assert main(["predict", end, *labels, "--out", "given.h5"]) == 0
    with PredictionFile("given.h5") as given, PredictionWriter("found.h5", given.crop_size) as writer:
        assert given.origin.category_id == 7
        for person in given:
            writer.write(dataclasses.replace(person, annotation_id=-1, score=0.5))
    assert main(["predict", end, *labels, "--boxes", "found.h5", "--out", "p.h5"]) == 0
    scores = {}
    for name in ("given", "p"):
        assert main(["evaluate", "--predictions", f"{name}.h5", *labels, "--out", f"{name}.json"]) == 0
        scores[name] = json.loads(Path(f"{name}.json").read_text())
    assert scores["p"] == scores["given"]
    assert scores["p"]["iou"]["AP"] is not None


def test_boxes_of_two_kinds_are_refused(
    ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "found.h5", [])
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    words = ["predict", "default", *labels, "--boxes", "found.h5", "--given-boxes", "--out", "p.h5"]
    assert main(words) == 2
    assert "give one" in capsys.readouterr().err
    assert not Path("p.h5").exists()
