"""Which places of a body are seen from the front or the back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from slimdp.surface import BodySurface

#: Rays along each side of a pixel.
SAMPLES = 2
#: A body where nothing is known.
GREY = 190.0
_MARGIN_M = 0.03


@dataclass(frozen=True)
class BodyView:
    """The body seen along the z axis without perspective, in rays: SAMPLES x SAMPLES a pixel."""

    hit: np.ndarray  # (H, W) bool, rays that meet the body
    face: np.ndarray  # (N,) int64, of the N rays that do, row by row
    barycentric: np.ndarray  # (N, 3)
    light: np.ndarray  # (N,) 0..1, brighter where the skin faces the viewer
    side: int  # 1 seen from the front, -1 from the back
    left_m: float  # from the middle to the left edge
    top_m: float  # y of the upper edge
    pixel_m: float  # side of a pixel
    rays: RayMeshIntersector

    def values(self, faces: np.ndarray, at_vertices: np.ndarray) -> np.ndarray:
        """Values at the vertices (V, C) where the rays meet the body, (N, C); NaN where none is known.

        At the rim of the unknown (NaN) the corners that are known speak for the face.
        """
        corners = at_vertices[faces[self.face]]
        known = ~np.isnan(corners).any(axis=2)
        weight = self.barycentric * known
        sums = weight.sum(axis=1, keepdims=True)
        mean = np.full((len(corners), at_vertices.shape[1]), np.nan)
        mixed = np.einsum("nk,nkc->nc", weight, np.nan_to_num(corners))
        return np.divide(mixed, sums, out=mean, where=sums > 0)

    def painted(self, colours: np.ndarray) -> np.ndarray:
        """The shaded body on white, a pixel a pixel: (H, W, 3) uint8 RGB of colours (N, 3) in 0..255."""
        picture = np.full((*self.hit.shape, 3), 255, np.uint8)
        picture[self.hit] = np.round(colours * self.light[:, None])
        height, width = (length // SAMPLES for length in self.hit.shape)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """Where places (N, 3) metres are in the view, (N, 2) x, y px (not rays)."""
        x, y = self.side * places[:, 0] + self.left_m, self.top_m - places[:, 1]
        return np.column_stack([x, y]) / self.pixel_m - 0.5

    def sees(self, place: np.ndarray) -> bool:
        """Whether nothing is before a place (3,) of the skin."""
        origin = place + [0, 0, self.side * 2e-3]
        return not self.rays.intersects_any(origin[None], np.array([[0.0, 0.0, self.side]]))[0]


def view_body(surface: BodySurface, side: int, height: int) -> BodyView:
    """Look at a body in its rest pose from the front (side 1) or the back (-1), `height` px high."""
    low, high = surface.vertices.min(axis=0) - _MARGIN_M, surface.vertices.max(axis=0) + _MARGIN_M
    half_width = max(-low[0], high[0])
    pixel = (high[1] - low[1]) / height
    shape = height * SAMPLES, round(2 * half_width / pixel) * SAMPLES
    row, column = np.mgrid[: shape[0], : shape[1]]
    x = side * ((column.ravel() + 0.5) * pixel / SAMPLES - half_width)
    y = high[1] - (row.ravel() + 0.5) * pixel / SAMPLES
    origins = np.column_stack([x, y, np.full(x.size, side * 10.0)])
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    rays = RayMeshIntersector(mesh, scale_to_box=False)
    face = rays.intersects_first(origins, np.broadcast_to([0.0, 0.0, -side], origins.shape)).astype(np.int64)
    hit = face >= 0
    seen = face[hit]
    barycentric = _weights_in_view(surface, seen, x[hit], y[hit])
    normal = np.einsum("nk,nkc->nc", barycentric, mesh.vertex_normals[surface.faces[seen]])
    light = 0.55 + 0.45 * np.abs(normal[:, 2]) / np.linalg.norm(normal, axis=1)
    return BodyView(hit.reshape(shape), seen, barycentric, light, side, half_width, high[1], pixel, rays)


def _weights_in_view(surface: BodySurface, face: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Barycentric weights (N, 3) of the points of faces that are seen at x, y when looking along z."""
    corners = surface.vertices[surface.faces[face]][:, :, :2]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    point = np.stack([x, y], axis=1)

    def doubled_area(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return (q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0]

    shares = np.stack(
        [doubled_area(point, b, c), doubled_area(a, point, c), doubled_area(a, b, point)], axis=1
    )
    shares /= doubled_area(a, b, c)[:, None]
    shares = shares.clip(0, 1)
    return shares / shares.sum(axis=1, keepdims=True)
