"""Distances along the surface between all pairs of vertices."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from slimdp.surface.parts import adjacent_faces


def surface_graph(vertices: np.ndarray, faces: np.ndarray) -> csr_array:
    """A graph whose shortest paths are close to geodesics: edges, and straight lines across two triangles.

    Each pair of triangles with a common edge is unfolded into a plane; where the line between the two
    opposite corners crosses that edge, it is a path on the surface. Returns (V, V), metres.
    """
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    ends, crossing = _unfolded_shortcuts(vertices, faces)
    rows = np.concatenate([edges[:, 0], ends[:, 0]])
    columns = np.concatenate([edges[:, 1], ends[:, 1]])
    shape = (len(vertices), len(vertices))
    return coo_array((np.concatenate([length, crossing]), (rows, columns)), shape=shape).tocsr()


def _unfolded_shortcuts(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Opposite corners (K, 2) of neighbouring triangles and their distance (K,) across the common edge."""
    pairs = adjacent_faces(faces)
    first, second = faces[pairs[:, 0]], faces[pairs[:, 1]]
    apex_0 = first[~(first[:, :, None] == second[:, None, :]).any(axis=2)]
    apex_1 = second[~(second[:, :, None] == first[:, None, :]).any(axis=2)]
    shared = first[(first[:, :, None] == second[:, None, :]).any(axis=2)].reshape(-1, 2)
    a, b = vertices[shared[:, 0]], vertices[shared[:, 1]]
    along = (b - a) / np.maximum(np.linalg.norm(b - a, axis=1, keepdims=True), 1e-12)

    def in_plane(apex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offset = vertices[apex] - a
        x = (offset * along).sum(axis=1)
        return x, np.linalg.norm(offset - x[:, None] * along, axis=1)

    (x_0, y_0), (x_1, y_1) = in_plane(apex_0), in_plane(apex_1)
    crossing_at = (x_0 * y_1 + x_1 * y_0) / np.maximum(y_0 + y_1, 1e-12)
    crosses = (crossing_at > 0) & (crossing_at < np.linalg.norm(b - a, axis=1))
    distance = np.hypot(x_0 - x_1, y_0 + y_1)
    return np.stack([apex_0, apex_1], axis=1)[crosses], distance[crosses]


def distances_from(graph: csr_array, sources: np.ndarray) -> np.ndarray:
    """Shortest path lengths (len(sources), V) in metres; raises ValueError where a vertex is out of reach."""
    distance = dijkstra(graph, directed=False, indices=sources)
    if not np.isfinite(distance).all():
        raise ValueError("the surface is not connected: some vertices cannot be reached from others")
    return distance
