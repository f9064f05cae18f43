"""What people wear on hips and legs, with belts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.cloth import Cloth, cloth_colour, random_cloth
from slimdp.synthetic.looks.colours import garment_colours
from slimdp.synthetic.looks.folds import Folds, fold_height, random_folds, shaded
from slimdp.synthetic.looks.places import LEG, TORSO, Landmarks, Places

_SOBER = {"stripes": 2.0, "checks": 2.0, "tartan": 1.5, "blobs": 1.5, "blocks": 1.0}
_GAY = {"stripes": 2.0, "dots": 1.5, "flowers": 2.0, "blobs": 2.0, "blocks": 2.0, "glyphs": 0.5}


@dataclass(frozen=True)
class BottomCut:
    """What all garments of a kind have in common; ranges are (least, most)."""

    reach: tuple[float, float]  # down the leg: 0 hip, 1 knee, 2 ankle
    rise: tuple[float, float]  # metres of the upper edge above the hip joint
    normal_offset: tuple[float, float]  # metres from the skin
    fold_depth: float
    seamed: bool  # lines down the sides, pockets and a fly
    shares: dict[str, float]


BOTTOM_CUTS = {
    "trousers": BottomCut((1.85, 2.05), (0.08, 0.15), (0.006, 0.018), 0.010, True, _SOBER),
    "jeans": BottomCut((1.85, 2.05), (0.07, 0.13), (0.003, 0.01), 0.008, True, {"denim": 1.0}),
    "joggers": BottomCut((1.8, 1.95), (0.08, 0.14), (0.009, 0.02), 0.011, False, _SOBER),
    "shorts": BottomCut((0.45, 1.0), (0.08, 0.14), (0.008, 0.02), 0.008, False, _GAY),
    "leggings": BottomCut((1.1, 2.0), (0.1, 0.18), (0.001, 0.0015), 0.0, False, _GAY),
    "skirt": BottomCut(
        (0.5, 1.4), (0.1, 0.18), (0.004, 0.009), 0.009, False, _GAY | {"tartan": 2.0, "checks": 1.0}
    ),
}
_BELT = 0.032


@dataclass(frozen=True)
class Bottom:
    """A garment of hips and legs."""

    kind: str  # a key of BOTTOM_CUTS
    cloth: Cloth
    folds: Folds
    trim: np.ndarray  # (3,) RGB of belt, seams or side stripes
    belt: bool
    side_stripe: bool
    reach: float  # how far down the leg: 0 hip, 1 knee, 2 ankle
    rise: float  # metres above the hip joint
    normal_offset: float  # metres
    flare: float  # how much wider it is at its end, metres


def random_bottom(rng: np.random.Generator, patterned: float, kind: str) -> Bottom:
    """A garment of a kind at random; `patterned` is its chance not to be plain."""
    cut = BOTTOM_CUTS[kind]
    loose = kind in ("trousers", "jeans", "shorts", "skirt")
    return Bottom(
        kind=kind,
        cloth=random_cloth(rng, patterned, cut.shares),
        folds=random_folds(rng, cut.fold_depth),
        trim=garment_colours(rng, 1)[0] * (0.6 if cut.seamed else 1.0),
        belt=bool(cut.seamed and rng.random() < 0.5),
        side_stripe=bool(kind in ("joggers", "shorts", "leggings") and rng.random() < 0.35),
        reach=float(rng.uniform(*cut.reach)),
        rise=float(rng.uniform(*cut.rise)),
        normal_offset=float(rng.uniform(*cut.normal_offset)),
        flare=float(rng.choice([0.0, rng.uniform(0.004, 0.02)])) if loose else 0.0,
    )


def _down_leg(places: Places, marks: Landmarks) -> np.ndarray:
    """How far down the leg points are: 0 hip, 1 knee, 2 ankle."""
    return np.interp(-places.point[:, 1], [-marks.hip, -marks.knee, -marks.ankle], [0.0, 1.0, 2.0])


def covers_bottom(bottom: Bottom, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) a garment lies."""
    trunk = (places.region == TORSO) & (places.point[:, 1] < marks.hip + bottom.rise)
    return trunk | ((places.region == LEG) & (_down_leg(places, marks) < bottom.reach))


def paint_bottom(bottom: Bottom, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint a garment into colours (N, 3)."""
    where = np.flatnonzero(covers_bottom(bottom, places, marks))
    if not len(where):
        return
    mine = places.take(where)
    hanging = bottom.kind == "skirt"
    if hanging:
        mine = Places(**{**vars(mine), "around": 1.2 * mine.point[:, 0]})
    painted = cloth_colour(bottom.cloth, mine)
    if BOTTOM_CUTS[bottom.kind].seamed:
        _paint_seams(bottom, painted, mine, marks)
    if bottom.side_stripe:
        outer = (mine.region == LEG) & (mine.angle > 1.1)
        painted[outer] = bottom.trim
    top = marks.hip + bottom.rise
    if bottom.belt:
        belt = (mine.region == TORSO) & (mine.point[:, 1] > top - _BELT)
        painted[belt] = bottom.trim * 0.6
        painted[belt & mine.front & (mine.side < 0.022)] = (0.75, 0.72, 0.62)  # the buckle
    if bottom.folds.depth > 0:
        painted = shaded(painted, fold_height(bottom.folds, mine, marks, hanging), 0.35)
    colour[where] = painted


def _paint_seams(bottom: Bottom, painted: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Stitched lines down the outer sides, slanting pockets before, square ones behind, a fly."""
    height = places.point[:, 1]
    below = marks.hip + bottom.rise - height  # metres under the upper edge
    side = (places.region == LEG) & (np.abs(places.angle - 1.45) < 0.045)
    slant = places.front & (np.abs(places.side - 0.08 - 0.5 * (below - 0.04)) < 0.004) & (below < 0.15)
    fly = (
        places.front
        & (np.abs(places.point[:, 0] - 0.012) < 0.003)
        & (below < 0.17)
        & (places.region == TORSO)
    )
    across, up = (places.side - 0.075) / 0.05, (below - 0.15) / 0.055
    edge = np.maximum(np.abs(across), np.abs(up))
    patch = ~places.front & (edge < 1) & (edge > 0.88) & (bottom.kind == "jeans")
    line = side | slant | fly | patch
    stitched = (0.68, 0.45, 0.22) if bottom.cloth.kind == "denim" else painted[line] * 0.6
    painted[line] = stitched


def bottom_thickness(bottom: Bottom, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres a garment stands off the skin, 0 where it is not."""
    hanging = bottom.kind == "skirt"
    down = _down_leg(places, marks)
    leg = places.region == LEG
    loose = np.where(leg, np.clip(0.5 + down, 0.5, 1.0), 0.45)  # it lies on the hips and hangs below
    normal_offset = np.maximum(bottom.normal_offset * loose, min(bottom.normal_offset, 0.002))
    normal_offset = normal_offset + np.where(leg, bottom.flare * np.clip(down / bottom.reach, 0, 1) ** 2, 0)
    if hanging:
        normal_offset = normal_offset + np.where(leg, np.clip(down * 0.03, 0, 0.03), 0)
    if bottom.kind == "joggers":
        normal_offset = np.where(leg & (down > bottom.reach - 0.12), 0.003, normal_offset)  # an elastic hem
    folds = bottom.folds.depth * fold_height(bottom.folds, places, marks, hanging)
    return np.where(covers_bottom(bottom, places, marks), normal_offset + folds, 0)
