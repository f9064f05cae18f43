"""The stretching of masks: as SciPy does it, and as its arithmetic is written down."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from slimdp.evaluation.ground_truth import public_zoom, zoomed_length
from tests.evaluation.slow_similarity import slow_zoom

#: Of the lengths up to 64 px, those whose last pixel is lost.
LOST = [12, 14, 23, 27, 32, 45, 53, 56, 62, 63]


def blobs(seed: int) -> np.ndarray:
    """A mask (256, 256) with curved outlines, and one straight edge, whose stretch is often just half."""
    rng = np.random.default_rng(seed)
    mask = scipy.ndimage.gaussian_filter(rng.normal(size=(256, 256)), rng.uniform(1, 12)) > 0
    mask[:, int(rng.integers(256)) :] = True
    return mask


def zoomed(mask: np.ndarray, height: float, width: float) -> np.ndarray:
    """As the public evaluator calls the library."""
    scale = max(height, 1) / 256, max(width, 1) / 256
    return scipy.ndimage.zoom(mask.astype(float), scale, order=1, prefilter=False)


def differing(mask: np.ndarray, height: float, width: float) -> int:
    """How many pixels differ from the library's."""
    wanted = zoomed(mask, height, width)
    shape = zoomed_length(height), zoomed_length(width)
    found = public_zoom(mask, *shape, np.arange(shape[0]), np.arange(shape[1]))
    assert found.shape == wanted.shape
    # A processor that multiplies and adds in one step may round SciPy's sum otherwise just at a half.
    return int(((found != (wanted > 0.5)) & (np.abs(wanted - 0.5) > 1e-12)).sum())


def test_a_mask_is_stretched_as_scipy_does_it() -> None:
    sides = [*range(1, 70), *range(70, 1000, 31), 0.3, 1.5, 2.5, 100.5, 101.5, 170.5, 12.4999]
    other = iter(np.random.default_rng(1).integers(1, 60, len(sides)).tolist())
    masks = [blobs(seed) for seed in range(4)]
    for index, side in enumerate(sides):
        short = next(other)
        for height, width in ((side, short), (short, side)):
            assert differing(masks[index % 4], height, width) == 0, (height, width)


@pytest.mark.slow
def test_a_mask_is_stretched_as_scipy_does_it_at_every_size() -> None:
    for side in range(1, 1001):
        mask = blobs(side)
        assert differing(mask, side, 97) == differing(mask, 97, side) == 0, side


def test_every_pixel_is_that_of_the_written_arithmetic() -> None:
    mask = blobs(0)
    for height, width in ((12, 171), (86, 14), (1, 2), (33, 18)):
        wanted = [
            [slow_zoom(mask, row, height, column, width) > 0.5 for column in range(width)]
            for row in range(height)
        ]
        found = public_zoom(mask, height, width, np.arange(height), np.arange(width))
        assert (found == wanted).all()


def test_the_lengths_that_lose_their_last_pixel_are_these() -> None:
    full = np.ones((256, 256), dtype=bool)
    columns = {
        length: public_zoom(full, 1, length, np.arange(1), np.arange(length)) for length in range(1, 65)
    }
    assert [length for length, column in columns.items() if not column[0, -1]] == LOST
    assert all(column[0, :-1].all() for column in columns.values())


def test_some_rows_and_columns_are_those_of_the_whole() -> None:
    mask = blobs(3)
    whole = public_zoom(mask, 40, 30, np.arange(40), np.arange(30))
    part = public_zoom(mask, 40, 30, np.arange(7, 45), np.arange(2, 33))
    assert (part[:33, :28] == whole[7:, 2:]).all()
    assert not part[33:].any()
    assert not part[:, 28:].any()
