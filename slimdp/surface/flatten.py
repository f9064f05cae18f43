"""Flatten each part of the body into the unit square (DensePose, 2.1).

Classical multidimensional scaling of the geodesic distances within a part, as the paper does it. Where that
folds the part over itself (closed shapes such as feet), two points of the body would share one (u, v); there
the chart is unfolded instead from Tutte's embedding, which cannot fold: the symmetric Dirichlet energy keeps
triangles from folding and stretching, a barrier keeps the rim from meeting itself (Smith and Schaefer,
Bijective parameterization with free boundaries, SIGGRAPH 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from slimdp.surface.geodesics import cross, distances_from, surface_graph, twin_half_edges


def flatten(vertices: np.ndarray, faces: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """Flatten a disk-like piece of surface one-to-one: (V, 2) metres, every triangle counter-clockwise.

    Every vertex (V, 3), metres, belongs to a face (F, 3), counter-clockwise seen from outside. `scale` (F,)
    is how large each triangle is wanted, as a share of its length on the body: with it the piece is unfolded
    at once, as scaling knows only true distances.
    """
    loop = boundary_loop(faces)
    if scale is None:
        graph = surface_graph(vertices, faces)
        plane = multidimensional_scaling(distances_from(graph, np.arange(len(vertices))))
        if np.median(signed_areas(plane, faces)) < 0:  # the scaling does not know inside from outside
            plane = plane * [-1, 1]
        if is_one_to_one(plane, faces, loop):
            return plane
    return unfold(vertices, faces, tutte_embedding(vertices, faces), scale)


def multidimensional_scaling(distance: np.ndarray) -> np.ndarray:
    """Points (V, 2) in the plane whose distances are close to `distance` (V, V); classical scaling."""
    squared = distance**2
    centred = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    return vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 1e-12))


#: Two pieces of the rim that come nearer than this push each other away, metres.
RIM_GAP = 1e-3
#: The push's share of the energy: high enough to be felt, low enough not to bend what is near.
_RIM_SHARE = 1e-4
_MOST_STEPS = 400


def tutte_embedding(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Map a disk into a circle of its own area: the rim by arc length, the rest by mean-value weights.

    Positive weights and a convex rim leave no fold (Tutte 1963; Floater 2003). Returns (V, 2) metres.
    """
    loop = boundary_loop(faces)
    step = np.linalg.norm(vertices[np.roll(loop, -1)] - vertices[loop], axis=1)
    angle = 2 * np.pi * np.concatenate([[0], np.cumsum(step)[:-1]]) / step.sum()
    radius = np.sqrt(_areas(vertices, faces).sum() / np.pi)
    weights = _mean_value_weights(vertices, faces)
    laplacian = (_diagonal(weights.sum(axis=1)) - weights).tocsc()
    plane = np.zeros((len(vertices), 2))
    plane[loop] = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner = np.setdiff1d(np.arange(len(vertices)), loop)
    plane[inner] = splu(laplacian[inner][:, inner].tocsc()).solve(-(laplacian[inner][:, loop] @ plane[loop]))
    return plane


def unfold(
    vertices: np.ndarray, faces: np.ndarray, plane: np.ndarray, scale: np.ndarray | None = None
) -> np.ndarray:
    """Descend the energy from a one-to-one map (V, 2), metres; no step folds it or lets it overlap.

    The gradient is smoothed by the surface's Laplacian (a Sobolev step): the whole part moves at once.
    Arguments are those of `flatten`.
    """
    distortion, loop = Distortion.of(vertices, faces, scale), boundary_loop(faces)
    weights = _mean_value_weights(vertices, faces)
    weights = (weights + weights.T) / 2
    smoother = splu((_diagonal(weights.sum(axis=1) * 1.0001) - weights).tocsc())

    def energy_of(flat: np.ndarray) -> tuple[float, np.ndarray]:
        stretch, by_stretch = distortion.energy(flat)
        push, by_rim = rim_barrier(flat[loop])
        share = _RIM_SHARE * distortion.area.sum()
        by_stretch[loop] += share * by_rim
        return stretch + share * push, by_stretch

    energy, gradient = energy_of(plane)
    step = 1e-2
    for _ in range(_MOST_STEPS):
        direction = -smoother.solve(gradient)
        slope = (direction * gradient).sum()
        while True:
            moved = plane + step * direction
            if is_one_to_one(moved, faces, loop):
                moved_energy, moved_gradient = energy_of(moved)
                if moved_energy <= energy + 1e-4 * step * slope:
                    break
            step /= 2
            if step < 1e-14:
                return plane
        if energy - moved_energy < 1e-6 * energy:
            return moved
        plane, energy, gradient, step = moved, moved_energy, moved_gradient, step * 2.5
    return plane


