"""The colours of pictures on the body, where a network sees them (Slim DensePose, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimdp.evaluation.error_map import nearest_corner, smooth_on_body
from slimdp.report.body_view import GREY, BodyView
from slimdp.report.drawing import contact_sheet
from slimdp.surface import BodySurface

#: Colours spread along the body by a Gaussian of this deviation, metres: a pixel of a person of 150 px
#: shows a centimetre.
SIGMA_M = 0.008


def texture_colours(
    surface: BodySurface, part: np.ndarray, uv: np.ndarray, colours: np.ndarray, sigma_m: float = SIGMA_M
) -> np.ndarray:
    """Mean colours at the vertices of a body, of pixels that show some of its places.

    Args:
        surface: the body.
        part: (P,) 1..24.
        uv: (P, 2) in [0, 1].
        colours: (P, 3) RGB in 0..255.
        sigma_m: how far a pixel spreads, metres.

    Returns:
        (V, 3) float64; NaN where no pixel is near, everywhere if there are no pixels.
    """
    if not len(part):
        return np.full((len(surface.vertices), 3), np.nan)
    vertex = nearest_corner(surface, part, uv)
    return smooth_on_body(surface, vertex, np.asarray(colours, dtype=np.float64), sigma_m)


def texture_picture(surface: BodySurface, views: Sequence[BodyView], colours: np.ndarray) -> np.ndarray:
    """A body in colours (V, 3) RGB in 0..255 at its vertices, grey where they are NaN.

    Args:
        surface: the body.
        views: of it, side by side in the picture; `view_body` takes its time, and many textures share them.
        colours: of its vertices.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    seen = [view.values(surface.faces, colours) for view in views]
    painted = [view.painted(np.where(np.isnan(each), GREY, each)) for view, each in zip(views, seen)]
    return contact_sheet([painted], gap=2)
