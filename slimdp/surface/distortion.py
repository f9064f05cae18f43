"""How evenly each chart shows its part of the skin, and which skin no image shows: inside mouth and nose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.surface.body import BodySurface

#: Triangles of less openness than this are hidden: light hardly reaches them, and no image shows them.
HIDDEN_BELOW = 0.02
_DIRECTIONS = 200
#: Rays begin this far off the skin, metres, so that they do not meet it at once.
_CLEARANCE = 1e-5
#: Rays that graze the skin (below this cosine) say little, and meet its next triangles by rounding.
_GRAZING = 0.05


def openness(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The share (F,) in 0..1 of a triangle's view, weighted by the cosine, that the body does not block.

    The body has vertices (V, 3), metres, and faces (F, 3), counter-clockwise seen from outside.
    """
    import trimesh  # a third of a second, and only building a body asks for it
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    rays = RayMeshIntersector(trimesh.Trimesh(vertices, faces, process=False), scale_to_box=False)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-18)
    centre = corners.mean(axis=1)
    free, total = np.zeros(len(faces)), np.full(len(faces), 1e-12)
    for direction in _even_directions(_DIRECTIONS):
        cosine = normal @ direction
        facing = np.flatnonzero(cosine > _GRAZING)
        origin = centre[facing] + _CLEARANCE * normal[facing]
        blocked = rays.intersects_any(origin, np.broadcast_to(direction, origin.shape))
        total[facing] += cosine[facing]
        free[facing] += cosine[facing] * ~blocked
    return free / total


def _even_directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3) spread evenly over the sphere along a golden spiral."""
    step = np.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, np.pi * (1 + np.sqrt(5)) * step
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)


@dataclass(frozen=True)
class ChartDistortion:
    """One chart in numbers. Skin that no image shows (inside mouth and nose) is left out of all of them."""

    part: int  # 1..P
    skin_m2: float
    filled: float  # the chart's area, of a unit square
    #: The 5th, 50th and 95th percentile, by area, of a triangle's share of the chart over its share of the
    #: skin: 1 everywhere in a chart that shows its skin evenly.
    area_ratio: tuple[float, float, float]
    metres_per_u: float  # mean length on the skin of a unit step in u
    metres_per_v: float
    flipped: int  # triangles turned against the chart's others


def chart_distortion(surface: BodySurface) -> list[ChartDistortion]:
    """The distortion of every chart, in the order of the parts."""
    visible = openness(surface.vertices, surface.faces) >= HIDDEN_BELOW
    return [_of_part(surface, part, visible) for part in np.unique(surface.face_part).tolist()]


def _of_part(surface: BodySurface, part: int, visible: np.ndarray) -> ChartDistortion:
    chart = surface.face_uv[surface.face_part == part].astype(np.float64)
    turned = np.linalg.det(chart[:, 1:] - chart[:, :1])
    mine = (surface.face_part == part) & visible
    uv = surface.face_uv[mine].astype(np.float64)
    place = surface.vertices[surface.faces[mine]]
    flat_sides, sides = uv[:, 1:] - uv[:, :1], place[:, 1:] - place[:, :1]  # (F, 2, 2), (F, 2, 3)
    skin = 0.5 * np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    flat = 0.5 * np.abs(np.linalg.det(flat_sides))
    by_uv = np.linalg.solve(flat_sides, sides)  # (F, 2, 3): d place / d u, d place / d v
    length = np.average(np.linalg.norm(by_uv, axis=2), axis=0, weights=skin)
    ratio = (flat / flat.sum()) / (skin / skin.sum())
    order = np.argsort(ratio)
    reached = np.cumsum(skin[order]) / skin.sum()
    low, middle, high = (float(ratio[order][np.searchsorted(reached, level)]) for level in (0.05, 0.5, 0.95))
    skin_m2, filled = float(skin.sum()), float(flat.sum())
    per_u, per_v = length.tolist()
    flipped = int((np.sign(turned) != np.sign(np.median(turned))).sum())
    return ChartDistortion(part, skin_m2, filled, (low, middle, high), per_u, per_v, flipped)
