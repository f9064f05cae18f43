from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.report.drawing import (
    PART_COLOURS,
    colour_of_unit,
    contact_sheet,
    draw_dots,
    draw_points,
    overlay_parts,
    overlay_uv,
    part_key,
    save_png,
    text_strip,
    unit_key,
)
from slimdp.surface import PEOPLE

GREY = np.full((40, 60, 3), 128, dtype=np.uint8)


def to_lab(colours: np.ndarray) -> np.ndarray:
    return cv2.cvtColor((colours[None] / 255).astype(np.float32), cv2.COLOR_RGB2Lab)[0]


def test_part_colours_can_be_told_apart() -> None:
    lab = to_lab(PART_COLOURS[1 : 1 + len(PEOPLE.parts)])
    difference = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1000 * np.eye(24)
    assert difference.min() > 23.5
    right_of_limb = np.array([p for p in range(3, 23) if p in (3, 6, 7, 9, 11, 13, 16, 18, 20, 22)])
    left_of_limb = PEOPLE.flip_part[right_of_limb]
    # b* runs from blue to yellow, a* from green to red: right limbs are warm, left ones are cold.
    warmth = lab[:, 1] + lab[:, 2]
    assert (warmth[right_of_limb - 1] > 0).all()
    assert (warmth[left_of_limb - 1] < warmth[right_of_limb - 1] - 30).all()


def test_points_lie_where_they_are_drawn() -> None:
    points = np.array([[10.0, 8.0], [40.25, 30.5], [200.0, 5.0]])
    part = np.array([3, 12, 1])
    drawn = draw_points(GREY, points, part, radius=3)
    assert (GREY == 128).all(), "the input was drawn on"
    assert tuple(drawn[8, 10]) == tuple(PART_COLOURS[3])
    assert tuple(drawn[30, 40]) == tuple(PART_COLOURS[12])
    # The mark's centre of mass is the point, to a tenth of a pixel.
    mark = np.abs(drawn.astype(float) - 128).sum(axis=2)
    mark[:, :25] = 0
    y, x = np.mgrid[0:40, 0:60]
    centre = (mark * x).sum() / mark.sum(), (mark * y).sum() / mark.sum()
    assert centre == pytest.approx((40.25, 30.5), abs=0.1)


def test_points_have_a_dark_rim_on_any_ground() -> None:
    for ground in (0, 128, 255):
        image = np.full((21, 21, 3), ground, dtype=np.uint8)
        drawn = draw_dots(image, np.array([[10.0, 10.0]]), np.array([[250, 250, 250]], np.uint8), radius=3)
        assert drawn[10, 10].min() > 240
        assert drawn[10].min() < 90


