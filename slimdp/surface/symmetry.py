"""Left and right: what a mirrored image does to part labels and to (u, v)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimdp.surface.densepose.matlab5 import coordinates, load_cells
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: Cells along each side of a table of mirrored coordinates.
TABLE_SIZE = 256
_TABLES = ("U_transforms", "V_transforms")


@dataclass(frozen=True)
class UvSymmetry:
    """Where (u, v) of a part goes on the mirrored part.

    `tables` is (P, 2, 256, 256) float32: for the source part p, cell [p - 1, :, int(255 v), int(255 u)]
    holds the mirrored (u, v), as in DensePose's UV_symmetry_transforms.mat. None means a surface whose charts
    are mirror images of each other: (u, v) stay, but for parts that are their own mirror images, as the two
    halves of the torso, where u becomes 1 - u.
    """

    layout: PartLayout = PEOPLE
    tables: np.ndarray | None = None

    def flip(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mirror labels: part (N,) 0..P and uv (N, 2) in [0, 1], NaN where it is not known; new arrays.

        Raises ValueError for a part beyond those of the layout, or a layout without symmetry.
        """
        part, flip_part = np.asarray(part), self.layout.flip_part
        if part.size and (part.min() < 0 or part.max() >= len(flip_part)):
            found = f"part labels run from {part.min()} to {part.max()}"
            raise ValueError(f"{found}, but 0..{len(flip_part) - 1} is wanted")
        uv = np.array(uv, dtype=np.float32)
        if self.tables is None:
            own_mirror = (part > 0) & (flip_part[part] == part)
            uv[own_mirror, 0] = 1 - uv[own_mirror, 0]
        else:
            on_body = (part > 0) & ~np.isnan(uv).any(axis=1)
            column, row = np.clip(uv[on_body] * (TABLE_SIZE - 1), 0, TABLE_SIZE - 1).astype(int).T
            uv[on_body] = self.tables[part[on_body] - 1, :, row, column]
        return flip_part[part], uv


def load_uv_symmetry(path: Path) -> UvSymmetry:
    """Read DensePose's UV_symmetry_transforms.mat.

    Raises ValueError naming file, key and cell, for what is missing, damaged, not finite or outside 0..1.
    """
    shape = (TABLE_SIZE, TABLE_SIZE)
    tables = []
    for key, cells in zip(_TABLES, load_cells(path, _TABLES, len(PEOPLE.parts), shape), strict=True):
        checked = [coordinates(cell, f"{path}: {key} of part {n}") for n, cell in enumerate(cells, start=1)]
        tables.append(np.stack(checked).astype(np.float32))
    return UvSymmetry(tables=np.stack(tables, axis=1))
