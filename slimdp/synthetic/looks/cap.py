"""Caps with a peak: a flat shade over the brows, where cloth's thickness alone makes a frill all around."""

from __future__ import annotations

import numpy as np

from slimdp.synthetic.looks.accessories import Accessories, hat_edge
from slimdp.synthetic.looks.places import HEAD, Landmarks, Places

#: Metres: how near a hat's edge skin belongs to the peak, the cloth, the peak's length, and how far it falls.
_BAND, _CLOTH, _LENGTH, _FALL = 0.011, 0.012, 0.065, 0.012
#: Share of the skin's height that is left of the peak's thickness.
_THIN = 0.15


def with_peak(
    wear: Accessories, clothed: np.ndarray, skin: np.ndarray, places: Places, marks: Landmarks
) -> np.ndarray:
    """The clothed skin (V, 3) metres with the peak of a cap, if one is worn; `skin` (V, 3) is bare."""
    above = places.point[:, 1] - hat_edge(places, marks) - 0.005
    band = np.flatnonzero((places.region == HEAD) & (np.abs(above) < _BAND))
    if wear.hat != "cap" or not len(band):
        return clothed
    bare = skin[band]
    middle = (bare.min(axis=0) + bare.max(axis=0)) / 2
    out = (bare - middle) * [1, 0, 1]
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    front = np.clip((out[:, 2] - 0.3) / 0.45, 0, 1)
    front = front * front * (3 - 2 * front)
    shaped = clothed.copy()
    shaped[band] = bare + (_CLOTH + _LENGTH * front)[:, None] * out
    shaped[band, 1] -= front * ((1 - _THIN) * above[band] + _FALL)
    return shaped
