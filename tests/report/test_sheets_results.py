from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flow_cache.images import read_image
from slimdp.__main__ import main
from slimdp.evaluation import Detection
from slimdp.report import PART_COLOURS, results_sheet, save_png
from slimdp.structures import ImageRecord

SIDE = 640  # of the picture, so that it is drawn at its size
GAP, TITLE = 4, 20


@pytest.fixture
def image(tmp_path: Path) -> ImageRecord:
    save_png(tmp_path / "a.png", np.full((SIDE, SIDE, 3), 100, np.uint8))
    return ImageRecord(1, tmp_path / "a.png", "a.png", SIDE, SIDE)


def detection(x: float, y: float, part: int, score: float, image_id: int = 1) -> Detection:
    iuv = np.zeros((3, 40, 60), dtype=np.uint8)
    iuv[0, 20:] = part
    return Detection(image_id, np.array([x, y, 60, 40]), score, iuv)


def parts_of(sheet: np.ndarray) -> np.ndarray:
    top = GAP + TITLE + GAP
    return sheet[top : top + SIDE, GAP : GAP + SIDE].astype(int)


def test_maps_lie_at_their_boxes_and_the_better_one_above(image: ImageRecord) -> None:
    sheet = results_sheet([detection(100.9, 50.2, 3, 0.9), detection(120, 60, 7, 0.5)], {1: image}, count=1)
    drawn = parts_of(sheet)
    assert sheet.shape[1] == 3 * SIDE + 4 * GAP

    def colour(part: int) -> list[int]:
        return np.round(0.4 * 100 + 0.6 * PART_COLOURS[part].astype(float)).astype(int).tolist()

    assert drawn[75, 105].tolist() == colour(3)
    assert drawn[85, 140].tolist() == colour(3)  # both: the higher score is seen
    assert drawn[95, 170].tolist() == colour(7)
    assert drawn[300, 300].tolist() == [100] * 3


def test_low_scores_and_further_pictures_are_left_out(image: ImageRecord) -> None:
    some = [detection(0, 300, 3, 0.9), detection(100, 300, 7, 0.1), detection(0, 0, 5, 0.9, image_id=2)]
    sheet = results_sheet(some, {1: image}, count=1, least_score=0.5)
    assert parts_of(sheet)[335, 150].tolist() == [100] * 3
    with pytest.raises(ValueError, match=r"nobody with a score of 0\.95 or more"):
        results_sheet(some, {1: image}, 1, least_score=0.95)
    with pytest.raises(ValueError, match="count = 0"):
        results_sheet(some, {1: image}, 0)


def test_boxes_outside_of_the_picture_are_cut_off(image: ImageRecord) -> None:
    found = [detection(-1e8, 5, 3, 0.9), detection(-30, -25, 4, 0.8), detection(SIDE - 20, SIDE - 30, 5, 0.7)]
    drawn = parts_of(results_sheet(found, {1: image}, count=1))
    assert (drawn[SIDE - 5, SIDE - 10] != 100).any()


def test_a_real_result_on_its_picture(samples: Path, tmp_path: Path) -> None:
    command = ["draw", "--results", samples / "densepose" / "results_785.json", "--out", tmp_path / "a.png"]
    command += ["--annotations", samples / "coco" / "keypoints.json", "--images", samples / "coco"]
    assert main([f"{word}" for word in command]) == 0
    drawn = read_image(tmp_path / "a.png")
    image = drawn[GAP + TITLE + GAP :][:425, GAP : GAP + 640].astype(int)
    # The skier's cap is striped black and white; her face is of the head's pale colour.
    plain = read_image(samples / "coco" / "000000000785.jpg").astype(int)
    face = plain[75, 368], image[75, 368]
    assert np.abs(face[1] - (0.4 * face[0] + 0.6 * PART_COLOURS[24])).max() < 12 or (
        np.abs(face[1] - (0.4 * face[0] + 0.6 * PART_COLOURS[23])).max() < 12
    )
    assert np.abs(image[300, 100] - plain[300, 100]).max() < 3
