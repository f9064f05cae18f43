"""A labelled video, and weights to begin with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.config import TrainConfig, load_config
from slimdp.data import write_annotations
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.training.checkpoint import Checkpoint, build_model, save_checkpoint

SIDE, FRAMES, LABELLED = 96, 12, 5
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SMALL = ["model.stacks=1", "model.features=16", "crop.size=64"]


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `walk` of frames that move to the right, and labels of one frame beside it."""
    out = tmp_path_factory.mktemp("own")
    world = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    world = cv2.resize(world, (240, SIDE), interpolation=cv2.INTER_CUBIC)
    (out / "walk").mkdir()
    for number in range(FRAMES):
        left = 60 - 2 * number
        cv2.imwrite(str(out / "walk" / f"{number:06d}.jpg"), world[:, left : left + SIDE])
    image = ImageRecord(1, out, f"walk/{LABELLED:06d}.jpg", SIDE, SIDE, "walk", LABELLED)
    rng, zeros = np.random.default_rng(1), np.zeros(40, dtype=np.int64)
    person = PersonAnnotation(
        1, image, np.array([20.0, 15, 50, 60]), rng.uniform((24, 20), (64, 70), (40, 2)), zeros + 2,
        rng.random((40, 2), dtype=np.float32), source=zeros, step=zeros, track=1,
        coarse=np.ones((256, 256), np.uint8),
    )  # fmt: skip
    write_annotations(out / "labels.json", [image], [person])
    return out


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The end of a stage of a small network that has learned nothing."""
    config = small_config()
    file = tmp_path_factory.mktemp("weights") / "stage_stills.pt"
    save_checkpoint(file, Checkpoint(config, stage=1, step=0, model=build_model(config).state_dict()))
    return file


def small_config() -> TrainConfig:
    return load_config(EXPERIMENTS / "stills_64.yaml", SMALL)
