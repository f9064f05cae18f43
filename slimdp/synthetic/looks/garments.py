"""Tops and bottoms: their cuts, what they cover, and how far they stand off the skin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slimdp.synthetic.looks.cloth import (
    Cloth,
    Folds,
    cloth_colour,
    fold_height,
    garment_colours,
    random_cloth,
    random_folds,
    shaded,
)
from slimdp.synthetic.looks.places import ARM, HEAD, LEG, TORSO, Landmarks, Places

_PRINTED = {
    "stripes": 4.0, "checks": 1.5, "tartan": 1.0, "dots": 1.5, "blobs": 1.5, "flowers": 1.5, "glyphs": 1.0,
    "logo": 4.0, "blocks": 2.0,
}  # fmt: skip
_WOVEN = {"stripes": 3.0, "checks": 3.0, "tartan": 3.0, "dots": 1.0, "flowers": 1.0}
_HEAVY = {"blocks": 3.0, "tartan": 1.5, "blobs": 1.5, "logo": 2.0, "stripes": 1.5, "denim": 2.0}


@dataclass(frozen=True)
class TopCut:
    """What all garments of a kind have in common; ranges are (least, most)."""

    sleeves: tuple[float, ...]  # one of these: 0 none, 1 to the elbow, 2 to the wrist
    necks: tuple[str, ...]  # some of crew, v, scoop, straps, roll, collar
    openings: tuple[str, ...]  # some of closed, buttons, zip, open
    hem: tuple[float, float]  # metres above the hip joint, below it if negative
    normal_offset: tuple[float, float]  # metres from the skin
    fold_depth: float  # metres
    cuffed: bool  # hem and cuffs are knitted or sewn bands
    shares: dict[str, float]  # pattern -> weight


TOP_CUTS = {
    "t-shirt": TopCut((0.5, 0.6, 0.75), ("crew", "crew", "v", "scoop"), ("closed",),
                      (-0.08, 0.03), (0.002, 0.007), 0.006, False, _PRINTED),
    "shirt": TopCut((0.6, 1.1, 1.97, 1.97), ("collar",), ("buttons",),
                    (-0.1, 0.06), (0.004, 0.009), 0.008, True, _WOVEN),
    "tank": TopCut((0.0,), ("straps",), ("closed",), (-0.06, 0.12), (0.001, 0.004), 0.004, False, _PRINTED),
    "sweater": TopCut((1.95,), ("crew", "v", "roll"), ("closed",),
                      (-0.07, 0.03), (0.007, 0.014), 0.008, True, _HEAVY | {"stripes": 4.0}),
    "hoodie": TopCut((1.97,), ("crew",), ("closed", "zip", "open"),
                     (-0.08, 0.02), (0.010, 0.018), 0.010, True, _HEAVY),
    "jacket": TopCut((1.98,), ("collar",), ("zip", "buttons", "open", "open"),
                     (-0.14, 0.02), (0.015, 0.027), 0.010, True, _HEAVY),
    "dress": TopCut((0.0, 0.5, 1.1, 1.95), ("crew", "v", "scoop", "straps"), ("closed",),
                    (-0.62, -0.2), (0.004, 0.01), 0.007, False, _PRINTED),
}  # fmt: skip


@dataclass(frozen=True)
class Top:
    """A garment of the trunk."""

    kind: str  # a key of TOP_CUTS
    cloth: Cloth
    folds: Folds
    trim: np.ndarray  # (3,) RGB of cuffs, collar, zip, buttons
    sleeve: float  # how far down the arm: 0 none, 1 elbow, 2 wrist
    neck: str
    neck_depth: float  # metres below the throat
    opening: str  # closed, buttons, zip or open
    gap: float  # metres from the middle to the edge of what is open
    hem: float  # metres above the hip joint
    normal_offset: float  # metres
    pocket: int  # -1 on the right of the chest, 1 on the left, 0 none
    under: Top | None  # what an open one shows


def random_top(rng: np.random.Generator, patterned: float, kind: str) -> Top:
    """A garment of a kind at random; `patterned` is its chance not to be plain."""
    cut = TOP_CUTS[kind]
    opening, neck = str(rng.choice(cut.openings)), str(rng.choice(cut.necks))
    sleeve = float(rng.choice(cut.sleeves) + rng.uniform(-0.06, 0.02))
    return Top(
        kind=kind,
        cloth=random_cloth(rng, patterned, cut.shares),
        folds=random_folds(rng, cut.fold_depth),
        trim=garment_colours(rng, 1)[0],
        sleeve=0.0 if neck == "straps" else max(sleeve, 0.0),
        neck=neck,
        neck_depth=float(rng.uniform(0.08, 0.17)),
        opening=opening,
        gap=float(rng.uniform(0.02, 0.09)) if opening == "open" else 0.0,
        hem=float(rng.uniform(*cut.hem)),
        normal_offset=float(rng.uniform(*cut.normal_offset)),
        pocket=int(rng.choice([0, 1, -1], p=[0.55, 0.4, 0.05])) if kind == "shirt" else 0,
        under=random_top(rng, patterned / 2, "t-shirt") if opening == "open" else None,
    )


def covers_top(top: Top, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) a garment lies."""
    height = places.point[:, 1]
    trunk = (places.region == TORSO) & (height > marks.hip + top.hem) & _below_neck(top, places, marks)
    arm = (places.region == ARM) & (places.along < top.sleeve) & (top.sleeve > 0)
    leg = (places.region == LEG) & (height > marks.hip + top.hem)
    covered = trunk | arm | leg
    if top.neck in ("roll", "collar"):
        edge = 0.02 if top.neck == "roll" else 0.002
        # Lower before, under the chin.
        band = height - marks.throat[1] + 0.35 * (places.point[:, 2] - marks.throat[2]) < edge
        open_v = (top.neck == "collar") & (places.point[:, 2] > 0.05) & (places.side < 0.02)
        covered |= (places.region == HEAD) & band & ~open_v
    if top.gap > 0:
        widening = 1 + 0.6 * np.clip(marks.hip + 0.15 - height, 0, 0.3) / 0.3
        covered &= ~(places.front & (places.side < top.gap * widening) & (places.region == TORSO))
    return covered


