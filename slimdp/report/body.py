"""The body's surface from two sides: its parts and charts, errors upon it, colours of pictures.

Images are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import trimesh
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from trimesh.ray.ray_pyembree import RayMeshIntersector

from slimdp.evaluation.annotators import nearest_corner, smooth_on_body
from slimdp.report.drawing import PART_COLOURS, contact_sheet, draw_dots, text_strip
from slimdp.report.tables import format_table
from slimdp.surface import BodySurface, DensePoseCharts
from slimdp.surface.distortion import ChartDistortion

#: Rays along each side of a pixel.
SAMPLES = 2
#: A body where nothing is known.
GREY = 190.0
#: Colours of pictures spread along the body by a Gaussian of this deviation, metres: a pixel of a person of
#: 150 px shows a centimetre.
TEXTURE_SIGMA_M = 0.008
_MARGIN_M = 0.03
_ABOVE_SKIN_M = 2e-3
#: Lines of equal u and v are drawn at every tenth.
_LINES = 10
_U_LINE, _V_LINE, _BORDER = np.array([(25, 25, 25), (255, 255, 255), (0, 0, 0)], dtype=np.uint8)
_CHARTS_A_ROW = 6
_TITLE_HEIGHT, _LEAST_HEIGHT = 20, 200
_ERROR_COLOURS = "plasma"


class Viewpoint(NamedTuple):
    """From where a body is looked at; y is up."""

    name: str
    turn: np.ndarray  # (3, 3), takes places of the body to right, up and towards the viewer


FRONT = Viewpoint("front", np.diag([1.0, 1.0, 1.0]))
BACK = Viewpoint("back", np.diag([-1.0, 1.0, -1.0]))
LEFT = Viewpoint("left side", np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
RIGHT = Viewpoint("right side", np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]))
#: A view is at most so many times as wide as a picture is high.
_WIDEST = 1.5
#: A body this much deeper than wide is looked at from its sides.
_DEEP = 1.5


def viewpoints(surface: BodySurface) -> tuple[Viewpoint, Viewpoint]:
    """The two opposite sides that show most of a body: front and back, of one that is long left and right."""
    width, _, depth = np.ptp(surface.vertices, axis=0)
    return (LEFT, RIGHT) if depth > _DEEP * width else (FRONT, BACK)


class BodyView(NamedTuple):
    """The body seen from a viewpoint without perspective, in rays: SAMPLES x SAMPLES a pixel."""

    hit: np.ndarray  # (H, W) bool, rays that meet the body
    face: np.ndarray  # (N,) int64, of the N rays that do, row by row
    barycentric: np.ndarray  # (N, 3)
    light: np.ndarray  # (N,) 0..1, brighter where the skin faces the viewer
    turn: np.ndarray  # (3, 3) of the viewpoint
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
        image = np.full((*self.hit.shape, 3), 255, np.uint8)
        image[self.hit] = np.round(colours * self.light[:, None])
        height, width = (length // SAMPLES for length in self.hit.shape)
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """Where places (N, 3) metres are in the view, (N, 2) x, y px (not rays)."""
        seen = places @ self.turn.T
        return np.column_stack([seen[:, 0] + self.left_m, self.top_m - seen[:, 1]]) / self.pixel_m - 0.5

    def sees(self, place: np.ndarray) -> bool:
        """Whether nothing is before a place (3,) of the skin."""
        origin = self.turn @ place + [0, 0, _ABOVE_SKIN_M]
        return not self.rays.intersects_any(origin[None], np.array([[0.0, 0.0, 1.0]]))[0]


def view_body(surface: BodySurface, viewpoint: Viewpoint, height: int) -> BodyView:
    """Look at a body in its rest pose from a viewpoint, `height` px high, or less where it is wide."""
    turned = surface.vertices @ viewpoint.turn.T
    low, high = turned.min(axis=0) - _MARGIN_M, turned.max(axis=0) + _MARGIN_M
    half_width = max(-low[0], high[0])
    pixel = max((high[1] - low[1]) / height, 2 * half_width / (_WIDEST * height))
    shape = round((high[1] - low[1]) / pixel) * SAMPLES, round(2 * half_width / pixel) * SAMPLES
    row, column = np.mgrid[: shape[0], : shape[1]]
    x = (column.ravel() + 0.5) * pixel / SAMPLES - half_width
    y = high[1] - (row.ravel() + 0.5) * pixel / SAMPLES
    origins = np.column_stack([x, y, np.full(x.size, high[2] + 10.0)])
    mesh = trimesh.Trimesh(turned, surface.faces, process=False)
    rays = RayMeshIntersector(mesh, scale_to_box=False)
    face = rays.intersects_first(origins, np.broadcast_to([0.0, 0.0, -1.0], origins.shape)).astype(np.int64)
    hit = face >= 0
    seen = face[hit]
    barycentric = _weights_in_view(turned[surface.faces[seen]], x[hit], y[hit])
    normal = np.einsum("nk,nkc->nc", barycentric, mesh.vertex_normals[surface.faces[seen]])
    light = 0.55 + 0.45 * np.abs(normal[:, 2]) / np.linalg.norm(normal, axis=1)
    return BodyView(
        hit.reshape(shape), seen, barycentric, light, viewpoint.turn, half_width, high[1], pixel, rays
    )


def _weights_in_view(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Barycentric weights (N, 3) of the points of triangles (N, 3, 3) that are seen at x, y along z."""
    a, b, c = corners[:, :, :2].transpose(1, 0, 2)
    point = np.stack([x, y], axis=1)

    def doubled_area(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return (q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0]

    areas = [doubled_area(point, b, c), doubled_area(a, point, c), doubled_area(a, b, point)]
    shares = (np.stack(areas, axis=1) / doubled_area(a, b, c)[:, None]).clip(0, 1)
    return shares / shares.sum(axis=1, keepdims=True)


def surface_image(surface: BodySurface, height: int = 1000) -> np.ndarray:
    """Two sides of a surface in its rest pose, and its charts beside them, about `height` px high.

    Dark lines are of equal u, white ones of equal v, a tenth apart; white dots are the keypoints' anchors.

    Raises:
        ValueError: too small a height to show anything.
    """
    _check_height(height)
    sides = viewpoints(surface)
    views = [_surface_view(surface, side, height - _TITLE_HEIGHT) for side in sides]
    bodies = contact_sheet([views], [side.name for side in sides])
    return contact_sheet([[bodies, charts_image(surface, height)]])


def charts_image(charts: BodySurface | DensePoseCharts, height: int = 1000) -> np.ndarray:
    """All charts, about `height` px high: their triangles, a grid of tenths, u to the right and v up; raises
    ValueError where that is too small to show anything."""
    _check_height(height)
    parts = len(charts.layout.parts)
    side_px = height // -(-parts // _CHARTS_A_ROW) - _TITLE_HEIGHT - 8
    # DensePose numbers its parts; the names of ours are not all sure to be those of theirs.
    names = charts.layout.part_names if isinstance(charts, BodySurface) else [""] * (parts + 1)
    panels = []
    for part in range(1, parts + 1):
        title = text_strip(f"{part} {names[part]}", side_px, _TITLE_HEIGHT)
        panels.append(np.vstack([title, _chart(charts, part, side_px)]))
    return contact_sheet([panels[start : start + _CHARTS_A_ROW] for start in range(0, parts, _CHARTS_A_ROW)])


def _check_height(height: int) -> None:
    if height < _LEAST_HEIGHT:
        raise ValueError(f"a picture {height} px high, but {_LEAST_HEIGHT} or more are wanted")


def distortion_table(charts: Sequence[ChartDistortion], names: Sequence[str]) -> str:
    """The distortion of charts as a Markdown table; steps of 0.01 in u and v in millimetres on the body.
    `names` are those of the labels 0..P."""
    header = [
        "part", "skin cm²", "filled %", "area ratio 5 %", "50 %", "95 %", "0.01 u mm", "0.01 v mm", "flipped",
    ]  # fmt: skip
    body = [
        [
            f"{chart.part} {names[chart.part]}",
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


def _surface_view(surface: BodySurface, side: Viewpoint, height: int) -> np.ndarray:
    """The body's parts, lines and keypoints from a side."""
    view = view_body(surface, side, height)
    image = _painted(surface, view)
    size = image.shape[1] // SAMPLES, image.shape[0] // SAMPLES
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    anchors = [surface.vertices[vertex] for vertex in surface.keypoints.values()]
    seen = np.array([place for place in anchors if view.sees(place)]).reshape(-1, 3)
    return draw_dots(image, view.pixels(seen), np.full((len(seen), 3), 255, dtype=np.uint8), radius=2.5)


def _painted(surface: BodySurface, view: BodyView) -> np.ndarray:
    """Part colours, shaded, with lines of equal u and v, one pixel a ray."""
    part, uv = surface.chart(view.face, view.barycentric)
    image = np.full((*view.hit.shape, 3), 255, np.uint8)
    parts, cells = np.zeros(view.hit.shape, int), np.zeros((2, *view.hit.shape))
    image[view.hit] = np.round(PART_COLOURS[part] * view.light[:, None])
    parts[view.hit] = part
    cells[:, view.hit] = np.floor(uv.T * _LINES)
    border = _changes(parts)
    for cell, colour in zip(cells, (_U_LINE, _V_LINE)):
        image[_changes(cell) & ~border] = colour
    image[cv2.dilate(border.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0] = _BORDER
    return image


def _changes(values: np.ndarray) -> np.ndarray:
    """Where a map (H, W) differs from its right or its lower neighbour."""
    changed = np.zeros(values.shape, dtype=bool)
    changed[:, :-1] |= values[:, :-1] != values[:, 1:]
    changed[:-1] |= values[:-1] != values[1:]
    return changed


def _chart(charts: BodySurface | DensePoseCharts, part: int, side_px: int) -> np.ndarray:
    """A chart with its triangles and a grid of tenths, u to the right and v up, (side_px, side_px, 3)."""
    fine_px, inset = side_px * SAMPLES, 2 * SAMPLES
    canvas = np.full((fine_px, fine_px, 3), 235, dtype=np.uint8)

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


def error_image(
    surface: BodySurface, error_m: np.ndarray, most_cm: float | None = None, height: int = 900
) -> np.ndarray:
    """Two sides of the body in colours of the error, and their bar in centimetres.

    Args:
        surface: the body, of V vertices.
        error_m: (V,) metres; NaN, drawn grey, where it is not known.
        most_cm: the error of the last colour; by default the largest of all.
        height: of the picture, about, px.

    Raises:
        ValueError: not an error a vertex, none that is known, or a picture too small to show anything.
    """
    if np.shape(error_m) != (len(surface.vertices),) or np.isnan(error_m).all():
        found = f"errors of shape {np.shape(error_m)}, {np.isfinite(error_m).sum()} of them known"
        raise ValueError(f"{found}; wanted one for each of {len(surface.vertices)} vertices")
    _check_height(height)
    most_cm = float(100 * np.nanmax(error_m)) if most_cm is None else most_cm
    scale = Normalize(0, most_cm if most_cm > 0 else 1.0)
    sides = viewpoints(surface)
    views = [_error_view(surface, error_m, side, height - _TITLE_HEIGHT, scale) for side in sides]
    return contact_sheet(
        [[*views, _bar(scale, height - _TITLE_HEIGHT)]], [*(side.name for side in sides), ""]
    )


def _error_view(
    surface: BodySurface, error_m: np.ndarray, side: Viewpoint, height: int, scale: Normalize
) -> np.ndarray:
    view = view_body(surface, side, height)
    error_cm = 100 * view.values(surface.faces, error_m[:, None])[:, 0]
    colours = 255 * colormaps[_ERROR_COLOURS](scale(error_cm))[:, :3]
    colours[np.isnan(error_cm)] = GREY
    return view.painted(colours)


def _bar(scale: Normalize, height: int) -> np.ndarray:
    """The colours with their errors, (height, W, 3)."""
    figure = Figure(figsize=(1.1, height / 100), dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.add_axes((0.12, 0.15, 0.22, 0.7))
    figure.colorbar(ScalarMappable(scale, _ERROR_COLOURS), cax=axes, label="mean error, cm")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def texture_colours(
    surface: BodySurface,
    part: np.ndarray,
    uv: np.ndarray,
    colours: np.ndarray,
    sigma_m: float = TEXTURE_SIGMA_M,
) -> np.ndarray:
    """Mean colours (V, 3) float64 at the vertices of a body, of pixels that show some of its places; NaN
    where no pixel is near.

    Args:
        surface: the body.
        part, uv: of the places, (P,) 1..P and (P, 2) in [0, 1].
        colours: of the pixels, (P, 3) RGB in 0..255.
        sigma_m: how far a pixel spreads, metres.
    """
    if not len(part):
        return np.full((len(surface.vertices), 3), np.nan)
    vertex = nearest_corner(surface, part, uv)
    return smooth_on_body(surface, vertex, np.asarray(colours, dtype=np.float64), sigma_m)


def texture_image(surface: BodySurface, views: Sequence[BodyView], colours: np.ndarray) -> np.ndarray:
    """A body in colours (V, 3) RGB in 0..255 at its vertices, grey where they are NaN, in views side by side:
    `view_body` takes its time, and many textures share them."""
    seen = [view.values(surface.faces, colours) for view in views]
    painted = [view.painted(np.where(np.isnan(each), GREY, each)) for view, each in zip(views, seen)]
    return contact_sheet([painted], gap=2)
