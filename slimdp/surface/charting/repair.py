"""Mend a mesh until it is one piece of surface, wound one way; every change is told, and what cannot be
mended is an error.

Geodesics and charts want an oriented manifold: an edge has one or two triangles, and those about a vertex
form one fan.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from slimdp.surface.geodesics import twin_half_edges

Holes = Literal["refuse", "fill", "keep"]
#: Vertices this near are one, as a share of the mesh's diagonal.
_SAME_PLACE = 1e-6
#: Triangles of less than this are slivers without a chart, as a share of the mean one.
_NO_AREA = 1e-9


@dataclass(frozen=True)
class Mesh:
    """Triangles with the name of the part that each belongs to."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    label: np.ndarray  # (F,) str


def repaired(
    mesh: Mesh, holes: Holes = "refuse", keep_largest: bool = False, faces: int | None = None
) -> tuple[Mesh, list[str]]:
    """A mesh in one piece, wound so that outside is counter-clockwise, and what was changed for it, in words.

    Args:
        mesh: of any state; vertices are finite.
        holes: refuse an open mesh, fill its holes, or keep them.
        keep_largest: of several pieces keep the one of the largest area; else they are refused.
        faces: to how many triangles to reduce one that has more.

    Raises:
        ValueError: an edge of three triangles or more, a surface with one side only, several pieces, holes,
            or triangles without an area; it says how many, where the first is, and what to do.
    """
    notes: list[str] = []
    mesh = _merged(mesh, notes)
    if faces is not None and len(mesh.faces) > faces:
        mesh = _reduced(mesh, faces, notes)
    mesh = _without_doubles(mesh, notes)
    _require_manifold_edges(mesh)
    mesh = _wound_one_way(mesh, notes)
    mesh = _one_piece(mesh, keep_largest, notes)
    mesh = _one_fan_a_vertex(mesh, notes)
    mesh = _closed(mesh, holes, notes)
    _require_areas(mesh)
    return mesh, notes


def _merged(mesh: Mesh, notes: list[str]) -> Mesh:
    near = cKDTree(mesh.vertices).query_pairs(_SAME_PLACE * diagonal(mesh.vertices), output_type="ndarray")
    count = len(mesh.vertices)
    graph = coo_array((np.ones(len(near)), near.T), shape=(count, count))
    kinds, kind = connected_components(graph, directed=False)
    if kinds == count:
        return mesh
    first = np.unique(kind, return_index=True)[1]
    notes.append(f"merged {count - kinds} vertices with others at the same place")
    return Mesh(mesh.vertices[first], kind[mesh.faces].astype(np.int64), mesh.label)


def diagonal(vertices: np.ndarray) -> float:
    """The length of the diagonal of the box about vertices (V, 3)."""
    return float(np.linalg.norm(np.ptp(vertices, axis=0)))


def _reduced(mesh: Mesh, faces: int, notes: list[str]) -> Mesh:
    if importlib.util.find_spec("fast_simplification") is None:
        remedy = "pip install 'slimdp[chart]', or reduce it in a program such as Blender or MeshLab"
        raise ValueError(f"to reduce {len(mesh.faces)} triangles needs fast-simplification: {remedy}")
    import fast_simplification

    points, triangles = fast_simplification.simplify(
        mesh.vertices, mesh.faces.astype(np.int32), target_count=faces
    )
    triangles = np.asarray(triangles, dtype=np.int64)
    nearest = cKDTree(mesh.vertices[mesh.faces].mean(axis=1)).query(points[triangles].mean(axis=1))[1]
    notes.append(f"reduced {len(mesh.faces)} triangles to {len(triangles)}")
    return Mesh(np.asarray(points, dtype=np.float64), triangles, mesh.label[nearest])


def _without_doubles(mesh: Mesh, notes: list[str]) -> Mesh:
    """Without triangles that name a vertex twice, or the same three vertices as one before."""
    ordered = np.sort(mesh.faces, axis=1)
    whole = (ordered[:, 1:] != ordered[:, :-1]).all(axis=1)
    first = np.zeros(len(ordered), dtype=bool)
    first[np.unique(ordered, axis=0, return_index=True)[1]] = True
    kept = whole & first
    if not kept.any():
        raise ValueError("no triangle with three vertices of its own")
    if not kept.all():
        notes.append(f"removed {(~kept).sum()} triangles that are lines, or there twice")
    return Mesh(mesh.vertices, mesh.faces[kept], mesh.label[kept])


def _require_manifold_edges(mesh: Mesh) -> None:
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    if (count > 2).any():
        place = mesh.vertices[found[count > 2][0]].mean(axis=0)
        at = ", ".join(f"{value:.4g}" for value in place)
        raise ValueError(
            f"{(count > 2).sum()} edges with three triangles or more, the first at ({at}): a surface "
            "has two; remove inner walls and sheets that meet (in Blender: Select Non Manifold)"
        )


def _wound_one_way(mesh: Mesh, notes: list[str]) -> Mesh:
    """Turn triangles until neighbours agree and each piece has its outside outside.

    A graph of each triangle as it is (f) and turned (f + F): what must hold together is connected, and a
    triangle connected to itself turned lies in a surface with one side.
    """
    faces, count = mesh.faces, len(mesh.faces)
    one, other, agree = _neighbours(faces)
    shift = np.where(agree, 0, count)
    ends = np.concatenate(
        [[one, other + shift], [one + count, (other + count + shift) % (2 * count)]], axis=1
    )
    graph = coo_array((np.ones(ends.shape[1]), ends), shape=(2 * count, 2 * count))
    state = connected_components(graph, directed=False)[1]
    if (state[:count] == state[count:]).any():
        raise ValueError("a surface with one side only (a Moebius strip or a Klein bottle) has no charts")
    # Of the two states of each piece the one that turns fewer triangles, or whose volume is positive.
    piece = np.minimum(state[:count], state[count:])
    turned = state[:count] != piece
    volume = np.bincount(piece, _volumes(mesh.vertices, faces) * np.where(turned, -1, 1))
    turned ^= volume[piece] < 0
    if turned.any():
        notes.append(f"turned {turned.sum()} triangles whose outside was inside")
    return Mesh(mesh.vertices, np.where(turned[:, None], faces[:, ::-1], faces), mesh.label)


