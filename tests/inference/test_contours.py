from __future__ import annotations

import numpy as np
import pytest

from slimdp.inference.contours import LEVELS, iso_contours


def ramp() -> tuple[np.ndarray, np.ndarray]:
    """Two parts side by side, 11 x 11 px each: u from 0 to 1 to the right in both, v downwards."""
    part = np.zeros((20, 40), np.uint8)
    part[4:15, 5:16], part[4:15, 16:27] = 3, 7
    unit = np.linspace(0, 1, 11)
    uv = np.zeros((2, 20, 40), np.float32)
    for first in (5, 16):
        uv[0, 4:15, first : first + 11] = unit + 0.05 * (first == 16) * (unit < 1)
        uv[1, 4:15, first : first + 11] = unit[:, None]
    return part, uv


def test_lines_lie_where_the_value_is() -> None:
    lines = list(iso_contours(*ramp()))
    assert {(line.part, line.coordinate) for line in lines} == {(p, c) for p in (3, 7) for c in "uv"}
    mine = [line for line in lines if line.part == 3]
    assert len(mine) == 2 * len(LEVELS)
    for line in mine:
        if line.coordinate == "u":
            np.testing.assert_allclose(line.points[:, 0], 5 + 10 * line.level, atol=1e-5)
            assert (line.points[:, 1].min(), line.points[:, 1].max()) == (4, 14)
        else:
            np.testing.assert_allclose(line.points[:, 1], 4 + 10 * line.level, atol=1e-5)
            assert (line.points[:, 0].min(), line.points[:, 0].max()) == (5, 15)


def test_no_line_runs_along_the_border_of_two_parts() -> None:
    # u jumps from 1 to 0 between columns 15 and 16: a line there would be of no place on the body.
    for line in iso_contours(*ramp()):
        x = line.points[:, 0]
        assert not ((x > 15) & (x < 16)).any()


def test_levels_are_chosen_and_nobody_has_none() -> None:
    part, uv = ramp()
    assert {line.level for line in iso_contours(part, uv, [0.25])} == {0.25}
    assert list(iso_contours(0 * part, uv)) == []
    thin = np.where(np.arange(40) == 5, part, 0)
    assert list(iso_contours(thin, uv)) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_lines_stay_within_their_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    part = (rng.integers(1, 4, (6, 6)).repeat(5, 0).repeat(5, 1)).astype(np.uint8)
    for line in iso_contours(part, rng.random((2, 30, 30)).astype(np.float32)):
        column, row = line.points.round(
            4
        ).T  # on an edge between two pixels, so between a floor and a ceiling
        whole = (row % 1 == 0) ^ (column % 1 == 0)
        for side in (np.floor, np.ceil):
            ends = part[side(row[whole]).astype(int), side(column[whole]).astype(int)]
            assert (ends == line.part).all()
