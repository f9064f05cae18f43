"""From DensePose's charts to those of a body with positions: the same place of the other body, part by part.

Of DensePose's body the charts are known and which vertices neighbouring parts share, but no positions. Both
bodies have the same parts with the same neighbours in the same order around each, and every part is a disk.
So the rims are matched arc by arc, an arc being what a part shares with one neighbour, and both charts are
laid out over one disk: rims by length along each arc, what lies inside by mean value coordinates (Floater,
2003), which cross nowhere. A place goes through the disk to the other body.

The halves of the arms are cut elsewhere: DensePose's parts 15, 16, 19, 20 meet the front of the torso, and
the others its back. They go to the halves that meet the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from slimdp.surface.body import BodySurface
from slimdp.surface.densepose.surface import DensePoseCharts
from slimdp.surface.geodesics import cross

#: DensePose's half of an arm -> the open body's that meets the same half of the torso.
ARM_HALVES = {15: 17, 17: 15, 16: 18, 18: 16, 19: 21, 21: 19, 20: 22, 22: 20}
#: Part and neighbours around it, as the rim is walked: (neighbour, first edge, edge past its last).
_Arc = tuple[int, int, int]


@dataclass(frozen=True)
class ChartTransfer:
    """The way from one body's charts to another's; made by `chart_transfer`."""

    charts: DensePoseCharts
    surface: BodySurface
    part_of: np.ndarray  # (P + 1,) int64: the other body's part of each
    disks: Mapping[int, tuple[_Disk, _Disk]]  # by DensePose's part: of both bodies

    def to_surface(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of DensePose, parts (N,) 1..24 and (u, v) (N, 2), on the surface: part and (u, v) there."""
        face, weights = self.charts.locate(part, uv)
        found, shares = np.zeros(len(part), dtype=np.int64), np.zeros((len(part), 3))
        for label in np.unique(part).tolist():
            mine, (theirs, ours) = np.flatnonzero(part == label), self.disks[label]
            found[mine], shares[mine] = ours.find(theirs.place(face[mine], weights[mine]))
        landed = np.einsum("nk,nkc->nc", shares, self.surface.face_uv[found].astype(np.float64))
        return self.part_of[np.asarray(part, dtype=np.int64)], landed


def chart_transfer(charts: DensePoseCharts, surface: BodySurface) -> ChartTransfer:
    """The transfer between DensePose's charts and a body of the same parts.

    Raises ValueError where a part of one has other neighbours than on the other.
    """
    parts = np.arange(1 + len(surface.layout.parts))
    part_of = np.array([ARM_HALVES.get(part, part) for part in parts.tolist()])
    of_vertex = charts.smpl_vertex[charts.faces]
    lengths = np.linalg.norm(np.roll(charts.face_uv, -1, axis=1) - charts.face_uv, axis=2)
    corners = surface.vertices[surface.faces]
    lengths_here = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    theirs = _Mesh(of_vertex, charts.face_part, lengths, part_of)
    ours = _Mesh(surface.faces, surface.face_part, lengths_here, parts)
    disks = {part: _matched_disks(theirs, part, ours, int(part_of[part])) for part in parts[1:].tolist()}
    return ChartTransfer(charts, surface, part_of, disks)


@dataclass(frozen=True)
class _Mesh:
    """A body's triangles, with the lengths of their edges in any unit that is one within a part."""

    faces: np.ndarray  # (F, 3) int64
    face_part: np.ndarray  # (F,)
    lengths: np.ndarray  # (F, 3), of the edges from corner 0 to 1, 1 to 2, 2 to 0
    named: np.ndarray  # (P + 1,) what its parts are called on the other body

    @cached_property
    def owner(self) -> dict[tuple[int, int], int]:
        """The part, as it is called on the other body, at the left of each directed edge."""
        ends = np.stack([self.faces, np.roll(self.faces, -1, axis=1)], axis=2).reshape(-1, 2)
        parts = self.named[np.repeat(self.face_part, 3)]
        return dict(zip(map(tuple, ends.tolist()), parts.tolist()))

    def rim(self, part: int) -> tuple[list[int], list[float], list[int]]:
        """Vertices around a part, the face at the left; the length to the next; who is beyond that edge."""
        mine = np.flatnonzero(self.face_part == part)
        ends = np.stack([self.faces[mine], np.roll(self.faces[mine], -1, axis=1)], axis=2).reshape(-1, 2)
        inside = set(map(tuple, ends.tolist()))
        following = {
            a: (b, length)
            for (a, b), length in zip(ends.tolist(), self.lengths[mine].ravel().tolist())
            if (b, a) not in inside
        }
        loops = []
        while following:
            start = vertex = next(iter(following))
            loop: list[tuple[int, float, int]] = []
            while vertex in following:
                after, length = following.pop(vertex)
                loop.append((vertex, length, self.owner.get((after, vertex), 0)))
                vertex = after
            if vertex != start:
                raise ValueError(f"the rim of part {part} is no circle")
            loops.append(loop)
        longest = max(loops, key=len)  # a foot of DensePose has a hole of one triangle
        vertices, lengths, beyond = zip(*longest)
        return list(vertices), list(lengths), list(beyond)


