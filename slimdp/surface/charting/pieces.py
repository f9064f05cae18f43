"""Pieces of a surface: whether one is a disk that can be laid flat, and cutting it in two where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from slimdp.surface.charting.repair import face_areas
from slimdp.surface.geodesics import distances_from, surface_graph, twin_half_edges
from slimdp.surface.parts import adjacent_faces

#: A disk is laid flat as it is where its rim is this long: the square of its length, as a share of what a
#: flat circle of the same area has. 0.5 is half a sphere; a sock twice as long as wide has 0.17, and is cut.
LEAST_RIM = 0.3
#: Crumbs of a cut, smaller than this share of what is cut, go to the other side.
_CRUMB = 0.1
_MOST_CUTS = 8


@dataclass(frozen=True)
class Cutting:
    """A mesh that is being cut; `face_mirror` (F,) is the mirror image of each triangle, None without one."""

    vertices: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3)
    face_mirror: np.ndarray | None
    right: int  # so many triangles, the first, are the right half; all without left and right

    def is_own_mirror(self, piece: np.ndarray) -> bool:
        """Whether the mirror image of a piece, triangles (K,), is the piece."""
        return self.face_mirror is not None and bool(np.isin(self.face_mirror[piece[:1]], piece).all())

    def components(self, piece: np.ndarray) -> list[np.ndarray]:
        """The connected pieces of a piece, the largest first; of two mirror images the right one alone."""
        if not len(piece):
            return []
        kind = _connected(self.faces[piece])
        parts = [piece[kind == each] for each in range(kind.max() + 1)]
        if self.face_mirror is not None:
            parts = [part for part in parts if (part < self.right).any()]
        areas = [self.area(part) for part in parts]
        return [parts[index] for index in np.argsort(-np.array(areas), kind="stable")]

    def area(self, piece: np.ndarray) -> float:
        """The area of triangles (K,)."""
        return float(face_areas(self.vertices, self.faces[piece]).sum())

    def is_flat_enough(self, piece: np.ndarray) -> bool:
        """Whether a connected piece is a disk, with a rim long enough to be laid flat."""
        return is_disk(self.faces[piece]) and self.rim_share(piece) >= LEAST_RIM

    def rim_share(self, piece: np.ndarray) -> float:
        """The square of the rim's length, as a share of what a flat circle of the same area has."""
        corners = self.faces[piece]
        rim = twin_half_edges(corners) < 0
        start, end = corners.ravel()[rim], np.roll(corners, -1, axis=1).ravel()[rim]
        length = np.linalg.norm(self.vertices[end] - self.vertices[start], axis=1).sum()
        return float(length**2 / (4 * np.pi * self.area(piece)))


def _connected(faces: np.ndarray) -> np.ndarray:
    pairs = adjacent_faces(faces)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(faces),) * 2)
    return connected_components(graph, directed=False)[1]


