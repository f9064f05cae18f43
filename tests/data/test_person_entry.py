"""Boxes that nobody drew: from keypoints, or from MPII's centre and scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.config import CropSettings
from slimdp.data import (
    AnnotationError,
    coarse_target,
    crop_affine,
    read_annotations,
    write_annotations,
)
from slimdp.data.person_entry import box_around_keypoints, box_from_centre
from slimdp.structures import IGNORE, BoxSource

Save = Callable[[dict[str, Any]], Path]


def test_keypoints_by_hand() -> None:
    keypoints = np.array([[10, 20, 2], [900, 900, 0], [30, 60, 1]])
    np.testing.assert_allclose(box_around_keypoints(keypoints), [7, 14, 26, 52])


@pytest.mark.parametrize(
    "keypoints", [[[5, 5, 0]], [[5, 5, 2]], [[5, 5, 2], [5, 9, 2]], [[5, 5, 2], [9, 5, 2]]]
)
def test_keypoints_without_extent(keypoints: list[list[float]]) -> None:
    assert box_around_keypoints(np.array(keypoints, dtype=float)) is None


def test_centre_and_scale_by_hand() -> None:
    # A person of 200 px whose middle is 15 px under the centre: px 215 - 99.5 .. 215 + 99.5.
    np.testing.assert_allclose(box_from_centre(np.array([100, 200]), 1.0), [0.5, 115.5, 200, 200])
    np.testing.assert_allclose(box_from_centre(np.array([100, 200]), 0.5)[2:], [100, 100])


def test_posetrack_s_own_boxes_come_out_of_its_keypoints(samples: Path, tmp_path: Path) -> None:
    file = samples / "posetrack18" / "annotations" / "test_posetrack18_val.json"
    content = json.loads(file.read_text())
    boxes = [annotation.pop("bbox") for annotation in content["annotations"]]
    (tmp_path / "people.json").write_text(json.dumps(content))
    people = read_annotations(tmp_path / "people.json", samples / "posetrack18", check_images=False).people
    assert len(people) == 14
    assert {person.box_source for person in people} == {BoxSource.KEYPOINTS}
    np.testing.assert_allclose([person.box for person in people], boxes, atol=1e-3)


def test_what_is_given_comes_first(scene: dict[str, Any], save: Save) -> None:
    bare = {"id": 7, "image_id": 1, "category_id": 1}
    keypoints = {"keypoints": [10, 20, 2, 30, 60, 1]}
    centre = {"center": [50, 40], "scale": 0.2}
    cases = [
        ({"bbox": [1, 2, 3, 4], **keypoints, **centre}, [1, 2, 3, 4], BoxSource.ANNOTATOR),
        ({"bbox": None, **keypoints, **centre}, [7, 14, 26, 52], BoxSource.KEYPOINTS),
        ({"keypoints": [10, 20, 2, 0, 0, 0], **centre}, [30.5, 23.5, 40, 40], BoxSource.CENTRE),
        (centre, [30.5, 23.5, 40, 40], BoxSource.CENTRE),
    ]
    for fields, box, source in cases:
        scene["annotations"] = [{**bare, **fields}]
        (person,) = read_annotations(save(scene), save(scene).parent).people
        np.testing.assert_allclose(person.box, box)
        assert person.box_source == source


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (
            {},
            r"annotation 7 of image 1: bbox: missing; give it, or two labelled keypoints",
        ),
        ({"center": [5, 5]}, "bbox: missing"),
        ({"center": [5, 5], "scale": 0}, r"scale: 0, but the height of the person over 200 px"),
        ({"center": [5], "scale": 1}, r"center: 1 numbers, but 2 are wanted"),
        (
            {"center": [5, 5], "scale": 1, "dp_x": [1]},
            r"bbox: missing, but points and masks lie in its frame",
        ),
        ({"bbox": [0, 0, 5, 5], "box_source": 4}, r"box_source: 4, but 0\.\.3 is wanted"),
    ],
)
def test_bad_places(scene: dict[str, Any], save: Save, fields: dict[str, Any], error: str) -> None:
    scene["annotations"] = [{"id": 7, "image_id": 1, "category_id": 1, **fields}]
    with pytest.raises(AnnotationError, match=error):
        read_annotations(save(scene), save(scene).parent)


def test_nothing_is_known_around_a_rough_box(scene: dict[str, Any], save: Save, tmp_path: Path) -> None:
    """A rough box may leave out an arm, and MPII labels but some of the people: no pixel is background."""
    scene["annotations"] = [{"id": 7, "image_id": 1, "category_id": 1, "center": [60, 40], "scale": 0.2}]
    found = read_annotations(save(scene), save(scene).parent)
    affine = crop_affine(found.people[0].box, CropSettings(size=64, margin=0.5))
    assert (coarse_target(found.people[0], affine, 64, 4) == IGNORE).all()
    write_annotations(tmp_path / "again.json", found.images, found.people)
    (person,) = read_annotations(tmp_path / "again.json", tmp_path).people
    assert person.box_source == BoxSource.CENTRE
    np.testing.assert_array_equal(person.box, found.people[0].box)
