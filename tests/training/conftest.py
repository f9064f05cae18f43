"""A small data set: two pictures of an ellipse that plays the person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.config import (
    AugmentSettings,
    CropSettings,
    DataSource,
    StageSettings,
    TrainConfig,
)
from slimdp.data import write_annotations
from slimdp.models import HourglassSettings
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.training import train
from tests.made_once import TEST_SEED, made_once
from tests.threads import one_thread_here

SIDE = 96
CENTRE = np.array([47.5, 47.5])
RADII = np.array([26.0, 40.0])
#: Part of the four quarters of the ellipse: left and right of the upper, then of the lower half.
QUARTERS = np.array([[2, 1], [9, 10]])
#: And their coarse parts.
COARSE_QUARTERS = np.array([[1, 1], [7, 6]])


def ellipse_labels(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """inside (N,), part (N,), coarse (N,), uv (N, 2) at points (N, 2) x, y px."""
    offset = (points - CENTRE) / RADII
    quarter = (offset > 0).astype(int)
    inside = (offset**2).sum(axis=1) < 1
    part = QUARTERS[quarter[:, 1], quarter[:, 0]]
    coarse = COARSE_QUARTERS[quarter[:, 1], quarter[:, 0]]
    return inside, part, coarse, np.clip((offset + 1) / 2, 0, 1).astype(np.float32)


def ellipse_image(rng: np.random.Generator) -> np.ndarray:
    """(96, 96, 3) uint8: grey texture, and the quarters of an ellipse in colours of their own."""
    image = rng.normal(110, 35, (SIDE, SIDE, 3))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    inside, part, _, _ = ellipse_labels(np.stack([x.ravel(), y.ravel()], axis=1))
    colours = np.random.default_rng(7).uniform(30, 225, (25, 3))
    body = inside.reshape(SIDE, SIDE)
    image[body] = 0.4 * image[body] + 0.6 * colours[part[inside]]
    return image.clip(0, 255).astype(np.uint8)


def ellipse_person(folder: Path, number: int, points: int = 80) -> PersonAnnotation:
    """Write a picture and label the person in it."""
    rng = np.random.default_rng([number, TEST_SEED])
    name = f"ellipse_{number}.png"
    cv2.imwrite(str(folder / name), ellipse_image(rng))
    record = ImageRecord(id=number, file=folder / name, file_name=name, width=SIDE, height=SIDE)
    box = np.concatenate([CENTRE - RADII, 2 * RADII])
    candidates = rng.uniform(CENTRE - RADII, CENTRE + RADII, (4 * points, 2))
    inside, part, _, uv = ellipse_labels(candidates)
    keep = np.flatnonzero(inside)[:points]
    row, column = np.mgrid[0:256, 0:256]
    in_box = np.stack([column.ravel(), row.ravel()], axis=1) / 256 * box[2:] + box[:2]
    mask_inside, _, coarse, _ = ellipse_labels(in_box)
    return PersonAnnotation(
        id=100 + number,
        image=record,
        box=box,
        points=candidates[keep],
        part=part[keep],
        uv=uv[keep],
        source=np.zeros(len(keep), dtype=np.int64),
        step=np.zeros(len(keep), dtype=np.int64),
        coarse=(coarse * mask_inside).reshape(256, 256).astype(np.uint8),
    )


@pytest.fixture(scope="session")
def ellipses(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """An annotation file of three pictures; do not change it."""

    def make(folder: Path) -> None:
        folder.mkdir()
        people = [ellipse_person(folder, number) for number in (1, 2, 3)]
        write_annotations(folder / "labels.json", [person.image for person in people], people)

    folder = made_once(tmp_path_factory, "ellipses", make)
    return DataSource(annotations=str(folder / "labels.json"), images=str(folder))


@pytest.fixture(scope="session")
def small_run(ellipses: DataSource) -> TrainConfig:
    """Two stages of a few steps, with every random change."""
    return TrainConfig(
        stages=(
            StageSettings(name="stills", data=(ellipses,), steps=4, batch=2, learning_rate=3e-3),
            StageSettings(name="clips", data=(ellipses, ellipses), steps=4, batch=3, learning_rate=1e-3),
        ),
        model=HourglassSettings(stacks=1, features=8),
        crop=CropSettings(size=64),
        augment=AugmentSettings(flip=False),
        log_every=2,
        images_every=1000,
        checkpoint_every=3,
    )


@pytest.fixture(scope="session")
def straight(small_run: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    """A run of two stages that nothing stopped, of one thread: its settings and its folder. Only read it."""
    config = small_run.replace(checkpoint_every=1, seed=TEST_SEED)

    def make(folder: Path) -> None:
        with one_thread_here():
            assert train(config, folder) == folder / "stage_clips.pt"

    return config, made_once(tmp_path_factory, "straight", make)
