"""Move a skin outwards without turning its triangles over, and see where cloth would not follow it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array, diags_array

#: A triangle may lean so far: the cosine between its normal before and after.
_LEAST_COSINE = 0.15
_ROUNDS = 60
#: Rounds of smoothing of the directions in which things stand off: over creases they would cross.
_DIRECTION_ROUNDS = 8


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals (F, 3), twice as long as the faces are large."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def directions_out(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit directions (V, 3): the vertex normals, by area, smoothed over neighbours."""
    normal = face_normals(vertices, faces)
    total = np.zeros((len(vertices), 3))
    for axis in range(3):
        for k in range(3):
            total[:, axis] += np.bincount(faces[:, k], weights=normal[:, axis], minlength=len(vertices))
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    half_mean = _half_mean(len(vertices), faces.tobytes())
    for _ in range(_DIRECTION_ROUNDS):
        total = 0.5 * total + half_mean @ total
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


@lru_cache(maxsize=4)
def _half_mean(vertex_count: int, key: bytes) -> csr_array:
    """(V, V) that gives half the mean of every vertex's neighbours, from the bytes of int64 faces (F, 3)."""
    faces = np.frombuffer(key, dtype=np.int64).reshape(-1, 3)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    beside = csr_array((np.ones(len(edges)), tuple(edges.T)), shape=(vertex_count, vertex_count))
    beside = ((beside + beside.T) > 0).astype(np.float64)
    return csr_array(diags_array(0.5 / np.maximum(beside.sum(axis=1), 1)) @ beside)


def relief(
    vertices: np.ndarray, faces: np.ndarray, directions: np.ndarray, rounds: tuple[int, ...]
) -> np.ndarray:
    """How deep each vertex lies under a smoothed skin: what loose cloth spans; negative on bumps.

    Vertices (V, 3) metres; faces (F, 3) are smoothed. The depths (len(rounds), V) are metres along the
    directions (V, 3) out of the skin; more rounds of taking the mean of the neighbours span wider hollows.
    """
    half_mean = _half_mean(len(vertices), faces.tobytes())
    smooth, depths = vertices, []
    for done in range(1, max(rounds) + 1):
        smooth = 0.5 * smooth + half_mean @ smooth
        if done in rounds:
            depths.append(np.einsum("vc,vc->v", smooth - vertices, directions))
    alone = np.bincount(faces.ravel(), minlength=len(vertices)) == 0
    return np.where(alone, 0.0, np.stack(depths))


def moved_out(vertices: np.ndarray, faces: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) moved out of the skin by a thickness (V,); metres."""
    return vertices + directions_out(vertices, faces) * thickness[:, None]


def without_flips(
    vertices: np.ndarray, faces: np.ndarray, thickness: np.ndarray, margins: tuple[float, ...]
) -> np.ndarray:
    """The thickness (V,), less where `moved_out` would turn a triangle over or nearly so.

    Where it would, the thickness at the triangle's corners is taken down by a third, until it no longer does:
    between fingers and toes, in armpits and behind ears. No triangle may turn over `margins` times as far out
    either. All in metres.
    """
    directions = directions_out(vertices, faces)
    watched = faces[(thickness[faces] > 0).any(axis=1)]
    before = face_normals(vertices, watched)
    size = np.linalg.norm(before, axis=1)
    thickness = thickness.copy()
    for _ in range(_ROUNDS):
        bad = np.zeros(len(watched), dtype=bool)
        for margin in margins:
            after = face_normals(vertices + directions * (margin * thickness)[:, None], watched)
            lean = np.einsum("fc,fc->f", after, before)
            bad |= lean < _LEAST_COSINE * size * np.linalg.norm(after, axis=1)
        if not bad.any():
            break
        thickness[np.unique(watched[bad])] *= 0.67
    return thickness
