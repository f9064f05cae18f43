"""The triangles of the charts, and which of them holds a (u, v)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trimesh.ray.ray_pyembree import RayMeshIntersector

#: Charts are laid out side by side, this far apart, so that one ray caster finds all of them. From a place in
#: the unit square every corner of its own chart is nearer than any other chart's.
_CHART_SPACING = 2.0
#: How far past 0 or 1 a coordinate may be before it is an error rather than rounding.
_ROUNDING = 1e-3
#: A ray through the edge between two triangles may slip between them: it is cast again this far aside.
_ASIDE = 2e-5 * np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)])


def checked_places(part: np.ndarray, uv: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Parts (N,) int64 in 1..parts and (u, v) (N, 2) float64 in [0, 1]; ValueError if not."""
    part, uv = np.asarray(part).astype(np.int64), np.asarray(uv, dtype=np.float64).reshape(-1, 2)
    if part.size and (part.min() < 1 or part.max() > parts):
        raise ValueError(f"parts run from {part.min()} to {part.max()}, but 1..{parts} is wanted")
    if not np.isfinite(uv).all():
        raise ValueError(f"{(~np.isfinite(uv)).any(axis=1).sum()} of {len(uv)} (u, v) are not finite")
    if uv.size and (uv.min() < -_ROUNDING or uv.max() > 1 + _ROUNDING):
        raise ValueError(f"(u, v) run from {uv.min():g} to {uv.max():g}, but 0..1 is wanted")
    return part, uv.clip(0, 1)


@dataclass(frozen=True)
class ChartFaces:
    """Triangles in the unit squares of their parts."""

    part: np.ndarray  # (F,) 1..P
    uv: np.ndarray  # (F, 3, 2) in [0, 1]

    def holding(self, part: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Face (N,) int64 of part (N,) 1..P that (u, v) (N, 2) lies in, and barycentric weights (N, 3).

        Outside the part's chart: face -1, weights 0.
        """
        face = self._face_under(part, uv)
        for aside in _ASIDE:
            missed = np.flatnonzero(face < 0)
            face[missed] = self._face_under(part[missed], uv[missed] + aside)
        barycentric = np.zeros((len(part), 3))
        hit = face >= 0
        barycentric[hit] = _barycentric_2d(uv[hit], self.uv[face[hit]].astype(np.float64))
        return face, barycentric

    def _face_under(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The face (N,) of each part's chart that a point lies in, -1 outside the chart."""
        if len(part) == 0:
            return np.zeros(0, dtype=np.int64)
        origins = np.column_stack([uv[:, 0] + _CHART_SPACING * part, uv[:, 1], np.ones(len(part))])
        down = np.broadcast_to([0.0, 0.0, -1.0], origins.shape)
        return self._rays.intersects_first(origins, down).astype(np.int64)

    @cached_property
    def _rays(self) -> RayMeshIntersector:
        import trimesh  # a third of a second, and most commands cast no ray
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        corners = self.uv.astype(np.float64).reshape(-1, 2)
        corners[:, 0] += _CHART_SPACING * np.repeat(self.part, 3)
        flat = np.column_stack([corners, np.zeros(len(corners))])
        return RayMeshIntersector(
            trimesh.Trimesh(flat, np.arange(len(flat)).reshape(-1, 3), process=False), scale_to_box=False
        )


def _barycentric_2d(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Weights (N, 3) of points (N, 2) in triangles (N, 3, 2), not negative and summing to 1."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    doubled = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    doubled = np.where(np.abs(doubled) < 1e-20, 1e-20, doubled)
    weight_b = ((points - a)[:, 0] * (c - a)[:, 1] - (points - a)[:, 1] * (c - a)[:, 0]) / doubled
    weight_c = ((b - a)[:, 0] * (points - a)[:, 1] - (b - a)[:, 1] * (points - a)[:, 0]) / doubled
    weights = np.clip(np.stack([1 - weight_b - weight_c, weight_b, weight_c], axis=1), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)
