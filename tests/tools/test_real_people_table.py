"""The tables of real people: labels out of DensePose's result, and what stands in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.json_file import read_json
from slimdp.data import read_annotations
from slimdp.evaluation import KeypointErrors, read_results
from slimdp.structures import ImageRecord, PersonAnnotation
from tools.real_people_table import (
    keypoint_table,
    mark_hidden,
    person_table,
    told_of,
    write_result_as_labels,
)


def test_a_result_becomes_labels_where_it_sees_the_person(samples: Path, tmp_path: Path) -> None:
    results, images = samples / "densepose" / "results_785.json", samples / "coco"
    write_result_as_labels(results, images, tmp_path / "labels.json", grid=9)
    (person,) = read_annotations(tmp_path / "labels.json", images).people
    (detection,) = read_results(results)
    assert len(person.part) > 200
    corner = np.floor(detection.box[:2])
    column, row = np.rint(person.points - corner).astype(int).T
    np.testing.assert_array_equal(person.part, detection.iuv[0, row, column])
    np.testing.assert_allclose(person.uv, detection.iuv[1:, row, column].T / 255, atol=1e-6)


def test_hidden_keypoints_are_marked(tmp_path: Path) -> None:
    people = {
        "categories": [{"id": 1, "keypoints": ["left_wrist", "left_knee"]}],
        "annotations": [{"id": 7, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}],
    }
    file, out = tmp_path / "people.json", tmp_path / "seen.json"
    write_json(file, people)
    mark_hidden(file, {"7": ["left_knee"]}, out)
    assert read_json(out)["annotations"][0]["keypoints"] == [1, 2, 2, 3, 4, 1]
    for wrong in ({"7": ["nose"]}, {"8": ["left_knee"]}):
        with pytest.raises(SystemExit, match="is not labelled there"):
            mark_hidden(file, wrong, out)


def errors() -> KeypointErrors:
    """Two people: a wrist at 5 cm and a knee at 25 cm of one, a wrist of the other that is swapped."""
    nothing = np.zeros(0, dtype=np.int64)
    image = ImageRecord(1, Path("a.png"), "images/a.png", 20, 20)
    people = tuple(
        PersonAnnotation(
            identity, image, np.array([0.0, 0, 20, 20]), np.zeros((0, 2)), nothing,
            np.zeros((0, 2), np.float32), nothing, nothing,
        )
        for identity in (7, 8)
    )  # fmt: skip
    own, other = np.array([0.05, 0.25, 0.9]), np.array([0.8, 0.7, 0.1])
    names = np.array(["left_wrist", "left_knee", "left_wrist"])
    return KeypointErrors(own, other, np.ones(3, dtype=bool), names, np.array([0, 0, 1]), people)


def test_people_stand_beside_rendered_ones_at_the_same_keypoints() -> None:
    rendered = {"by_keypoint": {"left_wrist": {"20cm": 80.0}, "left_knee": {"20cm": 60.0}}}
    lines = list(person_table(errors(), rendered))
    assert lines[2:] == ["| a 7 | 2 | 50.0 | 0.0 | 70.0 | 0.71 |", "| a 8 | 1 | 0.0 | 100.0 | 80.0 | 0.00 |"]


def test_keypoints_stand_beside_rendered_ones() -> None:
    scores = {"keypoints": errors().as_json()}
    rendered = {"keypoints": {"by_keypoint": {"left_wrist": {"20cm": 80.0}}}}
    lines = list(keypoint_table({"real_people": scores, "rendered": rendered}))
    assert lines[2] == "| left_wrist | 2 | 50.0 | 50.0 | 50.0 | 50.0 | 80.0 | 0.62 |"
    assert lines[3] == "| left_knee | 1 | 0.0 | 0.0 | 100.0 | 0.0 |  |  |"
    row = {"overlap.iou": 33.33333, "keypoints": errors().as_json() | {"ratio": {"20cm": 0.5}}}
    assert told_of(row) == {
        "overlap.iou": 33.333,
        "20cm": 33.333,
        "swapped": 33.333,
        "count": 3,
        "ratio": 0.5,
    }
