"""What the colours of pictures mean, as strips below them: errors, u and v, and the 24 parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimdp.report.drawing import PART_COLOURS, colour_of_unit, text_strip
from slimdp.structures import PARTS

_HEIGHT = 20
_PARTS_A_ROW = 6
_SWATCH = 16


def unit_key(width: int) -> np.ndarray:
    """The colours of u and v from 0 to 1, with their ends named: (20, width, 3) uint8 RGB."""
    end = width // 8
    strip = colour_of_unit(np.linspace(0, 1, width - 2 * end))
    middle = np.full((_HEIGHT, len(strip), 3), 255, dtype=np.uint8)
    middle[3:-3] = strip
    return np.concatenate([text_strip("u, v:   0", end), middle, text_strip("1", end)], axis=1)


def part_key(width: int, names: Sequence[str]) -> np.ndarray:
    """The colours of the parts 1..24 with their numbers and names, in lines of six: (80, width, 3) uint8 RGB.

    Args:
        width: px.
        names: of the parts, that of part p at p; "" shows its number alone.
    """
    columns = np.linspace(0, width, _PARTS_A_ROW + 1).round().astype(int)
    cells = []
    for part in range(1, PARTS + 1):
        place = (part - 1) % _PARTS_A_ROW
        cell = np.full((_HEIGHT, columns[place + 1] - columns[place], 3), 255, dtype=np.uint8)
        cell[2:-2, 4 : 4 + _SWATCH] = PART_COLOURS[part]
        label = text_strip(f"{part} {names[part]}".strip(), cell.shape[1] - _SWATCH - 8)
        cell[:, _SWATCH + 8 :] = label
        cells.append(cell)
    lines = [cells[start : start + _PARTS_A_ROW] for start in range(0, PARTS, _PARTS_A_ROW)]
    return np.concatenate([np.concatenate(line, axis=1) for line in lines])
