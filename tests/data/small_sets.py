"""Annotation sets made on the spot, and what budgets leave of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from slimdp.config import BudgetSettings
from slimdp.data import AnnotationSet, apply_budget
from slimdp.structures import ImageRecord, PersonAnnotation


def a_set(videos: dict[str, list[int]], stills: int = 1) -> AnnotationSet:
    """Two people in every frame, one of them labelled; frames are given by their numbers, in any order."""
    images = [
        ImageRecord(100 * v + f, Path(f"{name}/{f}.jpg"), f"{name}/{f}.jpg", 64, 48, name, f)
        for v, (name, frames) in enumerate(videos.items())
        for f in frames
    ]
    images += [ImageRecord(9000 + i, Path(f"{i}.jpg"), f"{i}.jpg", 64, 48) for i in range(stills)]
    people = []
    for image in images:
        labelled = PersonAnnotation(
            id=1, image=image, box=np.array([1.0, 2, 30, 40]), points=np.array([[5.0, 6], [7, 8]]),
            part=np.array([1, 2]), uv=np.zeros((2, 2), np.float32), source=np.zeros(2, np.int64),
            step=np.zeros(2, np.int64), track=4, coarse=np.ones((256, 256), np.uint8),
            confidence=np.ones(2, np.float32),
        )  # fmt: skip
        none = {name: getattr(labelled, name)[:0] for name in ("points", "part", "uv", "source", "step")}
        people += [labelled, replace(labelled, id=2, coarse=None, confidence=None, **none)]
    return AnnotationSet(tuple(images), tuple(people), Path("a.json"))


def stills_with(points: list[int], start: int = 0) -> AnnotationSet:
    """A still for each number, of a person with so many points, with keypoints and coarse masks."""
    images = [ImageRecord(start + i, Path(f"{i}.jpg"), f"{i}.jpg", 64, 48) for i in range(len(points))]
    rng = np.random.default_rng(0)
    people = [
        PersonAnnotation(
            id=7,
            image=image,
            box=np.array([1.0, 2, 30, 40]),
            points=rng.uniform(3, 30, (count, 2)),
            part=rng.integers(1, 25, count),
            uv=rng.random((count, 2), np.float32),
            source=np.zeros(count, np.int64),
            step=np.zeros(count, np.int64),
            coarse=np.ones((256, 256), np.uint8),
            keypoints=np.ones((1, 3)),
            keypoint_names=("nose",),
        )
        for image, count in zip(images, points)
    ]
    return AnnotationSet(tuple(images), tuple(people), Path("a.json"))


def labelled_frames(annotations: AnnotationSet) -> dict[str | None, list[int | None]]:
    found: dict[str | None, list[int | None]] = {}
    for person in annotations.people:
        assert (len(person.points) > 0) == (person.coarse is not None)
        if len(person.points):
            assert person.image.labelled
            found.setdefault(person.image.video, []).append(person.image.frame)
    return found


def with_uv(annotations: AnnotationSet) -> set[tuple[int, int, float, float]]:
    """Every point with (u, v), by its picture, person and place."""
    return {
        (person.image.id, person.id, *place)
        for person in annotations.people
        for place in person.points[person.has_uv].tolist()
    }


def kept(everyone: AnnotationSet, **budget: Any) -> AnnotationSet:
    return apply_budget(everyone, BudgetSettings(**budget))
