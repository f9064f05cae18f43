"""What is drawn lands where it was drawn, and GrabCut finds a body of two colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slimdp.annotate.outlines import draw_polygon, draw_stroke, grab_body, grab_part, paint
from slimdp.annotate.people import read_person, with_coarse
from slimdp.data.box_frame import frame_pixel_centres
from slimdp.data.person_entry import CategoryLabels
from slimdp.structures import IGNORE, ImageRecord
from tests.annotate.conftest import draw_picture

BOX = np.array([30.0, 10.0, 100.0, 180.0])


def _centres() -> np.ndarray:
    return frame_pixel_centres(BOX)


def test_a_polygon_is_filled_in_px_of_the_picture() -> None:
    drawn = draw_polygon(np.array([[50.0, 20.0], [110.0, 20.0], [110.0, 100.0], [50.0, 100.0]]), BOX)
    x, y = _centres().transpose(2, 0, 1)
    inside = (x > 51) & (x < 109) & (y > 21) & (y < 99)
    outside = (x < 49) | (x > 111) | (y < 19) | (y > 101)
    assert drawn[inside].all()
    assert not drawn[outside].any()


def test_a_stroke_is_round_in_px_of_the_picture() -> None:
    drawn = draw_stroke(np.array([[60.0, 60.0], [90.0, 60.0]]), 12.0, BOX)
    along = np.clip(_centres()[..., 0], 60, 90)
    distance = np.hypot(_centres()[..., 0] - along, _centres()[..., 1] - 60)
    assert drawn[distance < 11].all()
    assert not drawn[distance > 13].any()
    dot = draw_stroke(np.array([[60.0, 60.0]]), 5.0, BOX)
    assert dot.any()


def test_paint_goes_over_under_and_inside() -> None:
    coarse = np.zeros((256, 256), np.uint8)
    coarse[:, :100] = 3
    drawn = np.ones((256, 256), bool)
    assert (paint(coarse, drawn, 5, "over") == 5).all()
    under = paint(coarse, drawn, 5, "under")
    assert (under[:, :100] == 3).all()
    assert (under[:, 100:] == 5).all()
    inside = paint(coarse, drawn, 5, "inside")
    assert (inside[:, :100] == 5).all()
    assert not inside[:, 100:].any()
    assert not paint(coarse, drawn, 0, "over").any()
    assert not paint(None, ~drawn, 5, "over").any()


def _truth() -> tuple[np.ndarray, np.ndarray]:
    x, y = _centres().transpose(2, 0, 1)
    wide = (x >= 50) & (x <= 110)
    return wide & (y >= 20) & (y < 100), wide & (y >= 100) & (y <= 180)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_grabcut_brings_a_rough_part_to_its_edges() -> None:
    upper, lower = _truth()
    coarse = np.where(lower, 6, 0).astype(np.uint8)
    rough = draw_polygon(np.array([[58.0, 26.0], [103.0, 30.0], [100.0, 97.0], [60.0, 95.0]]), BOX)
    coarse = paint(coarse, rough, 1, "under")
    found = grab_part(draw_picture(), BOX, coarse, 1)
    assert _iou(found == 1, upper) > max(0.93, _iou(rough, upper))
    assert ((found == 6) == lower).all()


def test_grabcut_finds_the_body_in_a_box_and_keeps_its_parts() -> None:
    upper, lower = _truth()
    found = grab_body(draw_picture(), BOX, None)
    assert set(np.unique(found)) == {0, IGNORE}
    assert _iou(found == IGNORE, upper | lower) > 0.95
    rough = np.zeros((256, 256), np.uint8)
    rough[20:120, 60:190], rough[130:235, 60:190] = 1, 6
    grown = grab_body(draw_picture(), BOX, rough)
    assert _iou(grown > 0, upper | lower) > 0.95
    assert _iou(grown == 1, upper) > 0.9


@pytest.mark.parametrize("fill", [0, 1])
def test_grabcut_with_nothing_to_tell_apart_changes_nothing(fill: int) -> None:
    whole = np.array([0.0, 0.0, 160.0, 200.0])
    coarse = np.full((256, 256), fill, np.uint8)
    assert (grab_part(draw_picture(), whole, coarse, 1) == coarse).all()


def test_a_painted_mask_is_no_longer_the_flows() -> None:
    entry = {"id": 1, "image_id": 1, "bbox": [10.0, 10.0, 60.0, 40.0], "dp_propagated": 1}
    image = ImageRecord(1, Path("a.jpg"), "a.jpg", 96, 64)
    person = read_person(entry, image, CategoryLabels(), Path("labels.json"))
    painted = with_coarse(person, np.ones((256, 256), np.uint8))
    assert "dp_propagated" not in painted
    assert "dp_propagated" in entry
