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
        part: (P,) true part, 1..24.
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
    face, weights = surface.locate(np.asarray(part)[found], np.asarray(uv)[found])
    vertex = surface.faces[face, weights.argmax(axis=1)]
    count = np.bincount(vertex, minlength=len(surface.vertices)).astype(float)
    total = np.bincount(vertex, weights=errors_m[found], minlength=len(surface.vertices))
    held = np.flatnonzero(count)
    # A way along the body is no shorter than the straight one.
    near = cKDTree(surface.vertices[held]).query_ball_point(surface.vertices, _REACH * sigma_m)
    place = np.repeat(np.arange(len(near)), [len(others) for others in near])
    source = held[np.concatenate([np.asarray(others, dtype=np.int64) for others in near])]
    distance_m = surface.vertex_distance(place, source)
    weight = np.where(distance_m <= _REACH * sigma_m, np.exp(-(distance_m**2) / (2 * sigma_m**2)), 0.0)
    error_sum, weight_sum = (
        np.bincount(place, weights=weight * values[source], minlength=len(near)) for values in (total, count)
    )
    known = weight_sum > 0
    mean_m = np.full(len(near), np.nan)
    mean_m[known] = error_sum[known] / weight_sum[known]
    return mean_m
