"""Left and right: what a mirrored picture does to part labels and to (u, v)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimdp.structures import PARTS
from slimdp.surface.densepose.arrays import coordinates, load_cells

#: Label of the mirrored part, for point labels 0..24 (docs/data.md).
FLIP_PART = np.array(
    [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23]
)
#: The same for the coarse mask labels 0..14.
FLIP_COARSE = np.array([0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14])
#: Cells along each side of a table of mirrored coordinates.
TABLE_SIZE = 256
_TABLES = ("U_transforms", "V_transforms")


@dataclass(frozen=True)
class UvSymmetry:
    """Where (u, v) of a part goes on the mirrored part.

    `tables` is (24, 2, 256, 256) float32: for the source part p, cell [p - 1, :, int(255 v), int(255 u)]
    holds the mirrored (u, v), as in DensePose's UV_symmetry_transforms.mat. None means a body whose charts
    are mirror images of each other: (u, v) stay, but for the two halves of the torso, which are their own
    mirror images and where u becomes 1 - u.
    """

    tables: np.ndarray | None = None

    def flip(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mirror labels: part (N,) 0..24 and uv (N, 2) in [0, 1], NaN where it is not known; new arrays."""
        part = np.asarray(part)
        if part.size and (part.min() < 0 or part.max() > PARTS):
            raise ValueError(f"part labels run from {part.min()} to {part.max()}, but 0..{PARTS} is wanted")
        uv = np.array(uv, dtype=np.float32)
        if self.tables is None:
            torso = (part == 1) | (part == 2)
            uv[torso, 0] = 1 - uv[torso, 0]
        else:
            on_body = (part > 0) & ~np.isnan(uv).any(axis=1)
            column, row = np.clip(uv[on_body] * (TABLE_SIZE - 1), 0, TABLE_SIZE - 1).astype(int).T
            uv[on_body] = self.tables[part[on_body] - 1, :, row, column]
        return FLIP_PART[part], uv


def load_uv_symmetry(path: Path) -> UvSymmetry:
    """Read DensePose's UV_symmetry_transforms.mat.

    Raises:
        ValueError: naming file, key and cell, for what is missing, damaged, not finite or outside 0..1.
    """
    shape = (TABLE_SIZE, TABLE_SIZE)
    tables = []
    for key, cells in zip(_TABLES, load_cells(path, _TABLES, PARTS, shape), strict=True):
        checked = [coordinates(cell, f"{path}: {key} of part {n}") for n, cell in enumerate(cells, start=1)]
        tables.append(np.stack(checked).astype(np.float32))
    return UvSymmetry(np.stack(tables, axis=1))
