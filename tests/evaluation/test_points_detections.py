"""Points of people whom a network found by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slimdp.evaluation.points import point_errors
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.surface import load_surface

IMAGE = ImageRecord(1, Path("a.png"), "a.png", 100, 100)
SIDE = 20


def person(number: int, box: list[float]) -> PersonAnnotation:
    points = np.array([[box[0] + 2, box[1] + 2], [box[0] + box[2] - 2, box[1] + 2]])
    nothing = np.zeros(2, np.int64)
    return PersonAnnotation(
        id=number, image=IMAGE, box=np.array(box), points=points, part=np.array([2, 2]),
        uv=np.full((2, 2), 0.5, np.float32), source=nothing, step=nothing,
    )  # fmt: skip


def found(number: int, box: list[float], part: int, score: float = 0.9) -> DensePoseInstance:
    """An answer of one part everywhere in the box."""
    scale = SIDE / np.array(box[2:])
    affine = np.column_stack([np.diag(scale), -scale * (np.array(box[:2]) - 0.5) - 0.5])
    return DensePoseInstance(
        -number, 1, np.array(box), score, affine, np.full((SIDE, SIDE), part, np.uint8),
        np.full((2, SIDE, SIDE), 0.5, np.float16), np.ones((SIDE, SIDE), bool),
    )  # fmt: skip


def right(predictions: list[DensePoseInstance], people: list[PersonAnnotation]) -> list[bool]:
    surface = load_surface("open")
    return (point_errors(predictions, people, surface).localization_m < 0.01).tolist()


def test_each_answers_for_whom_it_overlaps_most() -> None:
    people = [person(7, [0, 0, 40, 40]), person(8, [50, 0, 40, 40])]
    predictions = [found(1, [52, 0, 40, 40], 2), found(2, [1, 0, 40, 40], 2), found(3, [4, 0, 40, 40], 5)]
    assert right(predictions, people) == [True] * 4
    assert right(list(reversed(predictions)), people) == [True] * 4


def test_nobody_answers_twice_and_who_is_missed_is_wrong() -> None:
    """Two people in nearly one place, and one answer."""
    people = [person(7, [0, 0, 40, 40]), person(8, [4, 0, 40, 40])]
    assert right([found(1, [4, 0, 40, 40], 2)], people) == [False, False, True, True]
    assert right([found(1, [60, 60, 20, 20], 2)], people) == [False] * 4


def test_without_detections_who_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no prediction for 1 of 1 people"):
        right([], [person(7, [0, 0, 40, 40])])
