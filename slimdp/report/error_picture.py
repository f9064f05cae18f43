"""A body coloured by the mean error at each place (DensePose, figure 4)."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from slimdp.report.body_view import GREY, view_body
from slimdp.report.drawing import contact_sheet
from slimdp.surface import BodySurface

_COLOURS = "plasma"
_TITLE_HEIGHT, _LEAST_HEIGHT = 20, 200


def error_picture(
    surface: BodySurface, error_m: np.ndarray, most_cm: float | None = None, height: int = 900
) -> np.ndarray:
    """Front and back of the body in colours of the error, and their bar in centimetres.

    Args:
        surface: the body.
        error_m: (V,) at its vertices, metres; NaN, drawn grey, where it is not known.
        most_cm: the error of the last colour; by default the largest of all.
        height: of the picture, about, px.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: not an error a vertex, none that is known, or a picture too small to show anything.
    """
    if np.shape(error_m) != (len(surface.vertices),) or np.isnan(error_m).all():
        raise ValueError(
            f"errors of shape {np.shape(error_m)}, {np.isfinite(error_m).sum()} of them known; wanted one "
            f"for each of {len(surface.vertices)} vertices"
        )
    if height < _LEAST_HEIGHT:
        raise ValueError(f"a picture {height} px high, but {_LEAST_HEIGHT} or more are wanted")
    most_cm = float(100 * np.nanmax(error_m)) if most_cm is None else most_cm
    scale = Normalize(0, most_cm if most_cm > 0 else 1.0)
    views = [_view(surface, error_m, side, height - _TITLE_HEIGHT, scale) for side in (1, -1)]
    return contact_sheet([[*views, _bar(scale, height - _TITLE_HEIGHT)]], ["front", "back", ""])


def _view(surface: BodySurface, error_m: np.ndarray, side: int, height: int, scale: Normalize) -> np.ndarray:
    view = view_body(surface, side, height)
    error_cm = 100 * view.values(surface.faces, error_m[:, None])[:, 0]
    colours = 255 * colormaps[_COLOURS](scale(error_cm))[:, :3]
    colours[np.isnan(error_cm)] = GREY
    return view.painted(colours)


def _bar(scale: Normalize, height: int) -> np.ndarray:
    """The colours with their errors, (height, W, 3)."""
    figure = Figure(figsize=(1.1, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.12, 0.15, 0.22, 0.7))
    figure.colorbar(ScalarMappable(scale, _COLOURS), cax=axes, label="mean error, cm")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
