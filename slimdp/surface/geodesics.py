"""Distances along the surface between all pairs of vertices.

A shortest path over a mesh is straight inside every strip of triangles that it crosses, once the strip is
unfolded into a plane. So a graph that joins each vertex to all vertices that it sees along a straight line
over a few triangles has shortest paths close to the exact geodesics, and Dijkstra's method finds them fast.
(Mitchell, Mount and Papadimitriou, SIAM J. Computing 1987, let the lines go on without an end.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from flow_cache.runtime.progress import tracked
from flow_cache.runtime.workers import WorkerPool

#: How many edges a straight line may cross. Each one more makes the graph denser and the paths shorter: the
#: mean error on the open body is 1.4 % with 1, 0.4 % with 4, 0.2 % with 6, 0.1 % with 8.
CROSSINGS = 6
_ROWS_A_BLOCK = 256
_ZEROS = 1 << 22  # bytes written at once


def surface_graph(vertices: np.ndarray, faces: np.ndarray, crossings: int = CROSSINGS) -> csr_array:
    """A graph whose shortest paths are close to geodesics: edges, and straight lines over a few triangles.

    It is (V, V), symmetric, metres, of vertices (V, 3), metres, and faces (F, 3), all wound the same way; an
    edge has at most two faces. A straight line crosses at most so many edges.
    """
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    lines, straight = _straight_lines(vertices, faces, crossings)
    ends, metres = np.concatenate([edges, lines]), np.concatenate([length, straight])
    ends, metres = np.concatenate([ends, ends[:, ::-1]]), np.concatenate([metres, metres])
    # Of several lines between the same two vertices, the shortest comes first and stays.
    order = np.lexsort((metres, ends[:, 1], ends[:, 0]))
    ends, metres = ends[order], metres[order]
    first = np.concatenate([[True], (ends[1:] != ends[:-1]).any(axis=1)])
    shape = (len(vertices), len(vertices))
    return coo_array((metres[first], tuple(ends[first].T)), shape=shape).tocsr()


def distances_from(graph: csr_array, sources: np.ndarray) -> np.ndarray:
    """Shortest path lengths (len(sources), V) in metres; raises ValueError where a vertex is out of reach."""
    distance = dijkstra(graph, directed=True, indices=sources)  # symmetric, so that either way is the same
    if not np.isfinite(distance).all():
        raise ValueError("the surface is not connected: some vertices cannot be reached from others")
    return distance


def write_distances(
    path: Path, vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray | None = None, processes: int = 1
) -> None:
    """Write all geodesic distances, condensed (`BodySurface.distances`), as a .npy of float16: 0.5 mm at 1 m.

    The mesh is as for `surface_graph`. `mirror` (V,) is the mirror image of each vertex in the plane x = 0:
    distances of the right half (x <= 0) are then found, and mirrored for the left. None: a mesh without.
    `processes` look for them side by side; the file is the same.
    """
    graph = surface_graph(vertices, faces)
    count = len(vertices)
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count * (count - 1) // 2,))
    _take_room(path, table.offset)
    sources = np.arange(count) if mirror is None else np.flatnonzero(vertices[:, 0] <= 0)
    blocks = [sources[start : start + _ROWS_A_BLOCK] for start in range(0, len(sources), _ROWS_A_BLOCK)]
    with ExitStack() as stack:
        find = partial(_rounded_distances, graph)
        found: Iterable[np.ndarray] = map(find, blocks)
        if processes > 1 and len(blocks) > 1:
            found = stack.enter_context(WorkerPool(find, min(processes, len(blocks)))).map(blocks)
        title, unit = "distances on the body", f"blocks of {_ROWS_A_BLOCK} vertices"
        for block, rows in zip(blocks, tracked(found, title, unit, len(blocks))):
            for vertex, row in zip(block, rows):
                table[vertex * (vertex - 1) // 2 : vertex * (vertex + 1) // 2] = row[:vertex]
                if mirror is not None:
                    twin = mirror[vertex]
                    table[twin * (twin - 1) // 2 : twin * (twin + 1) // 2] = row[mirror][:twin]
    table.flush()


def _take_room(path: Path, header: int) -> None:
    """Take the disk's room for a file of zeros after so many bytes, or raise OSError where it lacks that.

    A full disk would end the process at the first page of a mapped file without room.
    """
    size = path.stat().st_size
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size)
            return
        file.seek(header)
        for start in range(header, size, _ZEROS):
            file.write(bytes(min(_ZEROS, size - start)))


def _rounded_distances(graph: csr_array, sources: np.ndarray) -> np.ndarray:
    """`distances_from` as the file holds them: (len(sources), V) float16."""
    return distances_from(graph, sources).astype(np.float16)


class _Windows(NamedTuple):
    """Edges as seen from vertices, each in the plane into which the triangles in between are unfolded.

    The vertex is the origin; it sees what lies to the left of `lowest` and to the right of `highest`.
    """

    source: np.ndarray  # (N,) vertex
    half_edge: np.ndarray  # (N,) 3 face + corner, of the last face unfolded
    start: np.ndarray  # (N, 2) metres, where the half edge begins
    end: np.ndarray  # (N, 2)
    lowest: np.ndarray  # (N, 2) a direction
    highest: np.ndarray  # (N, 2)

    def where(self, chosen: np.ndarray) -> _Windows:
        return _Windows(*(column[chosen] for column in self))


def _straight_lines(vertices: np.ndarray, faces: np.ndarray, crossings: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of vertices (K, 2) that see each other across 1 to `crossings` edges, and how far apart (K,)."""
    corner = faces.ravel()
    following = np.roll(np.arange(len(corner)).reshape(-1, 3), -1, axis=1).ravel()
    twin = twin_half_edges(faces)
    windows = _opposite_edges(vertices, corner, following)
    lines, lengths = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)]
    for _ in range(crossings):
        windows = windows.where(twin[windows.half_edge] >= 0)
        other = twin[windows.half_edge]  # runs from the window's end to its start
        beyond = following[other]  # from the window's start to the apex of the next face
        apex = corner[following[beyond]]
        apex_at = _unfolded(vertices, windows, corner[beyond], corner[other], apex)
        above, below = cross(windows.lowest, apex_at) > 0, cross(apex_at, windows.highest) > 0
        seen = above & below
        lines.append(np.stack([windows.source, apex], axis=1)[seen])
        lengths.append(np.linalg.norm(apex_at[seen], axis=1))
        near_highest = np.where(below[:, None], apex_at, windows.highest)
        far_lowest = np.where(above[:, None], apex_at, windows.lowest)
        near = windows._replace(half_edge=beyond, end=apex_at, highest=near_highest).where(above)
        far = windows._replace(half_edge=following[beyond], start=apex_at, lowest=far_lowest).where(below)
        windows = _Windows(*map(np.concatenate, zip(near, far)))
    return np.concatenate(lines), np.concatenate(lengths)


