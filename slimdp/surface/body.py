"""A surface with positions in space: charts to mesh and back, and distances along the skin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from slimdp.surface.chart_places import NO_VERTEX, ChartedFaces, ChartRims, NearestVertex
from slimdp.surface.layout import PartLayout
from slimdp.surface.symmetry import UvSymmetry


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class BodySurface(ChartedFaces):
    """A body in its rest pose, its charts and its geodesic distances.

    (u, v) of a vertex differ between the parts that meet there, so they belong to face corners.
    """

    name: str
    vertices: np.ndarray  # (V, 3) float64, metres; x to the person's left, y up, z to the front
    faces: np.ndarray  # (F, 3) int64, counter-clockwise seen from outside
    face_part: np.ndarray  # (F,) int64, 1..P
    face_uv: np.ndarray  # (F, 3, 2) float32 in [0, 1]
    distances: np.ndarray  # (V (V - 1) / 2,) metres, condensed: vertices a > b at a (a - 1) / 2 + b
    layout: PartLayout
    keypoints: Mapping[str, int] = field(default_factory=dict)  # name -> the nearest vertex

    @property
    def symmetry(self) -> UvSymmetry:
        """Left and right."""
        return UvSymmetry(self.layout)

    def nearest_in_part(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The point of the part's rim that is nearest in (u, v): face (N,) and weights (N, 3)."""
        return self._rims.nearest(part, uv)

    def anchors(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Face (N,) and barycentric weights (N, 3) of keypoints on the skin; ValueError for an unknown name.

        A joint inside a limb is anchored at the vertex that is nearest to it in the rest pose.
        """
        unknown = [name for name in names if name not in self.keypoints]
        if unknown:
            raise ValueError(f"no keypoint {unknown[0]!r}; choose from: {', '.join(sorted(self.keypoints))}")
        # The first of the faces about each vertex, so that every call gives the same.
        places = [np.argwhere(self.faces == self.keypoints[name])[0] for name in names]
        face, corner = np.array(places, dtype=np.int64).reshape(-1, 2).T
        return face, np.eye(3)[corner]

    def positions(self, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Where surface points lie in space, (N, 3) metres, rest pose."""
        return np.einsum("nk,nkc->nc", barycentric, self.vertices[self.faces[face]])

    def geodesic_distance(
        self, face_a: np.ndarray, barycentric_a: np.ndarray, face_b: np.ndarray, barycentric_b: np.ndarray
    ) -> np.ndarray:
        """Distances (N,) in metres along the surface between N pairs of surface points.

        Only distances between vertices are stored. With weights a_i, b_j of the corners, the mean of squared
        distances sum_ij a_i b_j d_ij^2 exceeds the squared distance of the points by the spread of each
        point's corners about it (exactly so on a plane), which is taken off: there is no error at close
        range, where it would matter for a threshold of 5 cm.
        """
        corners_a, corners_b = self.faces[face_a], self.faces[face_b]
        squared = self.vertex_distance(corners_a[:, :, None], corners_b[:, None, :]) ** 2
        mean = np.einsum("ni,nj,nij->n", barycentric_a, barycentric_b, squared)
        spread = self._spread(face_a, barycentric_a) + self._spread(face_b, barycentric_b)
        return np.sqrt(np.maximum(mean - spread, 0))

    def distance_between(
        self, part_a: np.ndarray, uv_a: np.ndarray, part_b: np.ndarray, uv_b: np.ndarray
    ) -> np.ndarray:
        """As `Surface`; outside a chart its nearest point counts, and errors are those of `locate`."""
        part_a, part_b = np.asarray(part_a), np.asarray(part_b)
        distance_m = np.full(len(part_a), np.inf)
        both = (part_a != 0) & (part_b != 0)
        if both.any():
            distance_m[both] = self.geodesic_distance(
                *self.locate(part_a[both], uv_a[both]), *self.locate(part_b[both], uv_b[both])
            )
        return distance_m

    def vertex_distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """As `Surface`."""
        a, b = np.broadcast_arrays(a, b)
        high, low = np.maximum(a, b).astype(np.int64), np.minimum(a, b).astype(np.int64)
        known = (low > NO_VERTEX) & (high > low)
        entry = np.where(known, high * (high - 1) // 2 + low, 0)
        distance_m = np.where(known, np.asarray(self.distances[entry], dtype=np.float64), 0.0)
        return np.where(low > NO_VERTEX, distance_m, np.inf)

    def nearest_vertex(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """As `Surface`; the lowest of vertices equally near counts."""
        return self._vertices_of_parts.find(part, uv)

    def _spread(self, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        corners = self.vertices[self.faces[face]]
        centre = np.einsum("nk,nkc->nc", barycentric, corners)
        return np.einsum("nk,nkc->n", barycentric, (corners - centre[:, None]) ** 2)

    @cached_property
    def _vertices_of_parts(self) -> NearestVertex:
        vertex, part = self.faces.ravel(), np.repeat(self.face_part, 3)
        order = np.argsort(vertex, kind="stable")
        return NearestVertex(part[order], self.face_uv.reshape(-1, 2)[order], vertex[order])

    @cached_property
    def _rims(self) -> ChartRims:
        return ChartRims.of(self.faces, self.face_part, self.face_uv)