@dataclass(frozen=True)
class Distortion:
    """The symmetric Dirichlet energy of flat maps of one surface."""

    faces: np.ndarray  # (F, 3)
    gradient_of: np.ndarray  # (F, 3, 2) makes of values at a triangle's corners their gradient, 1/metres
    area: np.ndarray  # (F,) square metres

    @staticmethod
    def of(vertices: np.ndarray, faces: np.ndarray, scale: np.ndarray | None = None) -> Distortion:
        """That of vertices (V, 3) metres, with triangles that are wanted `scale` (F,) times as long."""
        gradient_of, area = _local_frames(vertices, faces), _areas(vertices, faces)
        if scale is not None:
            gradient_of, area = gradient_of / scale[:, None, None], area * scale**2
        return Distortion(faces, gradient_of, area)

    def energy(self, plane: np.ndarray) -> tuple[float, np.ndarray]:
        """Sum over triangles of area (|J|^2 + |J^-1|^2), and its gradient (V, 2)."""
        corners = plane[self.faces]  # (F, 3, 2)
        jacobian = np.einsum("fki,fkj->fij", corners, self.gradient_of)
        determinant = jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0]
        norm = (jacobian**2).sum(axis=(1, 2))
        energy = float((self.area * norm * (1 + determinant**-2)).sum())
        cofactor = jacobian[:, ::-1, ::-1] * [[1, -1], [-1, 1]]
        of_jacobian, of_cofactor = 2 * (1 + determinant**-2), -2 * norm * determinant**-3
        by_jacobian = of_jacobian[:, None, None] * jacobian + of_cofactor[:, None, None] * cofactor
        by_corner = np.einsum("f,fij,fkj->fki", self.area, by_jacobian, self.gradient_of)
        gradient = np.zeros_like(plane)
        np.add.at(gradient, self.faces, by_corner)
        return energy, gradient


def rim_barrier(rim: np.ndarray, gap: float = RIM_GAP) -> tuple[float, np.ndarray]:
    """Sum of (gap / d - 1)^2 over points and edges of a rim (N, 2) that are d < gap apart, and its gradient.

    Smith and Schaefer 2015, equation 6. An edge and its own two ends are never counted.
    """
    count = len(rim)
    following = np.roll(rim, -1, axis=0)
    reach = gap + np.linalg.norm(following - rim, axis=1).max() / 2
    near = cKDTree(rim).sparse_distance_matrix(cKDTree((rim + following) / 2), reach, output_type="ndarray")
    point, edge = near["i"], near["j"]
    other = (point != edge) & (point != (edge + 1) % count)
    point, edge = point[other], edge[other]
    along = following[edge] - rim[edge]
    share = ((rim[point] - rim[edge]) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-24)
    share = share.clip(0, 1)[:, None]
    offset = rim[point] - rim[edge] - share * along
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-12)
    excess = np.maximum(gap / distance - 1, 0)
    by_distance = -2 * excess * gap / distance**2
    pull = (by_distance / distance)[:, None] * offset
    gradient = np.zeros_like(rim)
    np.add.at(gradient, point, pull)
    np.add.at(gradient, edge, -(1 - share) * pull)
    np.add.at(gradient, (edge + 1) % count, -share * pull)
    return float((excess**2).sum()), gradient


def upright(plane: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Turn a flat part (V, 2) so that its second axis follows a height (V,) of its vertices; centred."""
    centred = plane - plane.mean(axis=0)
    up = np.linalg.lstsq(centred, height - height.mean(), rcond=None)[0]
    up /= np.linalg.norm(up)
    return centred @ np.stack([[up[1], -up[0]], up], axis=1)


def _diagonal(values: np.ndarray) -> csc_array:
    return csc_array((values, (np.arange(len(values)),) * 2))


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
    """The matrix (F, 3, 2) of each triangle that makes of values at its corners their gradient on it."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    x_axis = (b - a) / np.maximum(np.linalg.norm(b - a, axis=1, keepdims=True), 1e-12)
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-18)
    y_axis = np.cross(normal, x_axis)
    flat = [np.stack([((p - a) * x_axis).sum(1), ((p - a) * y_axis).sum(1)], axis=1) for p in (a, b, c)]
    twice = 2 * np.maximum(_areas(vertices, faces), 1e-14)[:, None]
    opposite = [flat[(k + 2) % 3] - flat[(k + 1) % 3] for k in range(3)]
    return np.stack([np.stack([-edge[:, 1], edge[:, 0]], axis=1) / twice for edge in opposite], axis=1)


def signed_areas(plane: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Areas (F,) of flat triangles, negative where they are clockwise."""
    a, b, c = (plane[faces[:, k]] for k in range(3))
    return 0.5 * cross(b - a, c - a)


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """The vertices of a disk's rim, in order, counter-clockwise; raises ValueError where there is no rim."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    following = dict(edges[twin_half_edges(faces) < 0].tolist())
    if not following:
        raise ValueError("a closed surface cannot be flattened: it has no rim")
    loop = [min(following)]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        edges_found = f"{len(following)} rim edges, {len(loop)} in one"
        raise ValueError(f"a piece with several rims ({edges_found}) is no disk")
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
    divides_one = cross(b - a, c - a) * cross(b - a, d - a) <= 0
    divides_other = cross(d - c, a - c) * cross(d - c, b - c) <= 0
    return bool((divides_one & divides_other).any())