def _opposite_edges(vertices: np.ndarray, corner: np.ndarray, following: np.ndarray) -> _Windows:
    """The edge opposite to each corner of every face."""
    start, end = corner[following], corner[following[following]]
    to_start, to_end = vertices[start] - vertices[corner], vertices[end] - vertices[corner]
    length = np.linalg.norm(to_start, axis=1)
    along = (to_start * to_end).sum(axis=1) / np.maximum(length, 1e-12)
    height = np.sqrt(np.maximum((to_end**2).sum(axis=1) - along**2, 0))
    start_at, end_at = np.stack([length, np.zeros(len(length))], axis=1), np.stack([along, height], axis=1)
    return _Windows(corner, following, start_at, end_at, start_at, end_at)


def _unfolded(
    vertices: np.ndarray, windows: _Windows, start: np.ndarray, end: np.ndarray, apex: np.ndarray
) -> np.ndarray:
    """Where the next face's apex (N,) comes to lie (N, 2), beyond the edge from vertex `start` to `end`."""
    edge = vertices[end] - vertices[start]
    length = np.maximum(np.linalg.norm(edge, axis=1), 1e-12)
    offset = vertices[apex] - vertices[start]
    along = (offset * edge).sum(axis=1) / length
    height = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0))
    direction = (windows.end - windows.start) / length[:, None]
    outward = np.stack([direction[:, 1], -direction[:, 0]], axis=1)
    return windows.start + along[:, None] * direction + height[:, None] * outward


def twin_half_edges(faces: np.ndarray) -> np.ndarray:
    """The one that runs back of each half edge (3 face + corner, to the next corner): (3 F,), -1 on rims."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    count = int(faces.max()) + 1
    key, wanted = start * count + end, end * count + start
    order = np.argsort(key)
    candidate = order[np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)]
    return np.where(key[candidate] == wanted, candidate, -1)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross product (N,) of vectors (N, 2) in the plane."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
