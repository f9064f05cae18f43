"""Keypoints under their error bars, by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from slimdp.evaluation import PredictionWriter
from slimdp.structures import DensePoseInstance
from tests.tools.test_real_people_table import errors
from tools.under_bars import share_under_bars


def test_keypoints_on_the_person_count_by_their_bars(tmp_path: Path) -> None:
    """Errors of 5, 25 and 90 cm under bars of 10, 10 and 100 cm; then the last one lies on background."""
    found = errors()
    names = ("nose", "left_wrist", "left_knee")
    places = np.array([(1.0, 1, 2), (4, 5, 2), (8, 9, 2)])
    people = tuple(
        dataclasses.replace(person, keypoints=places, keypoint_names=names) for person in found.people
    )
    found = dataclasses.replace(found, people=people)
    bars = np.full((20, 20), 10, np.float16)
    for file, background, wanted in (("a.h5", False, 200 / 3), ("b.h5", True, 50)):
        with PredictionWriter(tmp_path / file, 20) as writer:
            for identity in (7, 8):
                foreground = np.ones((20, 20), bool)
                if identity == 8:
                    foreground[5, 4] = not background
                writer.write(
                    DensePoseInstance(
                        identity, 1, np.array([0.0, 0, 20, 20]), 1.0, np.eye(2, 3),
                        np.ones((20, 20), np.uint8), np.zeros((2, 20, 20), np.float16), foreground,
                        bars if identity == 7 else np.full((20, 20), 100, np.float16),
                    )
                )  # fmt: skip
        assert share_under_bars(found, tmp_path / file) == pytest.approx(wanted)
