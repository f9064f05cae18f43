"""Shoes and socks that hide the toes: the front of a foot on a smooth last, as a shoemaker would take."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial import ConvexHull

from slimdp.synthetic.looks.accessories import Footwear, covers_shoe, covers_sock
from slimdp.synthetic.looks.places import FOOT, Landmarks, Places

#: Shares of a foot's length from the heel between which the skin goes over into the last.
_FROM, _TO = 0.58, 0.7
#: Share of a foot's length where toes begin, and where the last's middle plane ends: its cap is round there.
_TOES, _END = 0.72, 0.88
#: How near (share of its width) the middle plane comes to a foot's sides.
_WIDE = 0.35
_SLABS = 6


def over_toes(shoe: Footwear, skin: np.ndarray, places: Places, marks: Landmarks) -> np.ndarray:
    """The skin (V, 3) metres at rest with the toes in shoes or socks one smooth cap; bare toes stay.

    What lies at the front of a foot moves out from the foot's middle plane, onto the front's convex hull.
    """
    covered = covers_sock(shoe, places, marks)
    if shoe.kind != "sandals":
        covered |= covers_shoe(shoe, places, marks)
    shaped, shod = skin.copy(), covered & (places.region == FOOT)
    for left in (True, False):
        foot = np.flatnonzero(shod & (places.left == left))
        if len(foot) > 3:
            shaped[foot] = _on_last(skin[foot])
    return shaped


def _on_last(foot: np.ndarray) -> np.ndarray:
    """The skin (N, 3) of one shod foot with its front on the last."""
    low, high = foot.min(axis=0), foot.max(axis=0)
    share = (foot[:, 2] - low[2]) / (high[2] - low[2])
    closed = _without_gap(foot, share)
    hull = ConvexHull(closed[share > _FROM - 0.12]).equations
    moved = share > _FROM
    middle = _middle_plane(closed, share, moved)
    away = closed[moved] - middle
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    # How far along `away` each plane of the hull is; the first that is met bounds it.
    towards = away @ hull[:, :3].T
    gap = -(middle @ hull[:, :3].T + hull[:, 3])
    reach = np.where(towards > 1e-6, gap / np.maximum(towards, 1e-6), np.inf).min(axis=1)
    ease = np.clip((share[moved] - _FROM) / (_TO - _FROM), 0, 1)[:, None]
    ease = ease * ease * (3 - 2 * ease)
    closed[moved] += ease * (middle + reach[:, None] * away - closed[moved])
    return closed


def _without_gap(foot: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The foot (N, 3) with its large toe, and all on that side of the widest gap, moved to the others."""
    inner = 1.0 if abs(foot[:, 0].min()) < abs(foot[:, 0].max()) else -1.0  # x grows away from the other foot
    across = inner * foot[:, 0]
    edges = np.linspace(_TOES, 0.97, _SLABS + 1)
    gaps, borders = [], []
    for start, end in pairwise(edges):
        x = np.sort(across[(share >= start) & (share < end)])
        # The large toe takes the inner half.
        steps = np.where(x[1:] < (x[0] + x[-1]) / 2 + 0.01, np.diff(x), 0.0)
        widest = int(steps.argmax())
        gaps.append(steps[widest])
        borders.append((x[widest] + x[widest + 1]) / 2)
    at = (edges[:-1] + edges[1:]) / 2
    aside = across < np.interp(share, at, borders)
    shift = np.interp(share, [_TOES - 0.06, *at], [0.0, *gaps])
    closed = foot.copy()
    closed[:, 0] += inner * shift * aside
    return closed


def _middle_plane(foot: np.ndarray, share: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The points (N, 3) of a foot's middle plane from which those that move go outwards."""
    edges = np.linspace(_FROM, _END, 5)
    low, high = [], []
    for start, end in pairwise(edges):
        slab = foot[(share >= start) & (share < end)]
        low.append(slab.min(axis=0))
        high.append(slab.max(axis=0))
    at, where = (edges[:-1] + edges[1:]) / 2, np.minimum(share[moved], _END)

    def along(values: list[np.ndarray], axis: int) -> np.ndarray:
        return np.interp(where, at, np.array(values)[:, axis])

    left, right = along(low, 0), along(high, 0)
    border = _WIDE * (right - left)
    x = np.clip(foot[moved, 0], left + border, right - border)
    y = (along(low, 1) + along(high, 1)) / 2
    z = np.minimum(foot[moved, 2], np.interp(_END, share[np.argsort(share)], np.sort(foot[:, 2])))
    return np.column_stack([x, y, z])
