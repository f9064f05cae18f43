"""DensePose's surface, from the files that its authors publish: its charts, and the distances on it.

The files have no positions in space. Those belong to SMPL, which is licensed apart: who has its vertices can
place the points found here on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from slimdp.surface.chart_places import NO_VERTEX, ChartFaces, NearestVertex, checked_places
from slimdp.surface.densepose.arrays import coordinates, load_arrays, vector, whole_numbers
from slimdp.surface.densepose.files import DISTANCES, SUBDIVIDED, TRANSFORM, find_files
from slimdp.surface.densepose.table import DistanceTable, open_distances
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE


@dataclass(frozen=True)
class DensePoseSurface:
    """The subdivided SMPL mesh without its positions: a place in a chart counts as its nearest vertex."""

    name: str
    places: NearestVertex  # of the chart vertices, with the mesh vertices that they are
    distances: DistanceTable
    layout: PartLayout = PEOPLE

    def nearest_vertex(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The vertex (N,) nearest to (u, v) (N, 2) among those of part (N,) 0..24; -1 for part 0.

        Of chart vertices equally near the first of the file counts; errors as for `NearestVertex.find`.
        """
        return self.places.find(part, uv)

    def vertex_distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Metres along the skin between vertices, for index arrays that broadcast.

        Equal vertices are 0 apart; where either is -1 (no vertex), the distance is infinite.

        Raises:
            ValueError: a vertex that is not there, or an entry of the table that is no distance.
        """
        a, b = np.broadcast_arrays(np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64))
        distance_m = np.full(a.shape, np.inf)
        known = (a != NO_VERTEX) & (b != NO_VERTEX)
        distance_m[known] = self.distances.between(a[known], b[known])
        return distance_m

    def distance_between(
        self, part_a: np.ndarray, uv_a: np.ndarray, part_b: np.ndarray, uv_b: np.ndarray
    ) -> np.ndarray:
        """Metres (N,) between the vertices nearest to places of parts (N,) 0..24 at (u, v) (N, 2).

        Infinite where either part is 0; errors as for `nearest_vertex` and `vertex_distance`.
        """
        return self.vertex_distance(self.nearest_vertex(part_a, uv_a), self.nearest_vertex(part_b, uv_b))


def load_densepose_surface(folder: Path) -> DensePoseSurface:
    """The surface of a folder with SMPL_subdiv.mat, SMPL_SUBDIV_TRANSFORM.mat and Pdist_matrix.

    Raises:
        ValueError: files are missing, damaged, or do not fit one another.
    """
    subdivided, transform, distances = find_files(folder, SUBDIVIDED, TRANSFORM, DISTANCES)
    table = open_distances(distances)
    part, uv = load_subdivided(subdivided)
    vertex = load_transform(transform, len(part), table.vertices)
    on_body = part > 0
    return DensePoseSurface(str(folder), NearestVertex(part[on_body], uv[on_body], vertex[on_body]), table)


def load_subdivided(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Parts (K,) int64, 0..24, and (u, v) (K, 2) of the chart vertices of SMPL_subdiv.mat.

    Raises:
        ValueError: naming file and key, for what is missing, of another form or out of range.
    """
    u, v, part = load_arrays(path, ("U_subdiv", "V_subdiv", "Part_ID_subdiv"))
    u = coordinates(vector(u, f"{path}: U_subdiv"), f"{path}: U_subdiv")
    v = coordinates(vector(v, f"{path}: V_subdiv", len(u)), f"{path}: V_subdiv")
    what = f"{path}: Part_ID_subdiv"
    part = whole_numbers(vector(part, what, len(u)), 0, len(PEOPLE.parts), what)
    absent = sorted(set(range(1, 1 + len(PEOPLE.parts))) - set(part.tolist()))
    if absent:
        raise ValueError(f"{what} has no vertex of part {absent[0]}")
    return part, np.stack([u, v], axis=1)


def load_transform(path: Path, chart_vertices: int | None, vertices: int) -> np.ndarray:
    """The mesh vertex (K,) int64 from 0 that each chart vertex is, of SMPL_SUBDIV_TRANSFORM.mat.

    Args:
        path: of the file.
        chart_vertices: how many there are; None for any number.
        vertices: of the mesh.

    Raises:
        ValueError: naming file and key, for what is missing, of another form or out of range.
    """
    (index,) = load_arrays(path, ("index",))
    what = f"{path}: index"
    return whole_numbers(vector(index, what, chart_vertices), 1, vertices, what) - 1


