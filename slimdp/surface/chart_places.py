"""From part, u and v to the mesh: the triangle that holds a place, or the nearest rim or vertex."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from slimdp.surface.geodesics import cross, twin_half_edges
from slimdp.surface.layout import PartLayout

if TYPE_CHECKING:
    from trimesh.ray.ray_pyembree import RayMeshIntersector

#: Charts are laid out side by side, this far apart, so that one ray caster finds all of them. From a place in
#: the unit square every corner of its own chart is nearer than any other chart's.
_CHART_SPACING = 2.0
#: How far past 0 or 1 a coordinate may be before it is an error rather than rounding.
_ROUNDING = 1e-3
#: A ray through the edge between two triangles may slip between them: it is cast again this far aside.
_ASIDE = 2e-5 * np.array([(0, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)])
#: Pairs of a point and a rim edge that are looked at together: 16 MB an array.
_PAIRS_A_BLOCK = 2_000_000
#: The vertex of what lies on no part.
NO_VERTEX = -1


class ChartedFaces:
    """Triangles that lie in the charts of their parts: from part, u and v to the mesh and back."""

    layout: PartLayout
    face_part: np.ndarray  # (F,) int64, 1..P
    face_uv: np.ndarray  # (F, 3, 2) in [0, 1]

    def locate(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the surface points of parts (N,) 1..P and (u, v) (N, 2) (DensePose, 2.1: IUV to mesh).

        They are face (N,) int64 and barycentric weights (N, 3) of the part's face that holds (u, v); outside
        the chart, of what of the part is nearest in (u, v) (`nearest_in_part`). Raises ValueError for a part
        outside 1..P, or coordinates that are not finite or outside [0, 1].
        """
        part, uv = np.asarray(part).astype(np.int64), np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        _check_parts(part, 1, len(self.layout.parts))
        if not np.isfinite(uv).all():
            raise ValueError(f"{(~np.isfinite(uv)).any(axis=1).sum()} of {len(uv)} (u, v) are not finite")
        if uv.size and (uv.min() < -_ROUNDING or uv.max() > 1 + _ROUNDING):
            raise ValueError(f"(u, v) run from {uv.min():g} to {uv.max():g}, but 0..1 is wanted")
        uv = uv.clip(0, 1)
        face = np.full(len(part), -1)
        for aside in _ASIDE:
            missed = np.flatnonzero(face < 0)
            face[missed] = self._face_under(part[missed], uv[missed] + aside)
        barycentric = np.zeros((len(part), 3))
        hit = face >= 0
        barycentric[hit] = _barycentric_2d(uv[hit], self.face_uv[face[hit]].astype(np.float64))
        if not hit.all():
            face[~hit], barycentric[~hit] = self.nearest_in_part(part[~hit], uv[~hit])
        return face, barycentric

    def nearest_in_part(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Face (N,) and weights (N, 3) for places outside of their charts."""
        raise NotImplementedError

    def chart(self, face: np.ndarray, barycentric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Part (N,) and (u, v) (N, 2) float32 of surface points; the inverse of `locate`."""
        uv = np.einsum("nk,nkc->nc", barycentric, self.face_uv[face])
        return self.face_part[face], uv.astype(np.float32)

    def _face_under(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The face (N,) of each part's chart that a point lies in, -1 outside the chart."""
        if len(part) == 0:
            return np.zeros(0, dtype=np.int64)
        origins = np.column_stack([uv[:, 0] + _CHART_SPACING * part, uv[:, 1], np.ones(len(part))])
        down = np.broadcast_to([0.0, 0.0, -1.0], origins.shape)
        return self._rays.intersects_first(origins, down).astype(np.int64)

    @cached_property
    def _rays(self) -> RayMeshIntersector:
        import trimesh  # a third of a second, and most commands cast no ray
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        corners = self.face_uv.astype(np.float64).reshape(-1, 2)
        corners[:, 0] += _CHART_SPACING * np.repeat(self.face_part, 3)
        flat = np.column_stack([corners, np.zeros(len(corners))])
        faces = np.arange(len(flat)).reshape(-1, 3)
        return RayMeshIntersector(trimesh.Trimesh(flat, faces, process=False), scale_to_box=False)


def _check_parts(part: np.ndarray, lowest: int, highest: int) -> None:
    if part.size and (part.min() < lowest or part.max() > highest):
        raise ValueError(f"parts run from {part.min()} to {part.max()}, but {lowest}..{highest} is wanted")


def _barycentric_2d(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Weights (N, 3) of points (N, 2) in triangles (N, 3, 2), not negative and summing to 1."""
    corner = corners[:, 0]
    to_b, to_c, to_point = corners[:, 1] - corner, corners[:, 2] - corner, points - corner
    doubled = cross(to_b, to_c)
    doubled = np.where(np.abs(doubled) < 1e-20, 1e-20, doubled)
    weight_b, weight_c = cross(to_point, to_c) / doubled, cross(to_b, to_point) / doubled
    weights = np.clip(np.stack([1 - weight_b - weight_c, weight_b, weight_c], axis=1), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


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
        """The rims of faces (F, 3) over vertices, of parts (F,), whose corners have (u, v) (F, 3, 2)."""
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
        """The nearest of some edges (E,) to each point (N, 2), and how far along it the nearest place is."""
        start, along = self.start[edges], self.end[edges] - self.start[edges]
        u, v = uv[:, :1] - start[:, 0], uv[:, 1:] - start[:, 1]  # (N, E)
        length_squared = np.maximum((along**2).sum(axis=1), 1e-24)
        share = ((u * along[:, 0] + v * along[:, 1]) / length_squared).clip(0, 1)
        distance_squared = (u - share * along[:, 0]) ** 2 + (v - share * along[:, 1]) ** 2
        best = distance_squared.argmin(axis=1)
        return edges[best], share[np.arange(len(uv)), best]


@dataclass(frozen=True)
class NearestVertex:
    """Vertices at their places in the charts; one that lies at several places is listed with each."""

    part: np.ndarray  # (K,) 1..P
    uv: np.ndarray  # (K, 2)
    vertex: np.ndarray  # (K,) int64

    def find(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The vertex (N,) int64 nearest to (u, v) (N, 2) among those of the same part (N,) 0..P.

        The place listed first counts where several are equally near. Part 0 has no vertex: -1, whatever its
        (u, v). Raises ValueError for a part outside 0..P or without vertices, or coordinates not finite.
        """
        part, uv = np.asarray(part), np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        if part.shape != (len(uv),):
            raise ValueError(f"{part.shape} parts for {len(uv)} (u, v): one each is wanted")
        _check_parts(part, 0, self.part.max())
        bad = (part > 0) & ~np.isfinite(uv).all(axis=1)
        if bad.any():
            raise ValueError(f"{bad.sum()} of {len(uv)} (u, v) on the body are not finite")
        found = np.full(len(uv), NO_VERTEX, dtype=np.int64)
        for label in np.unique(part[part > 0]).tolist():
            if label not in self._trees:
                raise ValueError(f"this surface has no vertex on part {label}")
            (tree, vertex), mine = self._trees[label], np.flatnonzero(part == label)
            # Of one place alone the second is infinitely far.
            distance, place = tree.query(uv[mine], k=[1, 2])
            nearest = place[:, 0]
            for row in np.flatnonzero(distance[:, 0] == distance[:, 1]):  # few: the tree takes any of those
                nearest[row] = ((tree.data - uv[mine[row]]) ** 2).sum(axis=1).argmin()
            found[mine] = vertex[nearest]
        return found

    @cached_property
    def _trees(self) -> dict[int, tuple[cKDTree, np.ndarray]]:
        """The distinct places of each part and the vertex that is listed first at each."""
        trees = {}
        for label in np.unique(self.part).tolist():
            mine = np.flatnonzero(self.part == label)
            first = np.sort(np.unique(self.uv[mine], axis=0, return_index=True)[1])
            kept = mine[first]
            trees[label] = cKDTree(self.uv[kept].astype(np.float64)), self.vertex[kept]
        return trees
