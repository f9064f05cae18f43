"""The surface at a glance: the body from front and back with its parts and coordinates, and all charts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from slimdp.report.drawing import PART_COLOURS, contact_sheet, draw_dots, text_strip
from slimdp.report.table import format_table
from slimdp.structures import PARTS
from slimdp.surface import BodySurface, DensePoseCharts
from slimdp.surface.distortion import ChartDistortion
from slimdp.surface.parts import PART_NAMES

#: Rays along each side of a pixel.
_SAMPLES = 2
#: Lines of equal u and v are drawn at every tenth.
_LINES = 10
_U_LINE, _V_LINE, _BORDER = np.array([(25, 25, 25), (255, 255, 255), (0, 0, 0)], dtype=np.uint8)
_CHARTS_A_ROW = 6
_MARGIN_M = 0.03
_LEAST_HEIGHT = 200
_TITLE_HEIGHT = 20


def surface_picture(surface: BodySurface, height: int = 1000) -> np.ndarray:
    """Front and back of a surface in its rest pose, and its charts beside them.

    Dark lines are of equal u, white ones of equal v, a tenth apart; white dots are the keypoints' anchors.

    Args:
        surface: what to draw.
        height: of the picture, about, px.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: too small a height to show anything.
    """
    if height < _LEAST_HEIGHT:
        raise ValueError(f"a picture {height} px high, but {_LEAST_HEIGHT} or more are wanted")
    views = [_view(surface, side, height - _TITLE_HEIGHT) for side in (1, -1)]
    bodies = contact_sheet([views], ["front", "back"])
    return contact_sheet([[bodies, charts_picture(surface, height)]])


def charts_picture(charts: BodySurface | DensePoseCharts, height: int = 1000) -> np.ndarray:
    """All 24 charts with their triangles and a grid of tenths, u to the right and v up.

    Args:
        charts: what to draw.
        height: of the picture, about, px.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: too small a height to show anything.
    """
    if height < _LEAST_HEIGHT:
        raise ValueError(f"a picture {height} px high, but {_LEAST_HEIGHT} or more are wanted")
    side_px = height // (PARTS // _CHARTS_A_ROW) - _TITLE_HEIGHT - 8
    # DensePose numbers its parts; the names of ours are not all sure to be those of theirs.
    names = PART_NAMES if isinstance(charts, BodySurface) else [""] * (PARTS + 1)
    panels = [
        np.vstack(
            [text_strip(f"{part} {names[part]}", side_px, _TITLE_HEIGHT), _chart(charts, part, side_px)]
        )
        for part in range(1, PARTS + 1)
    ]
    return contact_sheet([panels[start : start + _CHARTS_A_ROW] for start in range(0, PARTS, _CHARTS_A_ROW)])


def distortion_table(charts: Sequence[ChartDistortion]) -> str:
    """The distortion of charts as a Markdown table; steps of 0.01 in u and v in millimetres on the body."""
    header = [
        "part", "skin cm²", "filled %", "area ratio 5 %", "50 %", "95 %", "0.01 u mm", "0.01 v mm", "flipped",
    ]  # fmt: skip
    body = [
        [
            f"{chart.part} {PART_NAMES[chart.part]}",
            f"{1e4 * chart.skin_m2:.0f}",
            f"{100 * chart.filled:.0f}",
            *(f"{ratio:.2f}" for ratio in chart.area_ratio),
            f"{10 * chart.metres_per_u:.1f}",
            f"{10 * chart.metres_per_v:.1f}",
            str(chart.flipped),
        ]
        for chart in charts
    ]
    return format_table(header, body, markdown=True)


def _view(surface: BodySurface, side: int, height: int) -> np.ndarray:
    """The body seen along the z axis, from the front (side 1) or the back (-1), without perspective."""
    low, high = surface.vertices.min(axis=0) - _MARGIN_M, surface.vertices.max(axis=0) + _MARGIN_M
    half_width = max(-low[0], high[0])
    pixel = (high[1] - low[1]) / height  # metres
    shape = height * _SAMPLES, round(2 * half_width / pixel) * _SAMPLES
    row, column = np.mgrid[: shape[0], : shape[1]]
    x = side * ((column.ravel() + 0.5) * pixel / _SAMPLES - half_width)
    y = high[1] - (row.ravel() + 0.5) * pixel / _SAMPLES
    origins = np.column_stack([x, y, np.full(x.size, side * 10.0)])
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    rays = RayMeshIntersector(mesh, scale_to_box=False)
    face = rays.intersects_first(origins, np.broadcast_to([0.0, 0.0, -side], origins.shape))
    picture = _painted(surface, mesh, face.astype(np.int64).reshape(shape), x, y)
    picture = cv2.resize(picture, (shape[1] // _SAMPLES, height), interpolation=cv2.INTER_AREA)
    seen = [vertex for vertex in surface.keypoints.values() if _is_seen(rays, surface.vertices[vertex], side)]
    place = surface.vertices[seen]
    dots = np.column_stack([side * place[:, 0] + half_width, high[1] - place[:, 1]]) / pixel - 0.5
    return draw_dots(picture, dots, np.full((len(dots), 3), 255, dtype=np.uint8), radius=2.5)


def _painted(
    surface: BodySurface, mesh: trimesh.Trimesh, face: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Part colours, shaded, with lines of equal u and v, for faces (H, W) seen at x, y (H W,) metres."""
    hit = face.ravel() >= 0
    seen = face.ravel()[hit]
    barycentric = _weights_in_view(surface, seen, x[hit], y[hit])
    part, uv = surface.chart(seen, barycentric)
    normal = np.einsum("nk,nkc->nc", barycentric, mesh.vertex_normals[surface.faces[seen]])
    light = 0.55 + 0.45 * np.abs(normal[:, 2]) / np.linalg.norm(normal, axis=1)
    picture, parts, cells = (
        np.full((*face.shape, 3), 255, np.uint8),
        np.zeros(face.shape, int),
        np.zeros((2, *face.shape)),
    )
    flat = picture.reshape(-1, 3)
    flat[hit] = np.round(PART_COLOURS[part] * light[:, None])
    parts.reshape(-1)[hit] = part
    cells.reshape(2, -1)[:, hit] = np.floor(uv.T * _LINES)
    border = _changes(parts)
    for cell, colour in zip(cells, (_U_LINE, _V_LINE)):
        picture[_changes(cell) & ~border] = colour
    picture[cv2.dilate(border.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0] = _BORDER
    return picture


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


def _changes(values: np.ndarray) -> np.ndarray:
    """Where a map (H, W) differs from its right or its lower neighbour."""
    changed = np.zeros(values.shape, dtype=bool)
    changed[:, :-1] |= values[:, :-1] != values[:, 1:]
    changed[:-1] |= values[:-1] != values[1:]
    return changed


def _is_seen(rays: RayMeshIntersector, place: np.ndarray, side: int) -> bool:
    """Whether a ray towards a vertex meets nothing before it."""
    origin = place + [0, 0, side * 2e-3]
    return not rays.intersects_any(origin[None], np.array([[0.0, 0.0, side]]))[0]


def _chart(charts: BodySurface | DensePoseCharts, part: int, side_px: int) -> np.ndarray:
    """A chart with its triangles and a grid of tenths, u to the right and v up, (side_px, side_px, 3)."""
    fine_px = side_px * _SAMPLES
    canvas = np.full((fine_px, fine_px, 3), 235, dtype=np.uint8)
    inset = 2 * _SAMPLES

    def pixels(uv: np.ndarray) -> np.ndarray:
        flat = np.stack([uv[..., 0], 1 - uv[..., 1]], axis=-1) * (fine_px - 1 - 2 * inset) + inset
        return np.round(flat).astype(np.int32)

    colour = PART_COLOURS[part].astype(int)
    triangles = list(pixels(charts.face_uv[charts.face_part == part].astype(np.float64)))
    for triangle in triangles:
        cv2.fillPoly(canvas, [triangle], colour.tolist())
    cv2.polylines(canvas, triangles, True, (0.5 * colour).tolist(), 1)
    for tenth in np.linspace(0, 1, _LINES + 1):
        for axis, line in ((0, _U_LINE), (1, _V_LINE)):
            ends = np.array([[0.0, 0.0], [1.0, 1.0]])
            ends[:, axis] = tenth
            cv2.polylines(canvas, [pixels(ends)], False, line.tolist(), 2)
    return cv2.resize(canvas, (side_px, side_px), interpolation=cv2.INTER_AREA)
