"""Flatten each part of the body into the unit square (DensePose, 2.1).

Classical multidimensional scaling of the geodesic distances within a part, as the paper does it. Where that
folds the part over itself (closed shapes such as hands), two points of the body would share one (u, v);
there the chart is instead unfolded from Tutte's embedding, which cannot fold, by descending the symmetric
Dirichlet energy (Smith and Schaefer, SIGGRAPH 2015), which keeps it from folding and stretching.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

from slimdp.surface.geodesics import distances_from, surface_graph


def flatten(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Flatten a disk-like piece of surface without folds.

    Args:
        vertices: (V, 3) metres; every vertex belongs to a face.
        faces: (F, 3) counter-clockwise seen from outside.

    Returns:
        (V, 2) metres, every triangle counter-clockwise.
    """
    plane = multidimensional_scaling(distances_from(surface_graph(vertices, faces), np.arange(len(vertices))))
    areas = signed_areas(plane, faces)
    if np.median(areas) < 0:  # the scaling does not know inside from outside
        plane, areas = plane * [-1, 1], -areas
    if (areas > 0).all():
        return plane
    return unfold(vertices, faces, tutte_embedding(vertices, faces))


def multidimensional_scaling(distance: np.ndarray) -> np.ndarray:
    """Points (V, 2) in the plane whose distances are close to `distance` (V, V); classical scaling."""
    squared = distance**2
    centred = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    return vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 1e-12))


def signed_areas(plane: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Areas (F,) of flat triangles, negative where they are clockwise."""
    a, b, c = (plane[faces[:, k]] for k in range(3))
    return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """The vertices of a disk's rim, in order, counter-clockwise; raises ValueError where there is no rim."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    known = {(a, b) for a, b in edges.tolist()}
    following = {a: b for a, b in known if (b, a) not in known}
    if not following:
        raise ValueError("a closed surface cannot be flattened: it has no rim")
    start = next(iter(following))
    loop = [start]
    while following[loop[-1]] != start:
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise ValueError(
            f"a piece with several rims ({len(following)} rim edges, {len(loop)} in one) is no disk"
        )
    return np.array(loop)


def tutte_embedding(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Map a disk into a circle of its own area: the rim by arc length, the rest by mean-value weights.

    Positive weights and a convex rim leave no fold (Tutte 1963; Floater 2003). Returns (V, 2) metres.
    """
    loop = boundary_loop(faces)
    step = np.linalg.norm(vertices[np.roll(loop, -1)] - vertices[loop], axis=1)
    angle = 2 * np.pi * np.concatenate([[0], np.cumsum(step)[:-1]]) / step.sum()
    radius = np.sqrt(_areas(vertices, faces).sum() / np.pi)
    weights = _mean_value_weights(vertices, faces)
    laplacian = (csc_array((weights.sum(axis=1), (np.arange(len(vertices)),) * 2)) - weights).tocsc()
    plane = np.zeros((len(vertices), 2))
    plane[loop] = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner = np.setdiff1d(np.arange(len(vertices)), loop)
    plane[inner] = splu(laplacian[inner][:, inner].tocsc()).solve(-(laplacian[inner][:, loop] @ plane[loop]))
    return plane


def unfold(vertices: np.ndarray, faces: np.ndarray, plane: np.ndarray, iterations: int = 300) -> np.ndarray:
    """Descend the symmetric Dirichlet energy from a fold-free map `plane` (V, 2); no step folds it.

    The gradient is smoothed by the surface's Laplacian (a Sobolev step): the whole part moves at once.
    """
    gradient_of = _local_frames(vertices, faces)
    area = _areas(vertices, faces)
    weights = _mean_value_weights(vertices, faces)
    weights = (weights + weights.T) / 2
    diagonal = weights.sum(axis=1)
    smoother = splu((csc_array((diagonal * 1.0001, (np.arange(len(vertices)),) * 2)) - weights).tocsc())
    energy, gradient = _symmetric_dirichlet(plane, faces, gradient_of, area)
    step = 1e-2
    for _ in range(iterations):
        direction = -smoother.solve(gradient)
        slope = (direction * gradient).sum()
        while True:
            moved = plane + step * direction
            if (signed_areas(moved, faces) > 0).all():
                moved_energy, moved_gradient = _symmetric_dirichlet(moved, faces, gradient_of, area)
                if moved_energy <= energy + 1e-4 * step * slope:
                    break
            step /= 2
            if step < 1e-14:
                return plane
        if energy - moved_energy < 1e-6 * energy:
            return moved
        plane, energy, gradient, step = moved, moved_energy, moved_gradient, step * 2.5
    return plane


def _areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def _mean_value_weights(vertices: np.ndarray, faces: np.ndarray) -> csc_array:
    """Floater's mean-value weights (V, V): positive whatever the triangles' shape."""
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, m = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        to_j, to_m = vertices[j] - vertices[i], vertices[m] - vertices[i]
        length_j, length_m = np.linalg.norm(to_j, axis=1), np.linalg.norm(to_m, axis=1)
        cosine = (to_j * to_m).sum(axis=1) / np.maximum(length_j * length_m, 1e-15)
        half_tangent = np.tan(np.arccos(np.clip(cosine, -1, 1 - 1e-9)) / 2)
        rows += [i, i]
        columns += [j, m]
        values += [half_tangent / np.maximum(length_j, 1e-6), half_tangent / np.maximum(length_m, 1e-6)]
    shape = (len(vertices), len(vertices))
    return coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape).tocsc()


def _local_frames(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Per triangle the matrix (F, 3, 2) that makes of values at its corners their gradient on the surface."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    x_axis = (b - a) / np.maximum(np.linalg.norm(b - a, axis=1, keepdims=True), 1e-12)
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-18)
    y_axis = np.cross(normal, x_axis)
    flat = [np.stack([((p - a) * x_axis).sum(1), ((p - a) * y_axis).sum(1)], axis=1) for p in (a, b, c)]
    twice = 2 * np.maximum(_areas(vertices, faces), 1e-14)[:, None]
    opposite = [flat[(k + 2) % 3] - flat[(k + 1) % 3] for k in range(3)]
    return np.stack([np.stack([-edge[:, 1], edge[:, 0]], axis=1) / twice for edge in opposite], axis=1)


def _symmetric_dirichlet(
    plane: np.ndarray, faces: np.ndarray, gradient_of: np.ndarray, area: np.ndarray
) -> tuple[float, np.ndarray]:
    """Energy sum_f area (|J|^2 + |J^-1|^2) and its gradient (V, 2)."""
    corners = plane[faces]  # (F, 3, 2)
    jacobian = np.einsum("fki,fkj->fij", corners, gradient_of)
    determinant = jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0]
    norm = (jacobian**2).sum(axis=(1, 2))
    energy = float((area * norm * (1 + determinant**-2)).sum())
    cofactor = np.stack(
        [
            np.stack([jacobian[:, 1, 1], -jacobian[:, 1, 0]], 1),
            np.stack([-jacobian[:, 0, 1], jacobian[:, 0, 0]], 1),
        ],
        1,
    )
    scale = 2 * (1 + determinant**-2)
    by_jacobian = scale[:, None, None] * jacobian - (2 * norm * determinant**-3)[:, None, None] * cofactor
    by_corner = np.einsum("f,fij,fkj->fki", area, by_jacobian, gradient_of)
    gradient = np.zeros_like(plane)
    np.add.at(gradient, faces, by_corner)
    return energy, gradient
