"""Run-length masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slimdp.data.rle import decode_polygons, decode_rle, decode_rle_union, encode_rle


@given(arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_round_trip(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_rle(encode_rle(mask), *mask.shape), mask)


def test_long_runs_of_a_large_mask() -> None:
    mask = np.zeros((1080, 1920), dtype=bool)
    mask[5:1000, 900:905] = True
    np.testing.assert_array_equal(decode_rle(encode_rle(mask), 1080, 1920), mask)


def test_a_list_of_runs_by_hand() -> None:
    # Runs go down the columns: 1 unset, 2 set, 1 unset in a mask of 2 x 2.
    mask = decode_rle({"size": [2, 2], "counts": [1, 2, 1]}, 2, 2)
    np.testing.assert_array_equal(mask, [[False, True], [True, False]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [10, 12]}, r"\[12, 10\] is wanted"),
        ({"counts": ""}, "empty"),
        ({"counts": "~~~"}, "not in COCO's code"),
        ({"counts": None}, "neither a string"),
        ({"counts": [1, 2, 3]}, "fill 6 pixels"),
        ({"counts": "0" * 400 + "P" * 20 + "0"}, "longer than any image"),
    ],
)
def test_damaged(change: dict, message: str) -> None:
    rle = encode_rle(np.eye(12, 10, dtype=bool))
    with pytest.raises(ValueError, match=message):
        decode_rle({**rle, **change}, 12, 10)


def test_cut_short() -> None:
    rle = encode_rle(np.random.default_rng(0).random((64, 64)) < 0.5)
    with pytest.raises(ValueError, match="cut short"):
        decode_rle({**rle, "counts": rle["counts"][: len(rle["counts"]) // 2]}, 64, 64)


def test_polygons() -> None:
    square = [2, 1, 6, 1, 6, 4, 2, 4]
    mask = decode_polygons([[1, 1, 2, 2], square], 8, 8)
    assert mask is not None
    assert mask.sum() == 12
    assert mask[1:4, 2:6].all()
    assert decode_polygons([[1, 1, 2, 2]], 8, 8) is None
    assert decode_polygons([], 8, 8) is None


@given(st.lists(arrays(bool, (9, 7)), max_size=14), st.data())
def test_a_union_is_what_any_of_the_masks_covers(masks: list[np.ndarray], data: st.DataObject) -> None:
    rles = [encode_rle(mask) for mask in masks]
    for rle, mask in zip(rles, masks):
        if data.draw(st.booleans()):  # the same as a list of runs: down the columns, unset ones first
            edges = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False, append=not mask[-1, -1]))
            rle["counts"] = np.diff(edges, prepend=0).tolist()
    wanted = np.any(masks, axis=0) if masks else np.zeros((9, 7), dtype=bool)
    np.testing.assert_array_equal(decode_rle_union(rles, 9, 7), wanted)


def test_one_short_mask_of_a_union_is_found() -> None:
    rng = np.random.default_rng(1)
    rles = [encode_rle(rng.random((64, 64)) < 0.5) for _ in range(5)]
    rles[3]["counts"] = rles[3]["counts"][: len(rles[3]["counts"]) // 2]
    with pytest.raises(ValueError, match="cut short"):
        decode_rle_union(rles, 64, 64)
