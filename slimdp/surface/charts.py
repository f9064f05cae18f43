"""Flatten each part of the body into the unit square (DensePose, 2.1).

Classical multidimensional scaling of the geodesic distances within a part, as the paper does it. Where that
folds the part over itself (closed shapes such as feet), two points of the body would share one (u, v); there
the chart is unfolded instead from an embedding that cannot fold.
"""

from __future__ import annotations

import numpy as np

from slimdp.surface.geodesics import distances_from, surface_graph
from slimdp.surface.planar import boundary_loop, is_one_to_one, signed_areas
from slimdp.surface.unfold import tutte_embedding, unfold


def flatten(vertices: np.ndarray, faces: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """Flatten a disk-like piece of surface one-to-one.

    Args:
        vertices: (V, 3) metres; every vertex belongs to a face.
        faces: (F, 3) counter-clockwise seen from outside.
        scale: (F,) how large each triangle is wanted, as a share of its length on the body. With it the
            piece is unfolded at once, as scaling knows only true distances.

    Returns:
        (V, 2) metres, every triangle counter-clockwise, no two points at the same place.
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
