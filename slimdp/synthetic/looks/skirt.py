"""Skirts and dresses of one piece: cloth that hangs about both legs together instead of about each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial import ConvexHull

from slimdp.synthetic.looks.garments import Bottom, Top, covers_bottom, covers_top
from slimdp.synthetic.looks.places import LEG, Landmarks, Places

#: Levels at which the outline of both legs is measured, and metres below the crotch in which cloth leaves it.
_LEVELS, _LEAVES = 14, 0.05
#: Cloth reaches the middle so many times too early: the last two rows of vertices meet the other leg's, and
#: the wall between front and back, whose normals differ, shows nowhere.
_PAST = 1.35


def hanging(top: Top, bottom: Bottom, places: Places, marks: Landmarks) -> np.ndarray:
    """Which vertices (V,) of the legs a skirt or a dress covers."""
    covered = np.zeros(len(places), dtype=bool)
    if bottom.kind == "skirt":
        covered |= covers_bottom(bottom, places, marks)
    if top.kind == "dress":
        covered |= covers_top(top, places, marks)
    return covered & (places.region == LEG)


def of_one_piece(skin: np.ndarray, covered: np.ndarray, places: Places) -> tuple[np.ndarray, np.ndarray]:
    """The skin (V, 3) metres at rest, cloth between the legs drawn to the outline of both, and shares (V,).

    `covered` (V,) are vertices under the cloth. The inner half of each leg moves to the front or to the back
    of the outline, so that left and right meet in the middle. There the cloth goes with both legs alike: a
    share is how much, 0 to a half, a vertex goes with the other leg.
    """
    shares, shaped = np.zeros(len(skin)), skin.copy()
    index = np.flatnonzero(covered)
    if len(index) < 100:
        return shaped, shares
    level = places.point[index, 1]
    sign = np.where(places.left[index], 1.0, -1.0)
    outward, depth = sign * skin[index, 0], skin[index, 2]
    outline = _measure(outward, depth, level)
    centre, middle = outline.centre(level), outline.middle(level)
    inward = centre - outward
    turn = np.arctan2(inward, depth - middle) / (np.pi / 2)  # 0 front, 1 to the other leg, 2 back
    across = np.clip(_PAST * np.minimum(turn, 2 - turn), 0, 1)
    target = centre * (1 - across)
    edge = outline.edge(level, target, front=turn < 1)
    crotch = level[outward < 0.5 * centre].max(initial=level.min())
    ease = _smooth((crotch - level) / _LEAVES) * (inward > 0)
    shaped[index, 0] += ease * sign * (target - outward)
    shaped[index, 2] += ease * (edge - depth)
    shares[index] = 0.5 * ease * (1 - _smooth(target / centre))
    return shaped, shares


def _smooth(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


@dataclass(frozen=True)
class _Outline:
    """Both legs' outline by level, mirrored: where the middle of a leg is, and the hull's edges."""

    levels: np.ndarray  # (K,) rising
    centres: np.ndarray  # (K,) metres from the middle plane
    middles: np.ndarray  # (K,) metres to the front
    across: np.ndarray  # (N,) shares of the centre, 0..1, at which edges are told
    fronts: np.ndarray  # (K, N) metres
    backs: np.ndarray  # (K, N)

    def centre(self, level: np.ndarray) -> np.ndarray:
        return np.interp(level, self.levels, self.centres)

    def middle(self, level: np.ndarray) -> np.ndarray:
        return np.interp(level, self.levels, self.middles)

    def edge(self, level: np.ndarray, out: np.ndarray, front: np.ndarray) -> np.ndarray:
        """How far to the front (M,) the outline's front or back is, `out` (M,) from the middle."""
        place = np.clip(
            np.interp(level, self.levels, np.arange(len(self.levels))), 0, len(self.levels) - 1.001
        )
        row, share = place.astype(int), place % 1
        column = out / self.centre(level) * (len(self.across) - 1)
        left = np.clip(column.astype(int), 0, len(self.across) - 2)
        beside = column - left
        table = np.where(
            front[:, None, None], _corners(self.fronts, row, left), _corners(self.backs, row, left)
        )
        lower, upper = (table[:, k, 0] * (1 - beside) + table[:, k, 1] * beside for k in (0, 1))
        return np.asarray(lower * (1 - share) + upper * share)


def _corners(table: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """(M, 2, 2) the values about places in a table."""
    return np.stack([[table[row, column], table[row, column + 1]],
                     [table[row + 1, column], table[row + 1, column + 1]]]).transpose(2, 0, 1)  # fmt: skip


def _measure(out: np.ndarray, depth: np.ndarray, level: np.ndarray) -> _Outline:
    edges = np.linspace(level.min(), level.max(), _LEVELS + 1)
    across = np.linspace(0, 1, 9)
    rows = []
    for low, high in pairwise(edges):
        mine = (level >= low - 0.01) & (level <= high + 0.01)
        x, z = out[mine], depth[mine]
        both = np.column_stack([np.concatenate([x, -x]), np.concatenate([z, z])])
        corners = both[ConvexHull(both).vertices]
        centre = (x.min() + x.max()) / 2
        front, back = (_envelope(corners, across * centre, side) for side in (1.0, -1.0))
        rows.append(((low + high) / 2, centre, (z.min() + z.max()) / 2, front, back))
    levels, centres, middles, fronts, backs = (np.array(column) for column in zip(*rows))
    return _Outline(levels, centres, middles, across, fronts, backs)


def _envelope(corners: np.ndarray, out: np.ndarray, side: float) -> np.ndarray:
    """Where (N,) a convex polygon (K, 2) ends to the front (side 1) or the back (-1), at places across it."""
    reach = np.full(len(out), -np.inf)
    for start, end in zip(corners, np.roll(corners, -1, axis=0)):
        low, high = sorted((start, end), key=lambda corner: corner[0])
        if high[0] - low[0] < 1e-9:
            continue
        here = (out >= low[0]) & (out <= high[0])
        reach[here] = np.maximum(
            reach[here], side * np.interp(out[here], [low[0], high[0]], [low[1], high[1]])
        )
    return side * reach
