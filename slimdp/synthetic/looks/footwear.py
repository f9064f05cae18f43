"""Shoes and socks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.cloth import cell_chance
from slimdp.synthetic.looks.colours import garment_colours
from slimdp.synthetic.looks.places import FOOT, LEG, Landmarks, Places

FOOTWEAR = ("sneakers", "shoes", "boots", "flats", "sandals", "barefoot")
_SHARES = (0.46, 0.2, 0.12, 0.1, 0.06, 0.06)
_SOLES = np.array([[0.93, 0.93, 0.9], [0.09, 0.09, 0.09], [0.5, 0.36, 0.22], [0.93, 0.93, 0.9]])


@dataclass(frozen=True)
class Footwear:
    """Shoes with what is worn in them."""

    kind: str  # one of FOOTWEAR
    colours: np.ndarray  # (2, 3) RGB of the upper and its stripes or laces
    sole: np.ndarray  # (3,)
    sole_height: float  # metres
    shaft: float  # metres above the ankle that a boot reaches
    sock: np.ndarray  # (3,)
    sock_top: float  # metres above the ankle; below the shoe if negative


def random_footwear(rng: np.random.Generator) -> Footwear:
    """Shoes and socks at random."""
    kind = str(rng.choice(FOOTWEAR, p=_SHARES))
    bare = kind in ("flats", "sandals", "barefoot")
    return Footwear(
        kind=kind,
        colours=garment_colours(rng, 2) * (0.5 if kind in ("shoes", "boots") else 1.0),
        sole=_SOLES[rng.integers(len(_SOLES))],
        sole_height=float(rng.uniform(0.012, 0.028)),
        shaft=float(rng.uniform(0.05, 0.3)),
        sock=garment_colours(rng, 1)[0],
        sock_top=-0.2 if bare else float(rng.choice([-0.03, 0.06, 0.14, 0.3], p=[0.35, 0.35, 0.2, 0.1])),
    )


def covers_shoe(shoe: Footwear, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) leather or cloth of a shoe lies."""
    height, depth = places.point[:, 1], places.point[:, 2]
    foot = places.region == FOOT
    if shoe.kind == "barefoot":
        return np.zeros(len(places), dtype=bool)
    if shoe.kind == "boots":
        return foot | ((places.region == LEG) & (height < marks.ankle + shoe.shaft))
    if shoe.kind == "flats":
        # Open on the instep.
        return foot & (
            (height < marks.floor + 0.03) | (depth > 0.14) | ((depth < 0.0) & (height < marks.floor + 0.06))
        )
    if shoe.kind == "sandals":
        bands = (np.abs(depth - 0.14) < 0.016) | (np.abs(depth - 0.03) < 0.014)
        return foot & (bands | (height < marks.floor + 0.01))
    return foot & (height < marks.floor + 0.095)


def _covers_sock(shoe: Footwear, places: Places, marks: Landmarks) -> np.ndarray:
    low = places.point[:, 1] < marks.ankle + shoe.sock_top
    return ((places.region == FOOT) | (places.region == LEG)) & low


def paint_footwear(shoe: Footwear, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint socks, then shoes, into colours (N, 3)."""
    sock = _covers_sock(shoe, places, marks)
    if sock.any():
        ribs = 1 + 0.1 * np.sin(places.angle[sock] * 24)
        colour[sock] = shoe.sock * ribs[:, None]
    where = np.flatnonzero(covers_shoe(shoe, places, marks))
    if not len(where):
        return
    x, y, z = places.point[where].T
    upper, second = shoe.colours
    grain = 0.95 + 0.1 * cell_chance((x * 250).astype(np.int64), (z * 250).astype(np.int64), 7)
    painted = upper * grain[:, None]
    if shoe.kind in ("sneakers", "boots", "shoes"):
        instep = (
            (np.abs(places.side[where] - 0.175) < 0.03) & (z > 0.04) & (z < 0.13) & (y > marks.floor + 0.05)
        )
        lace = instep & (z * 60 % 1 < 0.45)
        painted[lace] = second if shoe.kind == "sneakers" else upper * 0.5
    if shoe.kind == "sneakers":
        flank = (y > marks.floor + 0.025) & (y < marks.floor + 0.07) & (z > 0.02) & (z < 0.1) & ~instep
        painted[flank & ((z + 0.6 * y) * 28 % 1 < 0.4)] = second
        painted[(z > 0.165) & (y < marks.floor + 0.05)] = (upper + second) / 2
    # Thinner before: the toes of the skin show through, and would look like toes on a pale sole.
    painted[y < marks.floor + np.where(z > 0.13, 0.007, shoe.sole_height)] = shoe.sole
    colour[where] = painted


def footwear_thickness(shoe: Footwear, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres shoes and socks stand off the skin; the sole stands out a little."""
    height = places.point[:, 1]
    leather = {"boots": 0.006, "sneakers": 0.006, "shoes": 0.004}.get(shoe.kind, 0.002)
    thickness = np.where(_covers_sock(shoe, places, marks), 0.002, 0.0)
    sole = height < marks.floor + shoe.sole_height
    shod = np.where(covers_shoe(shoe, places, marks), np.where(sole, leather + 0.004, leather), thickness)
    # The skin between the toes is too creased to carry anything.
    return shod * np.clip((0.165 - places.point[:, 2]) / 0.02, 0, 1)
