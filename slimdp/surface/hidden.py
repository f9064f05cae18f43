"""How much of its surroundings each piece of skin faces: none inside the mouth, all on the forehead."""

from __future__ import annotations

import numpy as np

#: Triangles of less openness than this are hidden: light hardly reaches them, and no picture shows them.
HIDDEN_BELOW = 0.02
_DIRECTIONS = 200
#: Rays begin this far off the skin, metres, so that they do not meet it at once.
_CLEARANCE = 1e-5
#: Rays that graze the skin (below this cosine) say little, and meet its next triangles by rounding.
_GRAZING = 0.05


def openness(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The share (F,) in 0..1 of a triangle's view, weighted by the cosine, that the body does not block.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) counter-clockwise seen from outside.
    """
    import trimesh  # a third of a second, and only building a body asks for it
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    rays = RayMeshIntersector(trimesh.Trimesh(vertices, faces, process=False), scale_to_box=False)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-18)
    centre = corners.mean(axis=1)
    free, total = np.zeros(len(faces)), np.full(len(faces), 1e-12)
    for direction in _even_directions(_DIRECTIONS):
        cosine = normal @ direction
        facing = np.flatnonzero(cosine > _GRAZING)
        origin = centre[facing] + _CLEARANCE * normal[facing]
        blocked = rays.intersects_any(origin, np.broadcast_to(direction, origin.shape))
        total[facing] += cosine[facing]
        free[facing] += cosine[facing] * ~blocked
    return free / total


def _even_directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3) spread evenly over the sphere along a golden spiral."""
    step = np.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, np.pi * (1 + np.sqrt(5)) * step
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)