@dataclass(frozen=True)
class DensePoseCharts:
    """24 charts and the SMPL vertices that they show; a vertex where parts meet is several chart vertices."""

    faces: np.ndarray  # (F, 3) int64, of chart vertices
    face_part: np.ndarray  # (F,) int64, 1..24
    vertex_uv: np.ndarray  # (K, 2) float64 in [0, 1]
    smpl_vertex: np.ndarray  # (K,) int64, from 0, the vertex of the SMPL mesh that each chart vertex is
    layout: PartLayout = PEOPLE

    @cached_property
    def face_uv(self) -> np.ndarray:
        """(u, v) of the faces' corners, (F, 3, 2)."""
        return self.vertex_uv[self.faces]

    @cached_property
    def smpl_faces(self) -> np.ndarray:
        """The faces over the vertices of the SMPL mesh, (F, 3) int64."""
        return self.smpl_vertex[self.faces]

    def locate(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the surface points of chart coordinates (DensePose's IUV to mesh).

        Args:
            part: (N,) 1..24.
            uv: (N, 2) in [0, 1].

        Returns:
            face (N,) int64 and barycentric weights (N, 3) of the part's face that holds (u, v); outside the
            chart, of the part's vertex that is nearest in (u, v).

        Raises:
            ValueError: a part outside 1..24, or coordinates that are not finite or outside [0, 1].
        """
        part, uv = checked_places(part, uv, len(self.layout.parts))
        face, barycentric = self._chart_faces.holding(part, uv)
        outside = np.flatnonzero(face < 0)
        if len(outside):
            corner = self._corners.find(part[outside], uv[outside])
            face[outside] = corner // 3
            barycentric[outside, corner % 3] = 1
        return face, barycentric

    def chart(self, face: np.ndarray, barycentric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Part (N,) and (u, v) (N, 2) float32 of surface points; the inverse of `locate`."""
        uv = np.einsum("nk,nkc->nc", barycentric, self.face_uv[face])
        return self.face_part[face], uv.astype(np.float32)

    def positions(self, smpl_vertices: np.ndarray, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Where surface points lie on a body in any pose, (N, 3), in the unit of its vertices.

        Args:
            smpl_vertices: (6890, 3) of a body of the SMPL model, in its numbering.
            face: (N,).
            barycentric: (N, 3).

        Raises:
            ValueError: too few vertices.
        """
        wanted = int(self.smpl_vertex.max()) + 1
        if smpl_vertices.shape != (len(smpl_vertices), 3) or len(smpl_vertices) < wanted:
            raise ValueError(f"vertices of shape {smpl_vertices.shape}, but ({wanted}, 3) are wanted")
        return np.einsum("nk,nkc->nc", barycentric, smpl_vertices[self.smpl_faces[face]])

    @cached_property
    def _chart_faces(self) -> ChartFaces:
        return ChartFaces(self.face_part, self.face_uv)

    @cached_property
    def _corners(self) -> NearestVertex:
        """The faces' corners, numbered 3 face + corner, in the order of the chart vertices."""
        order = np.argsort(self.faces.ravel(), kind="stable")
        return NearestVertex(np.repeat(self.face_part, 3)[order], self.face_uv.reshape(-1, 2)[order], order)


def load_densepose_charts(path: Path) -> DensePoseCharts:
    """Read UV_Processed.mat.

    Raises:
        ValueError: naming file and key, for keys that are missing or of another form, values that are not
            finite or out of range, or a part without faces.
    """
    keys = ("All_Faces", "All_FaceIndices", "All_U_norm", "All_V_norm", "All_vertices")
    faces, part, u, v, smpl = load_arrays(path, keys)
    if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"{path}: All_Faces has shape {faces.shape}, but (F, 3) is wanted")
    u = vector(u, f"{path}: All_U_norm")
    count = len(u)
    v = vector(v, f"{path}: All_V_norm", count)
    smpl = vector(smpl, f"{path}: All_vertices", count)
    part = vector(part, f"{path}: All_FaceIndices", len(faces))
    uv = np.stack([coordinates(u, f"{path}: All_U_norm"), coordinates(v, f"{path}: All_V_norm")], axis=1)
    charts = DensePoseCharts(
        faces=whole_numbers(faces, 1, count, f"{path}: All_Faces") - 1,
        face_part=whole_numbers(part, 1, len(PEOPLE.parts), f"{path}: All_FaceIndices"),
        vertex_uv=uv,
        smpl_vertex=whole_numbers(smpl, 1, count, f"{path}: All_vertices") - 1,
    )
    absent = sorted(set(range(1, 1 + len(PEOPLE.parts))) - set(charts.face_part.tolist()))
    if absent:
        raise ValueError(f"{path}: All_FaceIndices has no face of part {absent[0]}")
    return charts
