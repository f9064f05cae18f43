from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.evaluation import PredictionFile, PredictionWriter, paste_prediction
from slimdp.report import PART_COLOURS, people_sheet, save_png
from slimdp.structures import DensePoseInstance, PersonAnnotation

GAP = 4  # px around the cells of a sheet


@pytest.fixture
def pair(perfect_pair: Any, tmp_path: Path) -> tuple[PersonAnnotation, DensePoseInstance]:
    """A person in a grey picture of 80 x 60 px, with one point of part 12 at (60, 40)."""
    save_png(tmp_path / "a.png", np.full((60, 80, 3), 90, np.uint8))
    person, prediction = perfect_pair(file=str(tmp_path / "a.png"))
    one = dataclasses.replace(
        person, points=np.array([[60.0, 40.0]]), part=np.array([12]), uv=np.zeros((1, 2), np.float32),
        source=person.source[:1], step=person.step[:1],
    )  # fmt: skip
    return one, prediction


def test_points_and_boxes_are_drawn_in_their_places(pair: tuple[PersonAnnotation, DensePoseInstance]) -> None:
    person, _ = pair
    sheet = people_sheet([person], None, count=3, columns=1)
    image = sheet[GAP:-GAP, GAP:-GAP]
    zoom = image.shape[1] / 80
    y, x = np.nonzero((image == PART_COLOURS[12]).all(axis=2))
    assert (x.mean(), y.mean()) == pytest.approx((60.5 * zoom - 0.5, 40.5 * zoom - 0.5), abs=0.5)
    y, x = np.nonzero((image > 200).all(axis=2))
    box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
    np.testing.assert_allclose(box, person.box * zoom, atol=2)


def test_outlines_and_keypoints_are_drawn_in_their_places(
    pair: tuple[PersonAnnotation, DensePoseInstance],
) -> None:
    person, _ = pair
    coarse = np.zeros((256, 256), np.uint8)
    coarse[64:128, 32:192] = 2  # the right hand
    keypoints = np.array([[40.0, 30.0, 2], [1.0, 1.0, 0]])
    labelled = dataclasses.replace(
        person.with_points(np.array([False])), coarse=coarse, keypoints=keypoints, keypoint_names=("a", "b")
    )
    bare = dataclasses.replace(labelled, coarse=None, keypoints=None, keypoint_names=())
    drawn, without = (people_sheet([each], None, 1, 1)[GAP:-GAP, GAP:-GAP] for each in (labelled, bare))
    zoom = drawn.shape[1] / 80
    line = (np.abs(drawn.astype(int) - PART_COLOURS[3]) < 40).all(axis=2)
    y, x = np.nonzero(line)
    left, top, width, height = person.box * zoom
    found = [x.min(), x.max(), y.min(), y.max()]
    wanted = [left + width / 8, left + width * 0.75, top + height / 4, top + height / 2]
    np.testing.assert_allclose(found, wanted, atol=2)
    assert line.sum() < 8 * (np.ptp(x) + np.ptp(y))  # and not the whole of it
    cross = (drawn == 255).all(axis=2) & ~(without == 255).all(axis=2)
    y, x = np.nonzero(cross)
    assert (x.mean(), y.mean()) == pytest.approx((40.5 * zoom - 0.5, 30.5 * zoom - 0.5), abs=1)


def test_predictions_take_the_place_of_points(
    pair: tuple[PersonAnnotation, DensePoseInstance], tmp_path: Path
) -> None:
    person, prediction = pair
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        writer.write(prediction)
    with PredictionFile(tmp_path / "p.h5") as file:
        image = people_sheet([person], file, count=1, columns=1)[GAP:-GAP, GAP:-GAP]
    part, _ = paste_prediction(prediction, 80, 60)
    zoom = image.shape[1] / 80
    for x, y in ((30, 20), (60, 40)):
        middle = image[int((y + 0.5) * zoom), int((x + 0.5) * zoom)]
        expected = 0.4 * 90 + 0.6 * PART_COLOURS[part[y, x]].astype(float)
        np.testing.assert_allclose(middle, expected, atol=12)  # enlarged smoothly


def test_nobody_and_no_picture_are_refused(pair: tuple[PersonAnnotation, DensePoseInstance]) -> None:
    with pytest.raises(ValueError, match="nobody"):
        people_sheet([], None, count=1)
    with pytest.raises(ValueError, match="0 pictures"):
        people_sheet([pair[0]], None, count=0)


def test_predictions_of_another_file_and_too_many_columns_are_refused(
    pair: tuple[PersonAnnotation, DensePoseInstance], tmp_path: Path
) -> None:
    person, prediction = pair
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        writer.write(prediction)
    stranger = dataclasses.replace(person, id=person.id + 1)
    with PredictionFile(tmp_path / "p.h5") as file, pytest.raises(ValueError, match="another file"):
        people_sheet([stranger], file, count=1)
    with pytest.raises(ValueError, match="columns"):
        people_sheet([person], None, count=1, columns=2000)


def test_points_without_uv_are_half_as_large(pair: tuple[PersonAnnotation, DensePoseInstance]) -> None:
    person, _ = pair
    areas = []
    for uv in (0.0, np.nan):
        alone = dataclasses.replace(person, uv=np.full((1, 2), uv, np.float32))
        image = people_sheet([alone], None, count=1, columns=1)
        areas.append(int((image == PART_COLOURS[12]).all(axis=2).sum()))
    assert 0 < areas[1] < 0.4 * areas[0]
