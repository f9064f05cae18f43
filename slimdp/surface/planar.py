"""Flat pieces of surface: their rims, and whether two points of a piece fall on the same place."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def signed_areas(plane: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Areas (F,) of flat triangles, negative where they are clockwise."""
    a, b, c = (plane[faces[:, k]] for k in range(3))
    return 0.5 * _cross(b - a, c - a)


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """The vertices of a disk's rim, in order, counter-clockwise; raises ValueError where there is no rim."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    known = {(a, b) for a, b in edges.tolist()}
    following = {a: b for a, b in known if (b, a) not in known}
    if not following:
        raise ValueError("a closed surface cannot be flattened: it has no rim")
    start = min(following)
    loop = [start]
    while following[loop[-1]] != start:
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise ValueError(
            f"a piece with several rims ({len(following)} rim edges, {len(loop)} in one) is no disk"
        )
    return np.array(loop)


def is_one_to_one(plane: np.ndarray, faces: np.ndarray, loop: np.ndarray) -> bool:
    """Whether no two points of a flat disk (V, 2) share a place.

    So it is exactly where every triangle is counter-clockwise and the rim does not cross itself: then the
    rim goes once around every inner point, and as many triangles cover it.
    """
    return bool((signed_areas(plane, faces) > 0).all()) and not rim_crosses_itself(plane[loop])


def rim_crosses_itself(rim: np.ndarray) -> bool:
    """Whether two edges of a closed line through the points (N, 2) cross or touch, but for neighbours."""
    following = np.roll(rim, -1, axis=0)
    reach = np.linalg.norm(following - rim, axis=1).max()
    pairs = cKDTree((rim + following) / 2).query_pairs(reach * (1 + 1e-9), output_type="ndarray")
    apart = (pairs[:, 1] - pairs[:, 0]) % len(rim)
    one, other = pairs[(apart > 1) & (apart < len(rim) - 1)].T
    a, b, c, d = rim[one], following[one], rim[other], following[other]
    divides_one = _cross(b - a, c - a) * _cross(b - a, d - a) <= 0
    divides_other = _cross(d - c, a - c) * _cross(d - c, b - c) <= 0
    return bool((divides_one & divides_other).any())


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
