"""DensePose's surface, from the files that its authors publish: its charts, and the distances on it.

The files have no positions in space. Those belong to SMPL, which is licensed apart: who has its vertices can
place the points found here on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from slimdp.surface.chart_places import NO_VERTEX, ChartedFaces, NearestVertex
from slimdp.surface.densepose.files import DISTANCES, SUBDIVIDED, TRANSFORM, find_files
from slimdp.surface.densepose.matlab5 import coordinates, load_arrays, vector, whole_numbers
from slimdp.surface.densepose.table import DistanceTable, open_distances
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

_PARTS = len(PEOPLE.parts)


@dataclass(frozen=True)
class DensePoseSurface:
    """The subdivided SMPL mesh without its positions: a place in a chart counts as its nearest vertex."""

    name: str
    places: NearestVertex  # of the chart vertices, with the mesh vertices that they are
    distances: DistanceTable
    layout: PartLayout = PEOPLE

    def nearest_vertex(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """As `Surface`; the first in the file of chart vertices equally near counts."""
        return self.places.find(part, uv)

    def vertex_distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """As `Surface`; ValueError for a vertex that is not there, or an entry that is no distance."""
        a, b = np.broadcast_arrays(np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64))
        distance_m = np.full(a.shape, np.inf)
        known = (a != NO_VERTEX) & (b != NO_VERTEX)
        distance_m[known] = self.distances.between(a[known], b[known])
        return distance_m

    def distance_between(
        self, part_a: np.ndarray, uv_a: np.ndarray, part_b: np.ndarray, uv_b: np.ndarray
    ) -> np.ndarray:
        """As `Surface`, between the vertices nearest to the places."""
        return self.vertex_distance(self.nearest_vertex(part_a, uv_a), self.nearest_vertex(part_b, uv_b))


def load_densepose_surface(folder: Path) -> DensePoseSurface:
    """The surface of a folder with SMPL_subdiv.mat, SMPL_SUBDIV_TRANSFORM.mat and Pdist_matrix.

    Raises ValueError where files are missing, damaged, or do not fit one another.
    """
    subdivided, transform, distances = find_files(folder, SUBDIVIDED, TRANSFORM, DISTANCES)
    table = open_distances(distances)
    part, uv = load_subdivided(subdivided)
    vertex = load_transform(transform, len(part), table.vertices)
    on_body = part > 0
    return DensePoseSurface(str(folder), NearestVertex(part[on_body], uv[on_body], vertex[on_body]), table)


def load_subdivided(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Parts (K,) int64, 0..24, and (u, v) (K, 2) of the chart vertices of SMPL_subdiv.mat.

    Raises ValueError naming file and key, for what is missing, of another form or out of range.
    """
    u, v, part = load_arrays(path, ("U_subdiv", "V_subdiv", "Part_ID_subdiv"))
    uv = _coordinates(path, U_subdiv=u, V_subdiv=v)
    return _parts(path, "Part_ID_subdiv", part, len(uv), 0, "vertex"), uv


def load_transform(path: Path, chart_vertices: int | None, vertices: int) -> np.ndarray:
    """The mesh vertex (K,) int64 from 0 that each chart vertex is, of SMPL_SUBDIV_TRANSFORM.mat.

    None is any number of chart vertices. Raises ValueError as `load_subdivided`.
    """
    (index,) = load_arrays(path, ("index",))
    what = f"{path}: index"
    return whole_numbers(vector(index, what, chart_vertices), 1, vertices, what) - 1


@dataclass(frozen=True)
class DensePoseCharts(ChartedFaces):
    """24 charts and the SMPL vertices that they show; a vertex where parts meet is several chart vertices."""

    faces: np.ndarray  # (F, 3) int64, of chart vertices
    face_part: np.ndarray  # (F,) int64, 1..24
    vertex_uv: np.ndarray  # (K, 2) float64 in [0, 1]
    smpl_vertex: np.ndarray  # (K,) int64, from 0, the vertex of the SMPL mesh that each chart vertex is
    layout: PartLayout = PEOPLE

    @cached_property
    def face_uv(self) -> np.ndarray:  # type: ignore[override]
        """(u, v) of the faces' corners, (F, 3, 2)."""
        return self.vertex_uv[self.faces]

    @cached_property
    def smpl_faces(self) -> np.ndarray:
        """The faces over the vertices of the SMPL mesh, (F, 3) int64."""
        return self.smpl_vertex[self.faces]

    def nearest_in_part(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part's vertex that is nearest in (u, v): face (N,) and weights (N, 3)."""
        corner = self._corners.find(part, uv)
        return corner // 3, np.eye(3)[corner % 3]

    def positions(self, smpl_vertices: np.ndarray, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Where surface points, face (N,) and weights (N, 3), lie on a body in any pose, (N, 3).

        The vertices (6890, 3), whose unit it has, are those of the SMPL model, in its numbering; ValueError
        for too few.
        """
        wanted = int(self.smpl_vertex.max()) + 1
        if smpl_vertices.shape != (len(smpl_vertices), 3) or len(smpl_vertices) < wanted:
            raise ValueError(f"vertices of shape {smpl_vertices.shape}, but ({wanted}, 3) are wanted")
        return np.einsum("nk,nkc->nc", barycentric, smpl_vertices[self.smpl_faces[face]])

    @cached_property
    def _corners(self) -> NearestVertex:
        """The faces' corners, numbered 3 face + corner, in the order of the chart vertices."""
        order = np.argsort(self.faces.ravel(), kind="stable")
        return NearestVertex(np.repeat(self.face_part, 3)[order], self.face_uv.reshape(-1, 2)[order], order)


def load_densepose_charts(path: Path) -> DensePoseCharts:
    """Read UV_Processed.mat; ValueError as `load_subdivided`, or for a part without faces."""
    keys = ("All_Faces", "All_FaceIndices", "All_U_norm", "All_V_norm", "All_vertices")
    faces, part, u, v, smpl = load_arrays(path, keys)
    if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"{path}: All_Faces has shape {faces.shape}, but (F, 3) is wanted")
    uv, what = _coordinates(path, All_U_norm=u, All_V_norm=v), f"{path}: All_vertices"
    corners = whole_numbers(faces, 1, len(uv), f"{path}: All_Faces") - 1
    face_part = _parts(path, "All_FaceIndices", part, len(faces), 1, "face")
    smpl_vertex = whole_numbers(vector(smpl, what, len(uv)), 1, len(uv), what) - 1
    return DensePoseCharts(corners, face_part, uv, smpl_vertex)


def _coordinates(path: Path, **arrays: np.ndarray) -> np.ndarray:
    """(u, v) (K, 2) of two vectors, by their keys in the file, checked."""
    count = next(iter(arrays.values())).size
    named = {f"{path}: {key}": array for key, array in arrays.items()}
    return np.stack([coordinates(vector(array, what, count), what) for what, array in named.items()], axis=1)


def _parts(path: Path, key: str, array: np.ndarray, count: int, lowest: int, what: str) -> np.ndarray:
    """Parts (count,) int64, checked: each of them has some."""
    part = whole_numbers(vector(array, f"{path}: {key}", count), lowest, _PARTS, f"{path}: {key}")
    absent = np.setdiff1d(np.arange(1, _PARTS + 1), part)
    if absent.size:
        raise ValueError(f"{path}: {key} has no {what} of part {absent[0]}")
    return part
