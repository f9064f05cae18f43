from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flow_cache.codec import (
    MAX_PX,
    NOT_STORED,
    TILE,
    decode,
    encode,
    encode_known,
    from_row_differences,
    pixels_touched,
    runs,
    tiles_with_pixels,
    to_row_differences,
)
from flow_cache.errors import FlowCacheError

FLOWS = hnp.arrays(
    np.float32,
    st.tuples(st.just(2), st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-MAX_PX, MAX_PX, width=32),
)


@given(FLOWS)
def test_a_round_trip_moves_a_value_by_half_a_step_at_most(flow: np.ndarray) -> None:
    assert np.abs(decode(encode(flow)) - flow).max() <= 1 / 64


@given(FLOWS)
def test_what_was_decoded_encodes_to_the_same(flow: np.ndarray) -> None:
    stored = encode(flow)
    np.testing.assert_array_equal(encode(decode(stored)), stored)
    assert (stored != NOT_STORED).all()


def test_units_are_a_thirtysecond_of_a_pixel() -> None:
    flow = np.array([[[1.0, -0.5]], [[0.01, 0.02]]])
    np.testing.assert_array_equal(encode(flow), [[[32, -16]], [[0, 1]]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1024.0, -1024.0])
def test_what_cannot_be_stored_is_named_with_its_place(value: float) -> None:
    flow = np.zeros((2, 4, 6), np.float32)
    flow[1, 2, 5] = value
    with pytest.raises(FlowCacheError, match=rf"1 displacements .* along y at pixel \(5, 2\): {value} px"):
        encode(flow)


def test_the_largest_displacement_is_stored_on_both_sides() -> None:
    flow = np.array([[[MAX_PX]], [[-MAX_PX]]])
    np.testing.assert_array_equal(decode(encode(flow)), flow)


def test_a_tile_that_was_never_written_reads_as_unknown() -> None:
    stored = np.array([[[NOT_STORED, 32]], [[NOT_STORED, 0]]], np.int16)
    np.testing.assert_array_equal(decode(stored), [[[np.nan, 1.0]], [[np.nan, 0.0]]])


STORED = hnp.arrays(np.int16, st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 4)))


@given(STORED, st.integers(1, 10))
def test_differences_of_rows_agree_with_a_plain_loop(stored: np.ndarray, tile: int) -> None:
    expected = np.zeros_like(stored)
    for axis, row, column in np.ndindex(stored.shape):
        above = int(stored[axis, row - 1, column]) if row % tile else NOT_STORED
        expected[axis, row, column] = (int(stored[axis, row, column]) - above + 2**15) % 2**16 - 2**15
    np.testing.assert_array_equal(to_row_differences(stored, tile), expected)


@given(STORED, st.integers(1, 10))
def test_differences_of_rows_give_back_every_value(stored: np.ndarray, tile: int) -> None:
    before = stored.copy()
    differences = to_row_differences(stored, tile)
    np.testing.assert_array_equal(from_row_differences(differences, tile), stored)
    np.testing.assert_array_equal(stored, before)
    # Of some columns alone, and of the rows from the first one of a tile on:
    rest = from_row_differences(differences[:, tile:, 1:3], tile)
    np.testing.assert_array_equal(rest, stored[:, tile:, 1:3])


def test_a_tile_of_zeros_is_one_that_was_never_written() -> None:
    zeros = np.zeros((2, 7, 3), np.int16)
    assert (from_row_differences(zeros, 4) == NOT_STORED).all()
    assert np.isnan(decode(from_row_differences(zeros, 4))).all()
    np.testing.assert_array_equal(to_row_differences(np.full_like(zeros, NOT_STORED), 4), zeros)


def test_wrong_shapes_and_types_are_refused() -> None:
    with pytest.raises(FlowCacheError, match=r"shape \(4, 6, 2\)"):
        encode(np.zeros((4, 6, 2)))
    for function in (
        decode,
        lambda flow: to_row_differences(flow, 4),
        lambda flow: from_row_differences(flow, 4),
    ):
        with pytest.raises(FlowCacheError, match="float32; wanted int16"):
            function(np.zeros((2, 4, 6), np.float32))


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
