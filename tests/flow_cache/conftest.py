"""Small moving pictures for the tests of flow_cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def texture() -> np.ndarray:
    """A picture (96, 128, 3) uint8 whose every patch can be told apart."""
    noise = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.float32)
    return np.clip((blurred - blurred.mean()) * 4 + 128, 0, 255).astype(np.uint8)


@pytest.fixture
def make_folder(tmp_path: Path, texture: np.ndarray) -> Callable[..., Path]:
    """Writes a folder of PNG frames in which the texture moves by (2, 1) px a frame."""

    def make(name: str = "walk", count: int = 6) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            cv2.imwrite(str(folder / f"{index:04d}.png"), np.roll(texture, (index, 2 * index), axis=(0, 1)))
        return folder

    return make
