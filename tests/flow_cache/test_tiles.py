from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_cache.codec import NOT_STORED, decode, encode
from flow_cache.errors import FlowCacheError
from flow_cache.schema import TILE
from flow_cache.tiles import encode_known, pixels_touched, runs, tiles_with_pixels


@given(
    box=st.tuples(*[st.floats(-90, 90)] * 2, *[st.floats(0.01, 120)] * 2),
    width=st.integers(1, 60),
    height=st.integers(1, 60),
)
def test_a_box_touches_the_pixels_that_share_area_with_it(
    box: tuple[float, float, float, float], width: int, height: int
) -> None:
    x, y, wide, high = box
    columns = [i for i in range(width) if i < x + wide and i + 1 > x]  # pixel i of a box covers [i, i + 1]
    rows = [i for i in range(height) if i < y + high and i + 1 > y]
    if columns and rows:
        expected = columns[0], rows[0], len(columns), len(rows)
        assert pixels_touched(box, width, height) == expected
    else:
        with pytest.raises(FlowCacheError, match="has no pixel in a frame"):
            pixels_touched(box, width, height)


def test_some_pixels_of_a_field_are_encoded() -> None:
    rng = np.random.default_rng(0)
    flow, known = rng.normal(0, 9, (2, 20, 30)), rng.random((20, 30)) < 0.5
    stored = encode_known(np.where(known, flow, np.nan), known)
    np.testing.assert_array_equal(stored[:, known], encode(flow)[:, known])
    assert (stored[:, ~known] == NOT_STORED).all()
    assert np.isnan(decode(stored)[:, ~known]).all()
    far = flow.copy()
    far[0, 7, 11] = 2000
    known[7, 11] = False
    encode_known(far, known)
    known[7, 11] = True
    with pytest.raises(FlowCacheError, match=r"cannot be stored.* along x at pixel \(11, 7\): 2000.0 px"):
        encode_known(far, known)


@given(st.integers(1, 3 * TILE), st.integers(1, 3 * TILE), st.integers(0, 2**32))
def test_tiles_are_those_that_hold_a_pixel(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stored = np.full((2, height, width), NOT_STORED, np.int16)
    for _ in range(rng.integers(0, 4)):
        stored[:, rng.integers(height), rng.integers(width)] = rng.integers(-9, 9)
    tiles = tiles_with_pixels(stored)
    assert tiles.shape == (-(-height // TILE), -(-width // TILE))
    for (row, column), found in np.ndenumerate(tiles):
        tile = stored[:, row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        assert found == (tile != NOT_STORED).any()


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32))
def test_runs_cover_the_marked_tiles_once(rows: int, columns: int, seed: int) -> None:
    tiles = np.random.default_rng(seed).random((rows, columns)) < 0.5
    covered = np.zeros((rows * TILE, columns * TILE), int)
    count = 0
    for y, x in runs(tiles):
        covered[y, x] += 1
        count += 1
    np.testing.assert_array_equal(covered[::TILE, ::TILE], tiles)
    np.testing.assert_array_equal(covered, np.kron(tiles, np.ones((TILE, TILE), int)))
    # Neighbours together: as many as there are tiles without a marked one to their left.
    assert count == (tiles & ~np.pad(tiles, ((0, 0), (1, 0)))[:, :-1]).sum()
