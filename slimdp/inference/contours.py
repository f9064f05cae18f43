"""Lines of equal u and of equal v over a person, as the papers draw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from contourpy import LineType, contour_generator

#: A tenth of a chart from line to line.
LEVELS = tuple(np.round(np.arange(1, 10) / 10, 1).tolist())


@dataclass(frozen=True)
class IsoContour:
    """A line along which u or v of one part has one value."""

    part: int  # 1..P
    coordinate: Literal["u", "v"]
    level: float  # the value, 0..1
    points: np.ndarray  # (K, 2) float64 x, y px; a closed line ends where it begins


def iso_contours(part: np.ndarray, uv: np.ndarray, levels: Sequence[float] = LEVELS) -> Iterator[IsoContour]:
    """Lines of equal u and v, within each part alone: the coordinates of two parts do not meet.

    Args:
        part: (H, W) 0..P, 0 where nobody is.
        uv: (2, H, W) in [0, 1].
        levels: values of u and v to follow.

    Yields:
        Lines part by part, u before v, in px of the maps.
    """
    for label in np.unique(part[part > 0]).tolist():
        mine = part == label
        row, column = (np.flatnonzero(mine.any(axis=axis)) for axis in (1, 0))
        if row[-1] == row[0] or column[-1] == column[0]:
            continue  # no line goes between two rows of pixels here
        place = np.s_[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
        corner = np.array([column[0], row[0]], dtype=np.float64)
        for coordinate, values in zip(("u", "v"), uv):
            known = np.ma.masked_array(values[place], ~mine[place])
            lines = contour_generator(z=known, corner_mask=True, line_type=LineType.Separate)
            for level in levels:
                for points in lines.lines(level):
                    yield IsoContour(label, coordinate, level, np.asarray(points) + corner)  # type: ignore[arg-type]
