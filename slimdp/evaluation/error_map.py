"""The mean error at every place of the body (DensePose, figure 4)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from slimdp.surface import BodySurface

#: Points count for a place by a Gaussian of their distance along the body, of this deviation, metres.
SIGMA_M = 0.03
#: Points farther than so many deviations do not count.
_REACH = 3.0


def mean_error_map(
    surface: BodySurface, part: np.ndarray, uv: np.ndarray, errors_m: np.ndarray, sigma_m: float = SIGMA_M
) -> np.ndarray:
    """Mean error at the vertices of a body, of points whose true places are known.

    DensePose interpolates the errors of each picture and averages the pictures; here the points of all are
    averaged at once, with weights exp(-d^2 / (2 sigma^2)), d along the body from the vertex to the one next
    to the point.

    Args:
        surface: the body.
        part: (P,) true part, 1..parts.
        uv: (P, 2) true coordinates.
        errors_m: (P,) metres; points that were not found (infinite) are left out.
        sigma_m: deviation of the weights, metres.

    Returns:
        (V,) float64 metres; NaN where no point is near.

    Raises:
        ValueError: no point, a sigma that is not positive, or arrays of different lengths.
    """
    if not sigma_m > 0:
        raise ValueError(f"sigma_m = {sigma_m}, but a positive number of metres is wanted")
    if not len(part) == len(uv) == len(errors_m):
        raise ValueError(f"{len(part)} parts, {len(uv)} uv and {len(errors_m)} errors; wanted equally many")
    found = np.isfinite(errors_m)
    if not found.any():
        raise ValueError("no error that is finite: nothing to average")
    vertex = nearest_corner(surface, np.asarray(part)[found], np.asarray(uv)[found])
    return smooth_on_body(surface, vertex, errors_m[found, None], sigma_m)[:, 0]


def nearest_corner(surface: BodySurface, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The vertex (P,) next to each place of parts (P,) at (u, v) (P, 2), of the face that holds it."""
    face, weights = surface.locate(part, uv)
    return surface.faces[face, weights.argmax(axis=1)]


def smooth_on_body(
    surface: BodySurface, vertex: np.ndarray, values: np.ndarray, sigma_m: float
) -> np.ndarray:
    """Means of values at vertices, with weights exp(-d^2 / (2 sigma^2)), d along the body, up to 3 sigma.

    Args:
        surface: the body.
        vertex: (P,) where the values are; a vertex may have several.
        values: (P, C).
        sigma_m: deviation of the weights, metres.

    Returns:
        (V, C) float64; NaN where no value is near.
    """
    vertices = len(surface.vertices)
    count = np.bincount(vertex, minlength=vertices).astype(float)
    totals = np.stack([np.bincount(vertex, weights=column, minlength=vertices) for column in values.T], 1)
    held = np.flatnonzero(count)
    # A way along the body is no shorter than the straight one.
    near = cKDTree(surface.vertices[held]).query_ball_point(surface.vertices, _REACH * sigma_m)
    place = np.repeat(np.arange(len(near)), [len(others) for others in near])
    source = held[np.concatenate([np.asarray(others, dtype=np.int64) for others in near])]
    distance_m = surface.vertex_distance(place, source)
    weight = np.where(distance_m <= _REACH * sigma_m, np.exp(-(distance_m**2) / (2 * sigma_m**2)), 0.0)
    weights = np.bincount(place, weights=weight * count[source], minlength=vertices)
    means = np.full(totals.shape, np.nan)
    for column, total in enumerate(totals.T):
        summed = np.bincount(place, weights=weight * total[source], minlength=vertices)
        np.divide(summed, weights, out=means[:, column], where=weights > 0)
    return means
