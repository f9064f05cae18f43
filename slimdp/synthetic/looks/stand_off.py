"""Move a skin outwards along its normals without turning its triangles over."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, diags_array

#: A triangle may lean so far: the cosine between its normal before and after.
_LEAST_COSINE = 0.15
_ROUNDS = 60


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), the mean over the faces that meet, by area."""
    normal = face_normals(vertices, faces)
    total = np.stack(
        [
            sum(np.bincount(faces[:, k], weights=normal[:, axis], minlength=len(vertices)) for k in range(3))
            for axis in range(3)
        ],
        axis=1,
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals (F, 3), twice as long as the faces are large."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def relief(vertices: np.ndarray, faces: np.ndarray, rounds: tuple[int, ...]) -> np.ndarray:
    """How deep each vertex lies under a smoothed skin: what loose cloth spans; negative on bumps.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).
        rounds: of taking the mean of the neighbours; more span wider hollows.

    Returns:
        (len(rounds), V) metres along the vertex normals.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    beside = csr_array((np.ones(len(edges)), tuple(edges.T)), shape=(len(vertices), len(vertices)))
    beside = ((beside + beside.T) > 0).astype(np.float64)
    mean = 0.5 * diags_array(1 / np.maximum(beside.sum(axis=1), 1)) @ beside
    normals, smooth, depths = vertex_normals(vertices, faces), vertices, []
    for round_ in range(1, max(rounds) + 1):
        smooth = 0.5 * smooth + mean @ smooth
        if round_ in rounds:
            depths.append(np.einsum("vc,vc->v", smooth - vertices, normals))
    return np.stack(depths)


def moved_out(vertices: np.ndarray, faces: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) moved by a thickness (V,) along their normals; metres."""
    return vertices + vertex_normals(vertices, faces) * thickness[:, None]


def without_flips(
    vertices: np.ndarray, faces: np.ndarray, thickness: np.ndarray, margins: tuple[float, ...]
) -> np.ndarray:
    """The thickness (V,), less where `moved_out` would turn a triangle over or nearly so.

    Where it would, the thickness at the triangle's corners is taken down by a third, until it no longer does:
    between fingers and toes, in armpits and behind ears.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).
        thickness: (V,) metres.
        margins: no triangle may turn over so many times as far out either.
    """
    normals = vertex_normals(vertices, faces)
    before = face_normals(vertices, faces)
    size = np.linalg.norm(before, axis=1)
    thickness = thickness.copy()
    watched = np.flatnonzero((thickness[faces] > 0).any(axis=1) & (size > 0))
    for _ in range(_ROUNDS):
        bad = np.zeros(len(watched), dtype=bool)
        for margin in margins:
            after = face_normals(vertices + normals * (margin * thickness)[:, None], faces[watched])
            lean = np.einsum("fc,fc->f", after, before[watched])
            bad |= lean < _LEAST_COSINE * size[watched] * np.maximum(np.linalg.norm(after, axis=1), 1e-12)
        if not bad.any():
            break
        thickness[np.unique(faces[watched[bad]])] *= 0.67
    return thickness