def opened(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A piece, faces (F, 3), over vertices of its own, and which (K,) each is of those that it names.

    Where the piece meets itself in one vertex alone, as two triangles tip to tip, each side has its own.
    """
    twin = twin_half_edges(faces)
    half = np.flatnonzero(twin >= 0)
    following = np.roll(np.arange(faces.size).reshape(-1, 3), -1, axis=1).ravel()
    graph = coo_array((np.ones(len(half)), (half, following[twin[half]])), shape=(faces.size,) * 2)
    fan = connected_components(graph, directed=False)[1]
    first = np.unique(fan, return_index=True)[1]
    return fan.reshape(faces.shape).astype(np.int64), faces.ravel()[first]


def is_disk(faces: np.ndarray) -> bool:
    """Whether a connected piece, faces (F, 3), is a disk: vertices - edges + faces is 1."""
    local, source = opened(faces)
    inner = (twin_half_edges(local) >= 0).sum() // 2
    return len(source) - (3 * len(faces) - inner) + len(faces) == 1


def disks(cutting: Cutting, piece: np.ndarray, cuts: int = 0) -> list[np.ndarray]:
    """Cut a piece (K,) until every connected piece of it is flat enough; of mirror images the right one.

    Raises ValueError where many cuts do not make it so.
    """
    found = []
    for part in cutting.components(piece):
        if cutting.is_flat_enough(part):
            found.append(part)
        elif cuts < _MOST_CUTS and len(part) > 1:
            found += [each for half in _best_halves(cutting, part) for each in disks(cutting, half, cuts + 1)]
        elif is_disk(cutting.faces[part]):
            found.append(part)
        else:
            raise ValueError(f"a piece of {len(part)} triangles is no disk after {cuts} cuts")
    return found


def _best_halves(cutting: Cutting, piece: np.ndarray) -> list[np.ndarray]:
    """The pieces of the cut that leaves fewest to be cut again, with the longest rims."""
    best: tuple[tuple[int, float], list[np.ndarray]] | None = None
    for side in _cuts(cutting, piece):
        halves = _without_crumbs(cutting, piece, side)
        if len(halves) < 2 and not _became_pair(cutting, piece, halves):
            continue
        shares = [min(cutting.rim_share(half), 1.0) for half in halves]
        bad = sum(not is_disk(cutting.faces[half]) for half in halves)
        score = (-bad, min(shares))
        if best is None or score > best[0]:
            best = score, halves
    if best is None:
        raise ValueError(f"a piece of {len(piece)} triangles that is no disk cannot be cut in two")
    return best[1]


def _became_pair(cutting: Cutting, piece: np.ndarray, halves: list[np.ndarray]) -> bool:
    return len(halves) == 1 and 2 * len(halves[0]) == len(piece) and cutting.is_own_mirror(piece)


def _without_crumbs(cutting: Cutting, piece: np.ndarray, side: np.ndarray) -> list[np.ndarray]:
    """The connected pieces of both sides (K,) of a piece, after crumbs went to the other side."""
    crumb = _CRUMB * cutting.area(piece)
    kind = np.where(side, 1, 0)
    for chosen in (1, 0):
        mine = np.flatnonzero(kind == chosen)
        if not len(mine):
            continue
        connected = _connected(cutting.faces[piece[mine]])
        areas = np.bincount(connected, face_areas(cutting.vertices, cutting.faces[piece[mine]]))
        small = (areas < crumb) & (areas < areas.max() * (1 - 1e-9))
        kind[mine[small[connected]]] = 1 - chosen
    return [part for each in (1, 0) for part in cutting.components(piece[kind == each])]


def _cuts(cutting: Cutting, piece: np.ndarray) -> Iterator[np.ndarray]:
    """Sides (K,) bool of cuts in two: along the piece and across its width, and half way between its ends."""
    centre = cutting.vertices[cutting.faces[piece]].mean(axis=1)
    weight = face_areas(cutting.vertices, cutting.faces[piece])
    offset = centre - np.average(centre, axis=0, weights=weight)
    own_mirror = cutting.is_own_mirror(piece)
    axes = _axes(offset, weight, own_mirror)
    for along, across in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0)):
        if max(along, across) < len(axes):
            x, y = offset @ axes[along], offset @ axes[across]
            degree = min(3, max(1, len(piece) // 20))
            yield y > np.polynomial.Polynomial.fit(x, y, degree, w=np.sqrt(weight))(x)
            yield y > 0
    if own_mirror:
        yield centre[:, 0] < 0
    yield _nearer_to_one_end(cutting, piece, own_mirror)


def _axes(offset: np.ndarray, weight: np.ndarray, own_mirror: bool) -> np.ndarray:
    """Directions (A, 3) in which a piece is longest, second, third; two of its own mirror image."""
    spread = np.einsum("k,ki,kj->ij", weight, offset, offset)
    if own_mirror:
        spread[0], spread[:, 0] = 0, 0
    vectors = np.linalg.eigh(spread)[1].T[::-1]
    return vectors[:2] if own_mirror else vectors


def _nearer_to_one_end(cutting: Cutting, piece: np.ndarray, own_mirror: bool) -> np.ndarray:
    """Which triangles (K,) are nearer, along the piece, to one of its two ends than to the other."""
    used, local = np.unique(cutting.faces[piece], return_inverse=True)
    local = local.reshape(-1, 3)
    graph = surface_graph(cutting.vertices[used], local, crossings=1)
    middle = np.flatnonzero(cutting.vertices[used, 0] == 0) if own_mirror else np.arange(len(used))
    if not len(middle):
        middle = np.arange(len(used))
    one = middle[_finite(graph, middle[0])[middle].argmax()]
    from_one = _finite(graph, one)
    from_other = _finite(graph, middle[from_one[middle].argmax()])
    return from_one[local].mean(axis=1) < from_other[local].mean(axis=1)


def _finite(graph: csr_array, source: int) -> np.ndarray:
    return distances_from(graph, np.array([source]))[0]
