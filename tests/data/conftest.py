"""Small annotation files with pictures, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from slimdp.data import image_from_frame
from slimdp.structures import ImageRecord, PersonAnnotation


@pytest.fixture
def scene(tmp_path: Path) -> dict[str, Any]:
    """A valid file's content: one picture of 120 x 80 px, one person with three points."""
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    annotation = {
        "id": 7,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 20, 64, 32],
        "dp_x": [0, 128, 256],
        "dp_y": [0, 64, 256],
        "dp_I": [1, 12.0, 24],
        "dp_U": [0, 0.5, 1],
        "dp_V": [1, 0.25, 0],
    }
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_knee"]}],
    }


@pytest.fixture
def save(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a file's content; returns its path, in the folder of the pictures."""

    def write(content: dict[str, Any]) -> Path:
        path = tmp_path / "people.json"
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def make_person() -> Callable[..., PersonAnnotation]:
    """A person with N random points in a box, and anything else by name."""

    def make(image: ImageRecord, box: list[float], count: int = 0, **other: Any) -> PersonAnnotation:
        rng = np.random.default_rng(count)
        fields: dict[str, Any] = {
            "id": 1,
            "points": image_from_frame(rng.uniform(0, 256, (count, 2)), np.array(box)),
            "part": rng.integers(1, 25, count),
            "uv": rng.random((count, 2), dtype=np.float32),
            "source": np.zeros(count, dtype=np.int64),
            "step": np.zeros(count, dtype=np.int64),
        }
        return PersonAnnotation(image=image, box=np.array(box, dtype=np.float64), **{**fields, **other})

    return make
