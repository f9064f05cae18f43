"""Points whose part is known, and not (u, v): from the file to the batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import (
    AnnotationError,
    AnnotationSet,
    PoseDataset,
    collate,
    read_annotations,
    write_annotations,
)
from slimdp.data.augment import Augmentation
from slimdp.structures import PersonAnnotation
from slimdp.surface import PEOPLE
from slimdp.surface.symmetry import UvSymmetry

Save = Callable[[dict[str, Any]], Path]


@pytest.fixture
def read(scene: dict[str, Any], save: Save) -> Callable[..., PersonAnnotation]:
    """The scene's person with some fields changed, as they are read."""

    def read_with(**fields: Any) -> PersonAnnotation:
        scene["annotations"][0] |= fields
        file = save(scene)
        return read_annotations(file, file.parent).people[0]

    return read_with


def test_null_is_nan_and_back(read: Callable[..., PersonAnnotation], tmp_path: Path) -> None:
    person = read(dp_U=[0, None, 1], dp_V=[1, None, 0])
    np.testing.assert_array_equal(person.uv, np.array([[0, 1], [np.nan] * 2, [1, 0]], np.float32))
    np.testing.assert_array_equal(person.has_uv, [True, False, True])
    write_annotations(tmp_path / "b.json", [person.image], [person])
    (entry,) = json.loads((tmp_path / "b.json").read_text())["annotations"]
    assert (entry["dp_U"], entry["dp_V"]) == ([0, None, 1], [1, None, 0])
    assert entry["dp_I"] == [1, 12, 24]
    (back,) = read_annotations(tmp_path / "b.json", tmp_path).people
    np.testing.assert_array_equal(back.uv, person.uv)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"dp_U": [0, None, 1]}, "dp_U, dp_V: entry 1 is null in one of them alone"),
        ({"dp_U": [None, 0.5, 1.2], "dp_V": [None, 0, 0]}, "dp_U: entry 2 is 1.2, outside 0..1"),
        ({"dp_U": [None, 0.5], "dp_V": [None, 0, 0]}, "dp_U: 2 numbers, but 3 are wanted"),
        ({"dp_U": [None, 0.5, "a"], "dp_V": [None, 0, 0]}, "dp_U: not a flat list of numbers"),
        ({"dp_I": [1, None, 2]}, "dp_I: not a flat list of numbers"),
    ],
)
def test_null_in_other_places_is_refused(
    read: Callable[..., PersonAnnotation], fields: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(AnnotationError, match=f"annotation 7 of image 1: {wanted}"):
        read(**fields)


def test_points_can_be_chosen(read: Callable[..., PersonAnnotation]) -> None:
    person = read(dp_U=[0, None, 1], dp_V=[1, None, 0], dp_confidence=[0.1, 0.2, 0.3])
    located = person.with_uv_points()
    np.testing.assert_array_equal(located.part, [1, 24])
    np.testing.assert_array_equal(located.uv, [[0, 1], [1, 0]])
    np.testing.assert_allclose(located.confidence, [0.1, 0.3])
    assert located.with_uv_points() is located


@pytest.mark.parametrize("tables", [False, True])
def test_mirrored_parts_stay_without_uv(tables: bool) -> None:
    rng = np.random.default_rng(0)
    symmetry = UvSymmetry(tables=rng.random((24, 2, 256, 256), np.float32) if tables else None)
    part, uv = np.array([1, 3, 24, 0]), rng.random((4, 2), np.float32)
    wanted = symmetry.flip(part, uv)[1]
    wanted[1:3] = np.nan
    uv[1:3] = np.nan
    flipped, found = symmetry.flip(part, uv)
    np.testing.assert_array_equal(flipped, PEOPLE.flip_part[part])
    np.testing.assert_array_equal(found, wanted)


def test_they_arrive_in_the_batch(read: Callable[..., PersonAnnotation]) -> None:
    person = read(dp_U=[None, 0.25, None], dp_V=[None, 0.5, None])
    everyone = AnnotationSet((person.image,), (person,))
    dataset = PoseDataset(everyone, CropSettings(size=64), AugmentSettings(), UvSymmetry(), seed=0, stride=4)
    batch = collate([dataset.sample(0, Augmentation()), dataset.sample(0, Augmentation(flip=True))])
    assert batch.part.tolist() == [1, 12, 24, 1, PEOPLE.flip_part[12], 23]
    assert batch.uv.isnan().any(1).tolist() == [True, False, True] * 2
    none_left = replace(everyone, people=(replace(person, uv=np.full_like(person.uv, np.nan)),))
    assert len(PoseDataset(none_left, CropSettings(size=64), None, UvSymmetry(), seed=0, stride=4)) == 1