def _neighbours(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of triangles (K,), (K,) that share an edge, and whether they run along it opposite ways."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ordered = np.sort(edges, axis=1)
    order = np.lexsort((ordered[:, 1], ordered[:, 0]))
    same = (ordered[order][1:] == ordered[order][:-1]).all(axis=1)
    a, b = order[:-1][same], order[1:][same]
    return a // 3, b // 3, edges[a, 0] != edges[b, 0]


def _volumes(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Six times the signed volume (F,) between each triangle and the middle."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return np.einsum("fk,fk->f", a, np.cross(b, c))


def face_pieces(faces: np.ndarray) -> np.ndarray:
    """The connected piece (F,) 0.. of each triangle, over shared edges."""
    one, other, _ = _neighbours(faces)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(faces),) * 2)
    return connected_components(graph, directed=False)[1]


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The areas (F,) of triangles."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def _one_piece(mesh: Mesh, keep_largest: bool, notes: list[str]) -> Mesh:
    piece = face_pieces(mesh.faces)
    if not piece.any():
        return mesh
    area = np.bincount(piece, face_areas(mesh.vertices, mesh.faces))
    shares = ", ".join(f"{100 * share:.3g} %" for share in np.sort(area / area.sum())[::-1][:5])
    told = f"{len(area)} pieces that touch nowhere along an edge ({shares} of the area)"
    if not keep_largest:
        remedy = "join them, or keep the largest alone (--keep-largest)"
        raise ValueError(f"{told}: distances run along one surface; {remedy}")
    kept = piece == area.argmax()
    notes.append(f"kept the largest of {told}")
    return Mesh(mesh.vertices, mesh.faces[kept], mesh.label[kept])


def _one_fan_a_vertex(mesh: Mesh, notes: list[str]) -> Mesh:
    """Give each fan of triangles about a vertex a vertex of its own, and drop vertices without any."""
    faces, twin = mesh.faces, twin_half_edges(mesh.faces)
    half = np.flatnonzero(twin >= 0)
    following = np.roll(np.arange(faces.size).reshape(-1, 3), -1, axis=1).ravel()
    # A half edge begins at its corner, where its twin ends: at the corner after the twin's.
    ends = np.stack([half, following[twin[half]]])
    graph = coo_array((np.ones(len(half)), ends), shape=(faces.size,) * 2)
    count, fan = connected_components(graph, directed=False)
    first = np.unique(fan, return_index=True)[1]
    added = count - len(np.unique(faces))
    if added:
        notes.append(f"parted {added} places where the surface met itself in a point")
    elif count == len(mesh.vertices):
        return mesh
    return Mesh(mesh.vertices[faces.ravel()[first]], fan.reshape(faces.shape).astype(np.int64), mesh.label)


def rims(faces: np.ndarray) -> list[np.ndarray]:
    """The closed lines of vertices along which a surface ends, each in the order of its triangles."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)[twin_half_edges(faces) < 0]
    following = dict(edges.tolist())
    found = []
    while following:
        start, after = following.popitem()
        loop = [start]
        while after != start:
            loop.append(after)
            after = following.pop(after)
        found.append(np.array(loop))
    return sorted(found, key=lambda loop: (-len(loop), int(loop.min())))


def _closed(mesh: Mesh, holes: Holes, notes: list[str]) -> Mesh:
    loops = rims(mesh.faces)
    if not loops:
        return mesh
    sizes = ", ".join(str(len(loop)) for loop in loops[:6]) + (", ..." if len(loops) > 6 else "")
    told = f"{len(loops)} holes ({sizes} edges)"
    if holes == "refuse":
        raise ValueError(f"an open mesh with {told}: fill them (--holes fill), or keep them (--holes keep)")
    if holes == "keep":
        notes.append(f"kept {told}")
        return mesh
    vertices, faces, label = [mesh.vertices], [mesh.faces], [mesh.label]
    owner = {
        edge: face for face, row in enumerate(mesh.faces.tolist()) for edge in zip(row, row[1:] + row[:1])
    }
    count = len(mesh.vertices)
    for loop in loops:
        following = np.roll(loop, -1)
        beside = [mesh.label[owner[edge]] for edge in zip(loop.tolist(), following.tolist())]
        if len(loop) == 3:
            faces.append(loop[None, ::-1])
        else:
            vertices.append(mesh.vertices[loop].mean(axis=0, keepdims=True))
            faces.append(np.column_stack([following, loop, np.full(len(loop), count)]))
            count += 1
        label.append(np.full(len(faces[-1]), max(sorted(set(beside)), key=beside.count)))
    notes.append(f"filled {told}")
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(label))


def _require_areas(mesh: Mesh) -> None:
    area = face_areas(mesh.vertices, mesh.faces)
    flat = area <= _NO_AREA * area.mean()
    if flat.any():
        place = mesh.vertices[mesh.faces[flat][0]].mean(axis=0)
        at = ", ".join(f"{value:.4g}" for value in place)
        remedy = "remove them, or remesh (in Blender: Mesh, Clean Up, Degenerate Dissolve)"
        raise ValueError(f"{flat.sum()} triangles without an area, the first at ({at}): {remedy}")