@dataclass(frozen=True)
class _Disk:
    """A part laid out over the unit disk."""

    faces: np.ndarray  # (F,) int64, of the whole body, this part's
    corners: np.ndarray  # (F, 3, 2) where their corners lie
    row_of: np.ndarray  # (all faces,) int64: their rows here

    def place(self, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Where points of faces (N,) with weights (N, 3) lie on the disk, (N, 2)."""
        return np.einsum("nk,nkc->nc", weights, self.corners[self.row_of[face]])

    def find(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The faces (N,) that hold places (N, 2) of the disk, or else come nearest, and weights (N, 3)."""
        face, weights = np.zeros(len(places), dtype=np.int64), np.zeros((len(places), 3))
        a, b, c = self.corners.transpose(1, 0, 2)
        doubled = cross(b - a, c - a)
        for row, place in enumerate(places):
            to = place - a
            share_b, share_c = cross(to, c - a) / doubled, cross(b - a, to) / doubled
            shares = np.stack([1 - share_b - share_c, share_b, share_c], axis=1)
            best = int(shares.min(axis=1).argmax())
            clipped = shares[best].clip(0)
            face[row], weights[row] = self.faces[best], clipped / clipped.sum()
        return face, weights


def _matched_disks(theirs: _Mesh, part: int, ours: _Mesh, other: int) -> tuple[_Disk, _Disk]:
    """A part of one body and the part of another that it is, over the same disk."""
    rims = theirs.rim(part), ours.rim(other)
    arcs = [_arcs(beyond) for _, _, beyond in rims]
    pairs = match_circles([arc[0] for arc in arcs[0]], [arc[0] for arc in arcs[1]])
    if len(pairs) < 2:
        raise ValueError(f"part {part} and part {other} of the other body do not have the same neighbours")
    # Where matched arcs begin, in edges along each rim; those without a counterpart are shared out by halves.
    starts = [_starts(arcs[side], [pair[side] for pair in pairs], len(rims[side][0])) for side in (0, 1)]
    shares = np.diff([*_lengths_to(rims[1][1], starts[1]), sum(rims[1][1])])
    angles = 2 * np.pi * np.concatenate([[0], np.cumsum(shares / shares.sum())])
    disks = []
    for mesh, label, (vertices, lengths, _), start in zip((theirs, ours), (part, other), rims, starts):
        disks.append(_laid_out(mesh, label, vertices, _angles(lengths, start, angles)))
    return disks[0], disks[1]


def _arcs(beyond: Sequence[int]) -> list[_Arc]:
    """The arcs of a rim: neighbour, first edge, edge past the last one; the first may begin before edge 0."""
    changes = [edge for edge in range(len(beyond)) if beyond[edge] != beyond[edge - 1]]
    ends = [*changes[1:], changes[0] + len(beyond)]
    return [(beyond[first], first, end) for first, end in zip(changes, ends)]


def match_circles(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """The longest row of pairs of equal entries of two circles, in the same order around both.

    Returns places in `one`, which rise, beside places in `other`, which rise but for one turn around.
    """
    best: list[tuple[int, int]] = []
    for turn in range(len(other)):
        turned = [*other[turn:], *other[:turn]]
        pairs = [(i, (j + turn) % len(other)) for i, j in _longest_common(one, turned)]
        if len(pairs) > len(best):
            best = pairs
    return best


def _longest_common(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """The longest common subsequence of two rows, as pairs of places."""
    length = np.zeros((len(one) + 1, len(other) + 1), dtype=np.int64)
    for i in range(len(one) - 1, -1, -1):
        for j in range(len(other) - 1, -1, -1):
            skip = max(length[i + 1, j], length[i, j + 1])
            length[i, j] = max(skip, 1 + length[i + 1, j + 1]) if one[i] == other[j] else skip
    pairs, i, j = [], 0, 0
    while i < len(one) and j < len(other):
        if one[i] == other[j] and length[i, j] == 1 + length[i + 1, j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif length[i + 1, j] >= length[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _starts(arcs: Sequence[_Arc], chosen: Sequence[int], edges: int) -> list[float]:
    """Where the chosen arcs begin, in edges along the rim, rising from the first one's (K,)."""
    found: list[float] = []
    for place, arc in enumerate(chosen):
        _, first, _ = arcs[arc]
        before = arcs[chosen[place - 1]][2]
        gap = (first - before) % edges  # of arcs that the other body does not have
        found.append((first - gap / 2) % edges)
    turns = np.cumsum([0, *(later < earlier for earlier, later in itertools.pairwise(found))])
    return [start + edges * int(turn) for start, turn in zip(found, turns)]


def _lengths_to(lengths: Sequence[float], starts: Sequence[float]) -> np.ndarray:
    """The length along a rim from the first start to each of them, (K,)."""
    around = np.concatenate([[0], np.cumsum([*lengths, *lengths, *lengths])])
    along = np.interp(starts, np.arange(len(around)), around)
    return along - along[0]


def _angles(lengths: Sequence[float], starts: Sequence[float], angles: np.ndarray) -> np.ndarray:
    """The angle of every vertex of a rim (E,), whose arcs begin at `starts` and at these angles (K + 1,)."""
    edges, total = len(lengths), float(sum(lengths))
    knots = [*_lengths_to(lengths, starts), total]
    vertices = [float(vertex) for vertex in range(edges)]
    turned = [vertex + edges * int(np.ceil((starts[0] - vertex) / edges)) for vertex in vertices]
    along = np.array([_lengths_to(lengths, [starts[0], place])[1] for place in turned])
    return np.interp(along, knots, angles)


def _laid_out(mesh: _Mesh, part: int, rim: Sequence[int], angles: np.ndarray) -> _Disk:
    """A part over the disk: its rim at some angles, what lies inside by mean value coordinates."""
    faces = np.flatnonzero(mesh.face_part == part)
    vertices, rows = np.unique(mesh.faces[faces], return_inverse=True)
    rows = rows.reshape(-1, 3)
    places = np.zeros((len(vertices), 2))
    fixed = np.searchsorted(vertices, rim)
    places[fixed] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    free = np.ones(len(vertices), dtype=bool)
    free[fixed] = False
    matrix = _mean_value(rows, mesh.lengths[faces], len(vertices))
    inner, outer = matrix[free][:, free].tocsc(), matrix[free][:, ~free]
    places[free] = splu(inner).solve(-(outer @ places[~free]))
    row_of = np.zeros(len(mesh.faces), dtype=np.int64)
    row_of[faces] = np.arange(len(faces))
    return _Disk(faces, places[rows], row_of)


def _mean_value(rows: np.ndarray, lengths: np.ndarray, count: int) -> coo_array:
    """The system that puts each vertex at the weighted mean of its neighbours (Floater, 2003), (V, V)."""
    one, other, weight = [], [], []
    for corner in range(3):
        after, before = (corner + 1) % 3, (corner + 2) % 3
        to_after, to_before, across = lengths[:, corner], lengths[:, before], lengths[:, after]
        cosine = (to_after**2 + to_before**2 - across**2) / (2 * to_after * to_before)
        half = np.tan(np.arccos(cosine.clip(-1, 1)) / 2)
        for end, length in ((after, to_after), (before, to_before)):
            one.append(rows[:, corner])
            other.append(rows[:, end])
            weight.append(half / length)
    i, j, w = np.concatenate(one), np.concatenate(other), np.concatenate(weight)
    diagonal = np.bincount(i, w, count)
    i, j = np.concatenate([i, np.arange(count)]), np.concatenate([j, np.arange(count)])
    return coo_array((np.concatenate([-w, diagonal]), (i, j)), shape=(count, count)).tocsr()
