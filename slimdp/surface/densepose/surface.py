"""DensePose's surface as its evaluation knows it: vertices in the charts, and the distances between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimdp.surface.densepose.arrays import coordinates, load_arrays, vector, whole_numbers
from slimdp.surface.densepose.files import DISTANCES, SUBDIVIDED, TRANSFORM, find_files
from slimdp.surface.densepose.table import DistanceTable, open_distances
from slimdp.surface.layout import PartLayout
from slimdp.surface.nearest import NO_VERTEX, NearestVertex
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
