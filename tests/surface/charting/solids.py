"""Small meshes whose pieces, holes and rims are known."""

from __future__ import annotations

import numpy as np

from slimdp.surface.charting.repair import Mesh


def named(vertices: np.ndarray, faces: np.ndarray, label: str = "") -> Mesh:
    """A mesh of one part."""
    return Mesh(np.asarray(vertices, dtype=float), np.asarray(faces), np.full(len(faces), label))


def box(cells: int = 1, size: tuple[float, float, float] = (1, 1, 1)) -> tuple[np.ndarray, np.ndarray]:
    """A closed box about (0, 0, 0), `cells` squares of two triangles along each edge, wound outwards."""
    places, faces = [], []
    grid = np.linspace(-0.5, 0.5, cells + 1)
    for axis in range(3):
        for end in (-0.5, 0.5):
            at = np.zeros((cells + 1, cells + 1, 3))
            at[..., axis] = end
            at[..., (axis + 1) % 3], at[..., (axis + 2) % 3] = grid[:, None], grid
            first = sum(map(len, places))
            places.append(at.reshape(-1, 3))
            corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel() + first
            right, up = cells + 1, 1
            found = np.concatenate(
                [
                    np.column_stack([corner, corner + right, corner + right + up]),
                    np.column_stack([corner, corner + right + up, corner + up]),
                ]
            )
            faces.append(found if end > 0 else found[:, ::-1])
    vertices, shared = np.unique(np.round(np.concatenate(places), 9), axis=0, return_inverse=True)
    return vertices * size, shared.reshape(-1)[np.concatenate(faces)]


def torus(around: int = 16, along: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A ring of radius 1 m and thickness 0.4 m in the plane y = 0, wound outwards."""
    turn, tilt = np.meshgrid(np.arange(around), np.arange(along), indexing="ij")
    phi, theta = 2 * np.pi * turn / around, 2 * np.pi * tilt / along
    radius = 1 + 0.4 * np.cos(theta)
    vertices = np.stack([radius * np.cos(phi), 0.4 * np.sin(theta), radius * np.sin(phi)], -1).reshape(-1, 3)

    def at(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return (i % around * along + j % along).ravel()

    a, b = at(turn, tilt), at(turn + 1, tilt)
    c, d = at(turn + 1, tilt + 1), at(turn, tilt + 1)
    return vertices, np.concatenate([np.column_stack([a, c, b]), np.column_stack([a, d, c])])


def tube(around: int = 12, along: int = 6, length: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A tube along y without ends, of radius 0.5 m, wound outwards."""
    turn, step = np.meshgrid(np.arange(around), np.arange(along + 1), indexing="ij")
    phi = 2 * np.pi * turn / around
    places = [0.5 * np.cos(phi), step * length / along - length / 2, 0.5 * np.sin(phi)]
    i, j = (each.ravel() for each in np.meshgrid(np.arange(around), np.arange(along), indexing="ij"))
    a, b = i * (along + 1) + j, (i + 1) % around * (along + 1) + j
    faces = np.concatenate([np.column_stack([a, a + 1, b]), np.column_stack([b, a + 1, b + 1])])
    return np.stack(places, -1).reshape(-1, 3), faces
