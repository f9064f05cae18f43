"""What evaluation asks of a surface, so that every kind of surface can answer it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from slimdp.surface.layout import PartLayout


class Surface(Protocol):
    """Distances along a body between places that are told as (part, u, v).

    There are no positions in space here: DensePose's files have none, as the mesh belongs to SMPL. What
    needs them asks for a `BodySurface`.
    """

    @property
    def name(self) -> str:
        """What the surface is called in tables and errors."""
        ...

    @property
    def layout(self) -> PartLayout:
        """Its parts, 1..P."""
        ...

    def nearest_vertex(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The vertex (N,) int64 nearest to (u, v) (N, 2) among those of part (N,) 0..P; -1 for part 0."""
        ...

    def vertex_distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Metres between vertices, for index arrays that broadcast: 0 for equal ones, infinite for -1."""
        ...

    def distance_between(
        self, part_a: np.ndarray, uv_a: np.ndarray, part_b: np.ndarray, uv_b: np.ndarray
    ) -> np.ndarray:
        """Metres (N,) between places of parts (N,) 0..P at (u, v) (N, 2); infinite where a part is 0."""
        ...
