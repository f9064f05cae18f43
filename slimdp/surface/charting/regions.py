"""Regions of a mesh, which its disks are cut from: cells around places that are far apart."""

from __future__ import annotations

import numpy as np

from slimdp.surface.charting.mirror import MirroredMesh
from slimdp.surface.charting.repair import Mesh
from slimdp.surface.geodesics import distances_from, surface_graph
from slimdp.surface.parts import keep_largest_pieces

#: A place nearer to its mirror image than this share of its distance to all others is put between the two.
_NEAR_MIDDLE = 0.6


def even_regions(mesh: Mesh, mirror: MirroredMesh | None, count: int) -> np.ndarray:
    """The name (F,) of a region for each triangle: those nearest to one of about `count` far-apart places.

    Every place is the farthest from all before it (farthest-point sampling): the ends of limbs come first. Of
    a symmetric mesh places in the middle are their own mirror images, the others come in pairs.
    """
    places = _Places(mesh, mirror)
    while places.count < count:
        places.add_farthest()
    distance = np.stack(places.distances)
    if mirror is None:
        return _named(keep_largest_pieces(distance[:, mesh.faces].mean(axis=2).argmin(axis=0), mesh.faces))
    # To what lies on the right no place on the left is nearer than its mirror image is.
    right = mesh.faces[: mirror.right]
    place = keep_largest_pieces(distance[:, right].mean(axis=2).argmin(axis=0), right)
    name, own = _named(place), np.array(places.own)[place]
    return np.concatenate([np.where(own, name, np.char.add(f"{side} ", name)) for side in ("right", "left")])


class _Places:
    """Places of a mesh, far from one another; of mirror images the right one."""

    def __init__(self, mesh: Mesh, mirror: MirroredMesh | None) -> None:
        self.distances: list[np.ndarray] = []  # (V,) of every vertex to each place
        self.own: list[bool] = []  # whether a place is its own mirror image, or there is no left and right
        self.count = 0  # mirror images counted
        self._graph = surface_graph(mesh.vertices, mesh.faces)
        self._on_left = mesh.vertices[:, 0] > 0
        self._image = np.arange(len(mesh.vertices)) if mirror is None else mirror.vertex_mirror
        self._middle = np.flatnonzero(self._image == np.arange(len(self._image)))
        self._symmetric = mirror is not None
        self._nearest = np.full(len(mesh.vertices), np.inf)  # (V,) to the nearest place or its mirror image

    def add_farthest(self) -> None:
        """Add the vertex that is farthest from all places; the first is farthest from some other."""
        if not self.distances:
            start = self._middle[0] if len(self._middle) else 0
            vertex, apart = int(self._from(int(start)).argmax()), np.inf
        else:
            vertex = int(self._nearest.argmax())
            apart = self._nearest[vertex]
        own = not self._symmetric
        if self._symmetric:
            if self._on_left[vertex]:
                vertex = int(self._image[vertex])
            far = self._from(vertex)
            to_image = far[self._image[vertex]]
            if len(self._middle) and (to_image <= _NEAR_MIDDLE * min(apart, far.max())):
                vertex, own = int(self._middle[far[self._middle].argmin()]), True
        far = self._from(vertex)
        self.distances.append(far)
        self.own.append(own)
        self.count += 1 if own else 2
        self._nearest = np.minimum(self._nearest, np.minimum(far, far[self._image]))

    def _from(self, vertex: int) -> np.ndarray:
        return distances_from(self._graph, np.array([vertex]))[0]


def _named(place: np.ndarray) -> np.ndarray:
    """Names (F,) by number from 1, in the order of the places, which is also that of the names."""
    number = np.unique(place, return_inverse=True)[1] + 1
    return np.array([f"region {each:02d}" for each in number.tolist()])