def _below_neck(top: Top, places: Places, marks: Landmarks) -> np.ndarray:
    """Whether points of the trunk lie outside the hole for the neck."""
    x, y, z = places.point.T
    drop = marks.throat[1] - y
    if top.neck == "straps":
        strap = (places.side > 0.055) & (places.side < 0.105)
        return (y < np.where(places.front, 0.42, 0.45)) | (strap & (y > 0.4))
    round_hole = (np.hypot(x, z - 0.01) > 0.08) | (drop > 0.05)
    if top.neck == "v":
        return np.where(z > 0.03, drop > top.neck_depth - 1.5 * places.side, round_hole)
    if top.neck == "scoop":
        depth = top.neck_depth * np.sqrt(np.clip(1 - (x / 0.1) ** 2, 0, 1))
        return np.where(z > 0.03, drop > depth, round_hole)
    if top.neck == "collar" and not top.gap:
        return ~((z > 0.03) & (drop < 0.06 - 1.5 * places.side))
    if top.neck == "crew":
        return np.hypot(x, (z - 0.02) * 1.1) > np.where(drop < 0.045, 0.068, 0.0)
    return np.ones(len(places), dtype=bool)


def paint_top(top: Top, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint a garment into colours (N, 3), and first what it shows beneath."""
    if top.under is not None:
        paint_top(top.under, colour, places, marks)
    where = np.flatnonzero(covers_top(top, places, marks))
    mine = places.take(where)
    # What hangs below the trunk goes across both legs together.
    painted = cloth_colour(top.cloth, _sewn_across(mine, mine.region == LEG))
    painted = np.where(_trimmed(top, mine, marks)[:, None], top.trim, painted)
    if top.opening in ("zip", "buttons"):
        _paint_front(top, painted, mine, marks)
    if top.pocket:
        _paint_pocket(top, painted, mine)
    colour[where] = shaded(painted, fold_height(top.folds, mine, marks, hanging=top.kind == "dress"), 0.35)


def _sewn_across(places: Places, where: np.ndarray) -> Places:
    """The places with the way around counted across both legs together where (N,) cloth hangs over them."""
    return replace(places, around=np.where(where, 1.2 * places.point[:, 0], places.around))


def _trimmed(top: Top, places: Places, marks: Landmarks) -> np.ndarray:
    """Bands at hem, cuffs and neck."""
    height = places.point[:, 1]
    band = np.zeros(len(places), dtype=bool)
    if TOP_CUTS[top.kind].cuffed and top.kind != "shirt":
        band |= (places.region != ARM) & (height < marks.hip + top.hem + 0.045)
        band |= (places.region == ARM) & (places.along > top.sleeve - 0.2)
    if top.neck == "crew" and top.kind in ("t-shirt", "sweater", "hoodie"):
        about_neck = np.hypot(places.point[:, 0], (places.point[:, 2] - 0.02) * 1.1) < 0.083
        band |= (places.region == TORSO) & about_neck & (marks.throat[1] - height < 0.06)
    if top.neck in ("roll", "collar"):
        band |= places.region == HEAD
    return band


def _paint_front(top: Top, painted: np.ndarray, places: Places, marks: Landmarks) -> None:
    """A zip, or a row of buttons on a placket."""
    x, y = places.point[:, 0], places.point[:, 1]
    front = places.front & (places.region == TORSO)
    if top.opening == "zip":
        painted[front & (np.abs(x) < 0.008)] = top.trim
        painted[front & (np.abs(x) < 0.003)] = (0.7, 0.7, 0.68)
        return
    painted[front & (np.abs(np.abs(x) - 0.018) < 0.002)] *= 0.7
    button = np.hypot(x, (y - 0.02) % 0.09 - 0.045) < 0.009
    painted[front & button] = top.trim


def _paint_pocket(top: Top, painted: np.ndarray, places: Places) -> None:
    """The outline of a pocket on the chest."""
    x, y = (places.point[:, 0] * top.pocket - 0.085) / 0.05, (places.point[:, 1] - 0.37) / 0.055
    edge = np.maximum(np.abs(x), np.abs(y))
    line = (edge < 1) & ((edge > 0.88) | ((y > 0.6) & (y < 0.72)))
    painted[line & places.front & (places.region == TORSO)] *= 0.6


def top_thickness(top: Top, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres a garment stands off the skin, 0 where it is not."""
    under = np.zeros(len(places)) if top.under is None else top_thickness(top.under, places, marks)
    height = places.point[:, 1]
    normal_offset = np.full(len(places), top.normal_offset)
    # Loose over the waist, tighter on the shoulders and at bands.
    waist = 1 + 0.5 * np.exp(-(((height - marks.hip - 0.12) / 0.1) ** 2))
    normal_offset *= np.where(places.region == TORSO, waist, 1)
    normal_offset *= np.where(height > 0.5, 0.7, 1.0)
    if TOP_CUTS[top.kind].cuffed:
        normal_offset *= np.where((places.region == ARM) & (places.along > top.sleeve - 0.2), 0.5, 1.0)
    if top.kind == "dress":
        normal_offset += np.where(places.region == LEG, np.clip((marks.hip - height) * 0.12, 0, 0.03), 0)
    elif top.hem < 0.04:
        normal_offset += 0.004 * (np.abs(height - (marks.hip + top.hem)) < 0.03) * (places.region != ARM)
    folds = top.folds.depth * fold_height(top.folds, places, marks, hanging=top.kind == "dress")
    return np.maximum(under, np.where(covers_top(top, places, marks), normal_offset + folds, 0))


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
    mine = places.take(where)
    hanging = bottom.kind == "skirt"
    if hanging:
        mine = _sewn_across(mine, mine.region >= 0)
    painted = cloth_colour(bottom.cloth, mine)
    if BOTTOM_CUTS[bottom.kind].seamed:
        _paint_seams(bottom, painted, mine, marks)
    if bottom.side_stripe:
        painted[(mine.region == LEG) & (mine.angle > 1.1)] = bottom.trim
    if bottom.belt:
        belt = (mine.region == TORSO) & (mine.point[:, 1] > marks.hip + bottom.rise - _BELT)
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
    fly = places.front & (places.region == TORSO) & (np.abs(places.point[:, 0] - 0.012) < 0.003)
    fly &= below < 0.17
    across, up = (places.side - 0.075) / 0.05, (below - 0.15) / 0.055
    edge = np.maximum(np.abs(across), np.abs(up))
    patch = ~places.front & (edge < 1) & (edge > 0.88) & (bottom.kind == "jeans")
    line = side | slant | fly | patch
    painted[line] = (0.68, 0.45, 0.22) if bottom.cloth.kind == "denim" else painted[line] * 0.6


def bottom_thickness(bottom: Bottom, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres a garment stands off the skin, 0 where it is not."""
    hanging = bottom.kind == "skirt"
    down, leg = _down_leg(places, marks), places.region == LEG
    loose = np.where(leg, np.clip(0.5 + down, 0.5, 1.0), 0.45)  # it lies on the hips and hangs below
    normal_offset = np.maximum(bottom.normal_offset * loose, min(bottom.normal_offset, 0.002))
    normal_offset = normal_offset + np.where(leg, bottom.flare * np.clip(down / bottom.reach, 0, 1) ** 2, 0)
    if hanging:
        normal_offset = normal_offset + np.where(leg, np.clip(down * 0.03, 0, 0.03), 0)
    if bottom.kind == "joggers":
        normal_offset = np.where(leg & (down > bottom.reach - 0.12), 0.003, normal_offset)  # an elastic hem
    folds = bottom.folds.depth * fold_height(bottom.folds, places, marks, hanging)
    return np.where(covers_bottom(bottom, places, marks), normal_offset + folds, 0)
