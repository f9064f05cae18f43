"""The rims of the charts, and the points on them that are nearest to coordinates outside a chart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.surface.geodesics import twin_half_edges

#: Pairs of a point and a rim edge that are looked at together: 16 MB an array.
_PAIRS_A_BLOCK = 2_000_000


@dataclass(frozen=True)
class ChartRims:
    """Edges of charts with the chart on one side only: a part's border, and both sides of its cuts."""

    face: np.ndarray  # (E,) int64
    corner: np.ndarray  # (E,) 0..2, where the edge begins; it ends at the face's next corner
    part: np.ndarray  # (E,) 1..P
    start: np.ndarray  # (E, 2) u, v
    end: np.ndarray  # (E, 2)

    @staticmethod
    def of(faces: np.ndarray, face_part: np.ndarray, face_uv: np.ndarray) -> ChartRims:
        """For faces (F, 3) over vertices, their parts (F,) and the (u, v) of their corners (F, 3, 2)."""
        places = np.column_stack([np.repeat(face_part, 3), faces.ravel(), face_uv.reshape(-1, 2)])
        point = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1, 3)
        # Mirrored limbs run the other way around in their charts, but each chart for itself runs one way.
        half_edge = np.flatnonzero(twin_half_edges(point) < 0)
        face, corner = half_edge // 3, half_edge % 3
        uv = face_uv.astype(np.float64)
        return ChartRims(face, corner, face_part[face], uv[face, corner], uv[face, (corner + 1) % 3])

    def nearest(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rim's points nearest to (u, v) (N, 2) of parts (N,): face (N,), barycentric weights (N, 3)."""
        face, barycentric = np.zeros(len(part), dtype=np.int64), np.zeros((len(part), 3))
        for label in np.unique(part):
            edges = np.flatnonzero(self.part == label)
            mine = np.flatnonzero(part == label)
            for block in np.array_split(mine, 1 + len(mine) * len(edges) // _PAIRS_A_BLOCK):
                edge, share = self._nearest_edge(edges, uv[block])
                face[block] = self.face[edge]
                barycentric[block, self.corner[edge]] = 1 - share
                barycentric[block, (self.corner[edge] + 1) % 3] = share
        return face, barycentric

    def _nearest_edge(self, edges: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of some edges (E,) the nearest to each point (N, 2), and how far along it the nearest place is."""
        start, along = self.start[edges], self.end[edges] - self.start[edges]
        u, v = uv[:, :1] - start[:, 0], uv[:, 1:] - start[:, 1]  # (N, E)
        length_squared = np.maximum((along**2).sum(axis=1), 1e-24)
        share = ((u * along[:, 0] + v * along[:, 1]) / length_squared).clip(0, 1)
        distance_squared = (u - share * along[:, 0]) ** 2 + (v - share * along[:, 1]) ** 2
        best = distance_squared.argmin(axis=1)
        return edges[best], share[np.arange(len(uv)), best]
