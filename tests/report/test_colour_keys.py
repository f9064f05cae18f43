from __future__ import annotations

import numpy as np

from slimdp.report.colour_keys import part_key, unit_key
from slimdp.report.drawing import PART_COLOURS, colour_of_unit


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
