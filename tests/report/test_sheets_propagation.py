"""Contact sheets of propagated labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import FlowChain, FlowPair, PointStatus
from slimdp.motion import LabelTransfer, RegionSettings, TransferResult, TransferSettings, transfer_person
from slimdp.report import PART_COLOURS, propagation_sheet, spread_people
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation

GREY = 90


@pytest.fixture
def images(tmp_path: Path) -> list[ImageRecord]:
    records = []
    for number in range(3):
        path = tmp_path / f"{number:06d}.png"
        cv2.imwrite(str(path), np.full((120, 160, 3), GREY, dtype=np.uint8))
        records.append(ImageRecord(number, path, path.name, 160, 120, "v", number))
    return records


def labelled(image: ImageRecord, person_id: int = 1, part: int = 3) -> PersonAnnotation:
    points = np.array([[60.0, 40], [60, 60], [75, 60], [75, 80]])
    coarse = np.zeros((256, 256), dtype=np.uint8)
    coarse[40:216, 40:216] = 1
    zeros = np.zeros(4, dtype=np.int64)
    return PersonAnnotation(
        person_id, image, np.array([50.0, 30, 40, 60]), points, zeros + part, np.zeros((4, 2), np.float32),
        source=zeros + LabelSource.ANNOTATOR, step=zeros, coarse=coarse,
    )  # fmt: skip


def propagated(
    person: PersonAnnotation, image_1: ImageRecord, step: int, hidden_from_x: int = 200
) -> TransferResult:
    flow = np.zeros((2, 120, 160), dtype=np.float32)
    flow[0] = 10 * step
    back = -flow
    back[1, :, hidden_from_x:] += 30
    chain = FlowChain((FlowPair(flow, back),))
    settings = TransferSettings(regions=RegionSettings(by="none"))
    return transfer_person(LabelTransfer(person, chain, step, settings), image_1)


def count(image: np.ndarray, colour: tuple[int, int, int] | np.ndarray) -> int:
    return int((image == np.asarray(colour)).all(axis=-1).sum())


def test_rows_and_columns(images: list[ImageRecord]) -> None:
    one, two = labelled(images[0]), labelled(images[1], person_id=2)
    sheet = propagation_sheet(
        [propagated(one, images[1], 1), propagated(one, images[2], 2), propagated(two, images[0], -1)]
    )
    # Four columns (-1, labelled, +1, +2) of 256 px, two rows of 276, titles and a legend.
    assert sheet.shape == (2 * 276 + 20 + 4 * 4 + 20, 4 * 256 + 5 * 4, 3)
    cell = sheet[28 : 28 + 256, 4:260]
    assert (cell == 245).all()  # the first person was not propagated back


def test_points_are_where_the_flow_put_them(images: list[ImageRecord]) -> None:
    sheet = propagation_sheet([propagated(labelled(images[0]), images[1], 1)])
    cells = [sheet[28 : 28 + 256, 4 + 260 * i : 260 + 260 * i] for i in range(2)]
    # The crop follows the person: labels are at the same places of both cells.
    dots = [np.argwhere((cell == PART_COLOURS[3]).all(axis=-1)).mean(axis=0) for cell in cells]
    np.testing.assert_allclose(dots[0], dots[1], atol=0.6)
    assert count(cells[0], PART_COLOURS[3]) > 4 * 8


def test_dropped_labels_are_crosses_and_unknown_pixels_hatched(images: list[ImageRecord]) -> None:
    move = propagated(labelled(images[0]), images[1], 1, hidden_from_x=80)
    assert move.status.tolist() == [
        PointStatus.KEPT,
        PointStatus.KEPT,
        PointStatus.INCONSISTENT,
        PointStatus.INCONSISTENT,
    ]
    assert move.person_1 is not None
    assert move.person_1.coarse is not None
    assert (move.person_1.coarse == IGNORE).any()
    cell = propagation_sheet([move])[28 : 28 + 256, 264 : 264 + 256].astype(int)
    red = (cell[..., 0] > 180) & (cell[..., 1] < 110) & (cell[..., 2] < 110)
    pink = (cell[..., 0] > 170) & (cell[..., 2] > 170) & (cell[..., 1] < 130)
    half = 128
    assert red[:, half:].sum() > 10
    assert red[:, : half - 20].sum() == 0
    assert pink[:, half:].sum() > 500
    assert pink[:, : half - 20].sum() == 0
    assert count(cell[:, : half - 5], (255, 255, 255)) > 100  # the outline


def test_coloured_by_u(images: list[ImageRecord]) -> None:
    move = propagated(labelled(images[0]), images[1], 1)
    by_part, by_u = propagation_sheet([move]), propagation_sheet([move], "u")
    assert count(by_part, PART_COLOURS[3]) > 0
    assert count(by_u, PART_COLOURS[3]) == 0
    assert count(by_u, (68, 1, 84)) > 4 * 8  # viridis at 0


def test_a_dropped_person_is_drawn_all_the_same(images: list[ImageRecord]) -> None:
    move = propagated(labelled(images[0]), images[1], 1)
    gone = TransferResult(move.person_0, move.image_1, 1, 1, None, move.points_1, move.status)
    assert count(propagation_sheet([gone]), (150, 150, 150)) > 4 * 8


def test_bad_input(images: list[ImageRecord]) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        propagation_sheet([])
    with pytest.raises(ValueError, match="one of part, u"):
        propagation_sheet([propagated(labelled(images[0]), images[1], 1)], "v")
    with pytest.raises(ValueError, match="1 or more"):
        spread_people([], 0)


def test_people_are_spread_over_the_file(images: list[ImageRecord]) -> None:
    people = [labelled(images[0], person_id=number) for number in range(11)]
    assert spread_people(people, 3) == {(0, 0), (0, 5), (0, 10)}
    assert len(spread_people(people, 50)) == 11
    assert spread_people([], 3) == set()