def test_points_coloured_by_u() -> None:
    points, part = np.array([[10.0, 10.0], [30.0, 10.0]]), np.array([1, 1])
    drawn = draw_points(GREY, points, part, uv=np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert tuple(drawn[10, 10]) == tuple(colour_of_unit(np.array(0.0)))
    assert tuple(drawn[10, 30]) == tuple(colour_of_unit(np.array(1.0)))


def test_viridis_from_blue_to_yellow() -> None:
    low, high, below = colour_of_unit(np.array([0.0, 1.0, -3.0]))
    assert low[2] > low[1]  # dark blue
    assert high[0] > 200 > high[2]  # yellow
    assert (below == low).all()


def test_overlay_by_hand() -> None:
    part = np.zeros((40, 60), dtype=np.uint8)
    part[5, 6] = 2
    part[5, 7] = 2
    foreground = np.zeros((40, 60), dtype=bool)
    foreground[5, 6] = True
    drawn = overlay_parts(GREY, part, foreground, alpha=0.25)
    assert tuple(drawn[5, 6]) == (123, 142, 117)  # 3/4 of 128 and 1/4 of (107, 184, 85)
    drawn[5, 6] = 128
    assert (drawn == 128).all()


def test_overlay_of_u_and_v() -> None:
    uv = np.zeros((2, 40, 60), dtype=np.float32)
    uv[1] = 1
    everywhere = np.ones((40, 60), dtype=bool)
    assert tuple(overlay_uv(GREY, uv, everywhere, alpha=1)[0, 0]) == tuple(colour_of_unit(np.array(0.0)))
    assert tuple(overlay_uv(GREY, uv, everywhere, alpha=1, channel=1)[9, 9]) == tuple(
        colour_of_unit(np.array(1.0))
    )


def test_sheet_places_images() -> None:
    red, green, blue = (
        np.full((10, 20, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    )
    tall = np.full((30, 10, 3), 7, np.uint8)
    sheet = contact_sheet([[red, tall], [green, blue]], gap=2)
    assert sheet.shape == (2 + 30 + 2 + 10 + 2, 2 + 20 + 2 + 20 + 2, 3)
    assert (sheet[12:22, 2:22] == red).all()  # centred in a cell 30 px high
    assert (sheet[2:32, 29:39] == 7).all()  # centred in a column 20 px wide
    assert (sheet[34:44, 2:22] == green).all()
    assert (sheet[34:44, 24:44] == blue).all()
    titled = contact_sheet([[red, tall], [green, blue]], ["a", "b"], gap=2)
    assert (titled[-len(sheet) + 2 :] == sheet[2:]).all()
    assert (titled[:20, :22] < 100).any(), "no ink in the title"


def test_long_titles_shrink() -> None:
    strip = text_strip("a title that is much too long for so narrow a column", 120)
    assert strip.shape == (20, 120, 3)
    assert (strip < 160).any()
    assert (strip[:, :2] > 200).all()
    assert (strip[:, -2:] > 200).all()


@pytest.mark.parametrize("text", ["price$1_$2.jpg", "a $5 to $10", "x$\\foo$", "a\\b$", "_under"])
def test_a_text_is_no_formula(text: str) -> None:
    """A file may be called so."""
    strip = text_strip(text, 200)
    assert strip.shape == (20, 200, 3)
    without_dollars = text_strip(text.replace("$", "S"), 200)  # as wide, where the dollars are drawn
    inked = [np.flatnonzero((each < 128).any(axis=(0, 2))) for each in (strip, without_dollars)]
    assert np.ptp(inked[0]) == pytest.approx(np.ptp(inked[1]), abs=4)


def test_png_round_trip(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    save_png(tmp_path / "a" / "b.png", image)
    assert (cv2.imread(str(tmp_path / "a" / "b.png"))[:, :, ::-1] == image).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="uint8 RGB is wanted"):
        draw_points(np.zeros((5, 5, 3)), np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(ValueError, match="parts run from 0 to 256"):
        draw_points(GREY, np.zeros((2, 2)), np.array([0, 256]))
    with pytest.raises(ValueError, match="2 points, but 1 colours"):
        draw_dots(GREY, np.zeros((2, 2)), np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match="paste the prediction"):
        overlay_parts(GREY, np.zeros((8, 8), int), np.zeros((8, 8), bool))
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([[], []])
    with pytest.raises(ValueError, match="1 titles for 2 columns"):
        contact_sheet([[GREY, GREY]], ["a"])


def test_u_that_is_not_known_is_grey() -> None:
    points = np.array([[10.0, 10.0], [30.0, 10.0]])
    drawn = draw_points(GREY, points, np.array([1, 1]), uv=np.array([[np.nan, np.nan], [1.0, 0.0]]))
    assert tuple(drawn[10, 10]) == (150, 150, 150)
    assert tuple(drawn[10, 30]) == tuple(colour_of_unit(np.array(1.0)))


def test_the_colours_of_u_and_v_run_from_0_to_1() -> None:
    key = unit_key(400)
    assert key.shape == (20, 400, 3)
    assert (key[10, 50:350] == colour_of_unit(np.linspace(0, 1, 300))).all()
    assert (key[:3, 50:350] == 255).all()
    assert (key[:, :50] < 128).any()  # "0" is written
    assert (key[:, 350:] < 128).any()


def test_every_part_has_its_colour_beside_its_name() -> None:
    names = ["", *(f"part {part}" for part in range(1, 25))]
    key = part_key(1001, names)
    assert key.shape == (80, 1001, 3)
    for part in range(1, 25):
        line, place = divmod(part - 1, 6)
        top, left = 20 * line, round(place * 1001 / 6)
        assert (key[top + 2 : top + 18, left + 4 : left + 20] == PART_COLOURS[part]).all(), part
    assert (part_key(1001, names) != part_key(1001, [""] * 25)).any()
