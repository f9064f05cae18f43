from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flow_cache.images import ImageError
from slimdp.evaluation import PredictionFile, PredictionWriter
from slimdp.geometry import apply_affine, invert_affine
from slimdp.report import prediction_panel, save_png
from slimdp.report.panels import ERROR_COLOURS, error_colours
from slimdp.surface.body import BodySurface

GREEN, YELLOW, ORANGE, RED = (np.array(colour) for _, colour in ERROR_COLOURS)


@pytest.fixture
def people_and_file(perfect_pair: Any, tmp_path: Path) -> tuple[list[Any], Path]:
    image = tmp_path / "a.png"
    save_png(image, np.full((60, 80, 3), 90, np.uint8))
    pairs = [perfect_pair(i, image_id=1, file=str(image)) for i in range(1, 6)]
    wrong = dataclasses.replace(pairs[4][1], part=25 - pairs[4][1].part)
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        for _, prediction in pairs[:4]:
            writer.write(prediction)
        writer.write(wrong)
    return [person for person, _ in pairs], tmp_path / "p.h5"


def count(image: np.ndarray, colour: np.ndarray) -> int:
    return int((image == colour).all(axis=2).sum())


def test_panel_shows_errors_row_by_row(
    people_and_file: tuple[list[Any], Path], flat_surface: BodySurface
) -> None:
    people, path = people_and_file
    with PredictionFile(path) as file:
        panel = prediction_panel(people, file, flat_surface, count=2)
    # Two rows of five crops of 64 px, enlarged to 256, with gaps of 4 px, the titles and the legend.
    assert panel.shape == (20 + 2 * 256 + 4 * 4 + 20, 5 * 256 + 6 * 4, 3)
    first, last = panel[28:284, -260:-4], panel[288:544, -260:-4]
    assert count(first, GREEN) > 300  # a perfect prediction
    assert count(first, RED) == 0
    assert count(last, RED) > 300  # the parts the wrong way round
    assert count(last, GREEN) == 0


def test_dots_lie_on_their_pixels(people_and_file: tuple[list[Any], Path], flat_surface: BodySurface) -> None:
    # Crop px (20, 30) covers the enlarged pixels 80..83 and 120..123, whose middle is (81.5, 121.5).
    people, path = people_and_file
    with PredictionFile(path) as file:
        prediction = file.read(1, 1)
        point = apply_affine(invert_affine(prediction.crop_from_image), np.array([[20.0, 30.0]]))
        one = dataclasses.replace(
            people[0], points=point, part=prediction.part[30, 20][None].astype(np.int64),
            uv=prediction.uv[:, 30, 20][None].astype(np.float32),
        )  # fmt: skip
        panel = prediction_panel([one], file, flat_surface, count=1)
    y, x = np.nonzero((panel[28:284, -260:-4] == GREEN).all(axis=2))
    assert (x.mean(), y.mean()) == pytest.approx((81.5, 121.5), abs=0.01)


def test_panel_takes_all_people_when_there_are_few(
    people_and_file: tuple[list[Any], Path], flat_surface: BodySurface
) -> None:
    people, path = people_and_file
    with PredictionFile(path) as file:
        panel = prediction_panel(people, file, flat_surface, count=50)
        assert panel.shape[0] == 20 + 5 * 256 + 7 * 4 + 20
        with pytest.raises(ValueError, match="none of 0 people"):
            prediction_panel([], file, flat_surface, count=2)
        with pytest.raises(ValueError, match="count = 0"):
            prediction_panel(people, file, flat_surface, count=0)
        people[0].image.file.unlink()
        with pytest.raises(ImageError, match=r"a\.png"):
            prediction_panel(people, file, flat_surface, count=1)


def test_error_colours_by_hand() -> None:
    colours = error_colours(np.array([0, 0.049, 0.05, 0.099, 0.15, 0.2, np.inf]))
    wanted = [GREEN, GREEN, YELLOW, YELLOW, ORANGE, RED, RED]
    assert colours.tolist() == [colour.tolist() for colour in wanted]


def test_points_without_uv_have_no_error(
    people_and_file: tuple[list[Any], Path], flat_surface: BodySurface
) -> None:
    people, path = people_and_file
    one_known = np.arange(60)[:, None] == 7
    alone = dataclasses.replace(people[0], uv=np.where(one_known, people[0].uv, np.nan))
    with PredictionFile(path) as file:
        panel = prediction_panel([alone], file, flat_surface, count=1)
        wanted = prediction_panel([people[0].with_points(one_known[:, 0])], file, flat_surface, count=1)
    np.testing.assert_array_equal(panel, wanted)
    assert tuple(error_colours(np.array([np.nan, 0.0]))[0]) == (150, 150, 150)
