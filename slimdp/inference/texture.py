"""The colours of a person, unwrapped to the charts of the body.

A chart is a square of `SIDE` texels: u runs to the right, v upwards. The atlas puts them side by side as
DensePose's texture transfer has them (DensePose-RCNN-Texture-Transfer.ipynb: 1200 x 800 px for 24 parts):
parts 1 to 6 down the first column, 7 to 12 down the second, and so on.
"""

from __future__ import annotations

import numpy as np

#: Texels along a side of a chart, as in DensePose.
SIDE = 200
_CHARTS_A_COLUMN = 6


def texels(part: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The texel nearest to each place: part (N,) 1..P, uv (2, N) in [0, 1] to (N,) int64 in 0..P SIDE^2 - 1.

    Texels run chart by chart, row by row, from v = 1 down.
    """
    column, row = np.rint(np.stack([uv[0], 1 - uv[1]]) * (SIDE - 1)).astype(np.int64)
    return ((part.astype(np.int64) - 1) * SIDE + row) * SIDE + column


class ColourSums:
    """Sums of the colours that were seen at keys: whole numbers, so that no order of adding changes them.

    It holds a row a key that was seen, and some frames' pixels that are not yet added up.
    """

    _MOST_WAITING = 500_000  # pixels: 6 MB, and 50 while they are added up

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.int64)
        self._sums = np.zeros((0, 4), np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, keys: np.ndarray, colours: np.ndarray) -> None:
        """Add what was seen at keys (N,): colours (N, 3) uint8."""
        counted = np.column_stack([colours, np.ones(len(colours), colours.dtype)])
        self._waiting.append((keys.astype(np.int64), counted))
        if sum(len(each) for each, _ in self._waiting) > self._MOST_WAITING:
            self._add_up()

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The keys (K,) that were seen, ascending; sums of red, green, blue and the count there, (K, 4)."""
        self._add_up()
        return self._keys, self._sums

    def _add_up(self) -> None:
        keys = np.concatenate([self._keys, *(each for each, _ in self._waiting)])
        rows = np.concatenate([self._sums, *(each for _, each in self._waiting)])
        self._waiting = []
        if len(keys):
            order = np.argsort(keys, kind="stable")
            keys, rows = keys[order], rows[order]
            first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
            self._keys, self._sums = keys[first], np.add.reduceat(rows, first, axis=0)


def texture_atlas(sums: np.ndarray) -> np.ndarray:
    """The mean colour of each texel, as one picture of all charts.

    Args:
        sums: (P SIDE^2, 4) int64, by texel: sums of red, green, blue, and how often it was seen.

    Returns:
        (H, W, 4) uint8 RGBA, 255 where the texel was seen, else 0, 0, 0, 0.
    """
    count = sums[:, 3:]
    mean = (2 * sums[:, :3] + count) // np.maximum(2 * count, 1)  # to the nearest, halves up
    charts = np.column_stack([mean, 255 * (count > 0)]).astype(np.uint8).reshape(-1, SIDE, SIDE, 4)
    rows, columns = min(len(charts), _CHARTS_A_COLUMN), -(-len(charts) // _CHARTS_A_COLUMN)
    atlas = np.zeros((rows * SIDE, columns * SIDE, 4), np.uint8)
    for index, chart in enumerate(charts):
        column, row = divmod(index, _CHARTS_A_COLUMN)
        atlas[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = chart
    return atlas
