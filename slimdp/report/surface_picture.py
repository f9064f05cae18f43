"""The surface at a glance: the body from front and back with its parts and coordinates, and all charts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from slimdp.report.body_view import SAMPLES, BodyView, view_body
from slimdp.report.drawing import PART_COLOURS, contact_sheet, draw_dots, text_strip
from slimdp.report.table import format_table
from slimdp.structures import PARTS
from slimdp.surface import BodySurface, DensePoseCharts
from slimdp.surface.distortion import ChartDistortion
from slimdp.surface.parts import PART_NAMES

#: Lines of equal u and v are drawn at every tenth.
_LINES = 10
_U_LINE, _V_LINE, _BORDER = np.array([(25, 25, 25), (255, 255, 255), (0, 0, 0)], dtype=np.uint8)
_CHARTS_A_ROW = 6
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
    _check_height(height)
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
    _check_height(height)
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


def _check_height(height: int) -> None:
    if height < _LEAST_HEIGHT:
        raise ValueError(f"a picture {height} px high, but {_LEAST_HEIGHT} or more are wanted")


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
    """The body from the front (side 1) or the back (-1)."""
    view = view_body(surface, side, height)
    picture = _painted(surface, view)
    picture = cv2.resize(picture, (picture.shape[1] // SAMPLES, height), interpolation=cv2.INTER_AREA)
    anchors = [surface.vertices[vertex] for vertex in surface.keypoints.values()]
    seen = np.array([place for place in anchors if view.sees(place)]).reshape(-1, 3)
    return draw_dots(picture, view.pixels(seen), np.full((len(seen), 3), 255, dtype=np.uint8), radius=2.5)


def _painted(surface: BodySurface, view: BodyView) -> np.ndarray:
    """Part colours, shaded, with lines of equal u and v, one pixel a ray."""
    part, uv = surface.chart(view.face, view.barycentric)
    picture, parts, cells = (
        np.full((*view.hit.shape, 3), 255, np.uint8),
        np.zeros(view.hit.shape, int),
        np.zeros((2, *view.hit.shape)),
    )
    picture[view.hit] = np.round(PART_COLOURS[part] * view.light[:, None])
    parts[view.hit] = part
    cells[:, view.hit] = np.floor(uv.T * _LINES)
    border = _changes(parts)
    for cell, colour in zip(cells, (_U_LINE, _V_LINE)):
        picture[_changes(cell) & ~border] = colour
    picture[cv2.dilate(border.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0] = _BORDER
    return picture


def _changes(values: np.ndarray) -> np.ndarray:
    """Where a map (H, W) differs from its right or its lower neighbour."""
    changed = np.zeros(values.shape, dtype=bool)
    changed[:, :-1] |= values[:, :-1] != values[:, 1:]
    changed[:-1] |= values[:-1] != values[1:]
    return changed


def _chart(charts: BodySurface | DensePoseCharts, part: int, side_px: int) -> np.ndarray:
    """A chart with its triangles and a grid of tenths, u to the right and v up, (side_px, side_px, 3)."""
    fine_px = side_px * SAMPLES
    canvas = np.full((fine_px, fine_px, 3), 235, dtype=np.uint8)
    inset = 2 * SAMPLES

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
