"""Keypoints on the body: against hand-computed distances on a flat surface, and through the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.evaluation import (
    EvaluationSet,
    KeypointMetric,
    MetricSettings,
    Predicted,
    PredictionWriter,
    Scorer,
    describe_score,
    evaluate_keypoints,
    ratio_to,
)
from slimdp.settings_file import ConfigError
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.surface.body import BodySurface

NAMES = ("nose", "left_wrist", "right_wrist", "left_knee", "tail")
SIZE = 20


@pytest.fixture
def surface(flat_surface: BodySurface) -> BodySurface:
    """The flat squares with keypoints at corners: the nose in part 1, wrists and knees in one part each.

    A square has nine vertices, 25 cm apart: left_wrist and right_wrist are neighbours of part 4, the knees
    two corners of part 6, 50 cm apart.
    """
    corner = {"nose": 0, "left_wrist": 27, "right_wrist": 28, "left_knee": 45, "right_knee": 47}
    return dataclasses.replace(flat_surface, keypoints=corner)


def person_with(places: list[tuple[float, float, int]]) -> PersonAnnotation:
    """Somebody whose image is the crop, with keypoints x, y, visibility in the order of NAMES."""
    image = ImageRecord(1, Path("a.png"), "a.png", SIZE, SIZE)
    nothing = np.zeros(0, dtype=np.int64)
    return PersonAnnotation(
        7, image, np.array([0.0, 0, SIZE, SIZE]), np.zeros((0, 2)), nothing, np.zeros((0, 2), np.float32),
        nothing, nothing, keypoints=np.array(places, dtype=float), keypoint_names=NAMES,
    )  # fmt: skip


def prediction_of(places: dict[tuple[int, int], tuple[int, float, float]]) -> DensePoseInstance:
    """What says part, u, v at pixels (column, row), part 24 elsewhere, and background everywhere."""
    part, uv = np.full((SIZE, SIZE), 24, np.uint8), np.zeros((2, SIZE, SIZE), np.float16)
    for (column, row), (p, u, v) in places.items():
        part[row, column], uv[:, row, column] = p, (u, v)
    box, nobody = np.array([0.0, 0, SIZE, SIZE]), np.zeros((SIZE, SIZE), dtype=bool)
    return DensePoseInstance(7, 1, box, 1.0, np.eye(2, 3), part, uv, nobody)


def measured(surface: BodySurface, person: PersonAnnotation, predicted: DensePoseInstance) -> KeypointMetric:
    metric = KeypointMetric(MetricSettings(surface, ("keypoints.20cm", "keypoints.swapped")))
    (truth,) = EvaluationSet.of([person]).by_image.values()
    metric.update(truth, Predicted())
    metric.update(truth, Predicted((predicted,)))
    return metric


def test_distances_and_swapped_sides_by_hand(surface: BodySurface) -> None:
    person = person_with([(2, 3, 2), (5.4, 5, 2), (8, 8, 2), (40, 5, 2), (1, 1, 2)])
    # The nose is 15 cm off along u, the left wrist lies where the right one is, the right one where it is,
    # the knee outside of the crop. The surface knows no tail.
    predicted = prediction_of({(2, 3): (1, 0.3, 0), (5, 5): (4, 0.5, 0), (8, 8): (4, 0.5, 0)})
    errors = measured(surface, person, predicted).errors()
    assert errors.name.tolist() == ["nose", "left_wrist", "right_wrist", "left_knee"]
    np.testing.assert_allclose(errors.own_m, [0.15, 0.25, 0, np.inf], atol=2e-4)
    np.testing.assert_allclose(errors.other_m, [0.15, 0, 0.25, np.inf], atol=2e-4)
    scores = errors.as_json()
    assert (scores["10cm"], scores["20cm"], scores["30cm"]) == (25, 50, 75)
    assert scores["swapped"] == pytest.approx(100 / 3)  # one of three that have a side
    assert (scores["count"], scores["sided"]) == (4, 3)
    assert scores["by_keypoint"]["left_wrist"]["swapped"] == 100
    assert scores["by_keypoint"]["nose"]["swapped"] is None
    assert scores["by_person"][0]["annotation_id"] == 7


def test_hidden_keypoints_count_only_where_none_is_marked_visible(surface: BodySurface) -> None:
    predicted = prediction_of({(2, 3): (1, 0, 0)})
    some = measured(surface, person_with([(2, 3, 2), (5, 5, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0)]), predicted)
    assert some.errors().name.tolist() == ["nose"]
    alike = measured(surface, person_with([(2, 3, 1), (5, 5, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0)]), predicted)
    assert alike.errors().name.tolist() == ["nose", "left_wrist"]


def test_scores_are_columns_of_a_study(surface: BodySurface) -> None:
    assert describe_score("keypoints.20cm").everyone
    assert not describe_score("keypoints.swapped").higher_is_better
    for wrong in ("keypoints.near", "keypoints.-5cm", "keypoints.auc10"):
        with pytest.raises(ConfigError, match="no score"):
            describe_score(wrong)
    person = person_with([(2, 3, 2), (5, 5, 2), (8, 8, 2), (0, 0, 0), (0, 0, 0)])
    scorer = Scorer(["keypoints.17cm", "keypoints.swapped"], EvaluationSet.of([person]), surface)
    assert scorer.people == (person,)
    scorer.take([prediction_of({(2, 3): (1, 0.3, 0), (5, 5): (4, 0.5, 0)})])
    found = {name: score.value for name, score in scorer.compute().items()}
    assert found == pytest.approx({"keypoints.17cm": 100 / 3, "keypoints.swapped": 50})


def test_what_cannot_be_measured_is_refused(flat_surface: BodySurface, surface: BodySurface) -> None:
    with pytest.raises(ConfigError, match="does not say where keypoints lie"):
        KeypointMetric(MetricSettings(flat_surface))
    nobody = person_with([(0, 0, 0)] * 5)
    with pytest.raises(ValueError, match="none of the 1 people has a labelled keypoint"):
        measured(surface, nobody, prediction_of({})).errors()
    metric = KeypointMetric(MetricSettings(surface))
    (truth,) = EvaluationSet.of([person_with([(2, 3, 2)] * 5)]).by_image.values()
    metric.update(truth, Predicted())
    with pytest.raises(ValueError, match="no prediction for 1 of 1 people"):
        metric.errors()


def test_ratio_to_a_reference(surface: BodySurface) -> None:
    person = person_with([(2, 3, 2), (5, 5, 2), (8, 8, 2), (0, 0, 0), (0, 0, 0)])
    good = {(2, 3): (1, 0.0, 0.0), (5, 5): (4, 0.0, 0.0), (8, 8): (4, 0.5, 0.0)}
    best = measured(surface, person, prediction_of(good)).errors().as_json()
    worse = measured(surface, person, prediction_of({(2, 3): (1, 0.0, 0.0)})).errors().as_json()
    ratio = ratio_to(worse, best)
    assert ratio["10cm"] == pytest.approx(1 / 3)
    assert ratio["by_keypoint"]["nose"]["10cm"] == 1
    assert ratio["by_keypoint"]["left_wrist"]["20cm"] == 0
    assert ratio_to(best, worse)["by_keypoint"]["left_wrist"]["20cm"] is None


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """COCO JSON of one person with two keypoints, and a prediction of that person."""
    annotation = {
        "id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, SIZE, SIZE], "iscrowd": 0,
        "keypoints": [2, 3, 2, 5, 5, 2],
    }  # fmt: skip
    annotations = tmp_path / "people.json"
    annotations.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png", "width": SIZE, "height": SIZE}],
                "annotations": [annotation],
                "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_wrist"]}],
            }
        )
    )
    with PredictionWriter(tmp_path / "p.h5", SIZE) as writer:
        writer.write(prediction_of({(2, 3): (24, 0.5, 0.5)}))
    return annotations, tmp_path / "p.h5"


def test_the_command(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations, predictions = files
    given = ["evaluate", "--keypoints", "--predictions", f"{predictions}", "--annotations", f"{annotations}"]
    assert main([*given, "--out", f"{tmp_path / 'a.json'}"]) == 0
    scores = json.loads((tmp_path / "a.json").read_text())["keypoints"]
    assert {"10cm", "20cm", "30cm", "swapped", "count"} <= set(scores)
    assert scores["count"] == 2
    assert "wrist" in capsys.readouterr().out
    assert main([*given, "--reference", f"{tmp_path / 'a.json'}", "--out", f"{tmp_path / 'b.json'}"]) == 0
    assert "ratio" in json.loads((tmp_path / "b.json").read_text())["keypoints"]


@pytest.mark.parametrize("missing", ["raise", "wrong"])
def test_predictions_of_other_images_are_refused(
    files: tuple[Path, Path], tmp_path: Path, surface: BodySurface, missing: Literal["raise", "wrong"]
) -> None:
    with PredictionWriter(tmp_path / "other.h5", SIZE) as writer:
        writer.write(dataclasses.replace(prediction_of({}), image_id=2))
    with pytest.raises(ValueError, match=r"image 2: .*people\.json has no such image"):
        evaluate_keypoints(tmp_path / "other.h5", files[0], surface, missing)


def test_the_command_refuses_what_does_not_fit(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], surface: BodySurface
) -> None:
    annotations, predictions = files
    given = ["evaluate", "--predictions", f"{predictions}", "--annotations", f"{annotations}"]
    assert main([*given, "--reference", f"{annotations}"]) == 2
    assert "give --keypoints too" in capsys.readouterr().err
    assert main([*given, "--keypoints", "--curve", str(tmp_path / "curve.csv")]) == 2
    assert "leave out" in capsys.readouterr().err
    assert main([*given, "--keypoints", "--reference", f"{annotations}"]) == 2
    assert "no scores of keypoints" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="DensePose results"):
        evaluate_keypoints(tmp_path / "results.json", annotations, surface)
