"""The colours of pictures on the body, where a network sees them (Slim DensePose, figure 6)."""

from __future__ import annotations

import numpy as np

from slimdp.evaluation.error_map import nearest_corner, smooth_on_body
from slimdp.report.body_view import GREY, view_body
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


def texture_picture(surface: BodySurface, colours: np.ndarray, height: int = 360) -> np.ndarray:
    """Front and back of a body in colours (V, 3) at its vertices, grey where they are NaN.

    Args:
        surface: the body.
        colours: RGB in 0..255.
        height: of the picture, about, px.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    pictures = []
    for side in (1, -1):
        view = view_body(surface, side, height)
        seen = view.values(surface.faces, colours)
        pictures.append(view.painted(np.where(np.isnan(seen), GREY, seen)))
    return contact_sheet([pictures])
