"""What carries people or is held by them, made to measure: seats, beds, bars, bats, bicycles, animals.

Everything is made about a person's skin in the axes of its pose, before it is turned and moved to its place.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from slimdp.synthetic.motion.contact import skin_of, skin_of_bones
from slimdp.synthetic.motion.solve import turn
from slimdp.synthetic.objects import Prop, ball, box, cushion, pillar, together, transformed
from slimdp.synthetic.textures import THINGS, Texture, random_material

#: Metres that skin sinks into what carries it.
PRESSED = 0.006
_ARMS = tuple(f"{part}_{side}" for part in ("lowerarm", "hand") for side in "lr")
_LEGS = tuple(f"{part}_{side}" for part in ("thigh", "calf", "heel", "toes") for side in "lr")

#: Makes things for a person: chance, the skin (V, 3) metres in its pose, and textures.
Maker = Callable[[np.random.Generator, np.ndarray, list[Texture]], list[Prop]]


def furniture_for(rng: np.random.Generator, kind: str, skin: np.ndarray) -> list[Prop]:
    """What a person in a pose sits on, lies on or holds, a key of KINDS, to the skin (V, 3) metres.

    Nothing for the floor. Raises ValueError for an unknown kind.
    """
    if kind == "floor":
        return []
    if kind not in KINDS:
        raise ValueError(f"no furniture {kind!r}; there are floor, {', '.join(KINDS)}")
    return KINDS[kind](rng, skin, [random_material(rng, THINGS, (64, 64), 0.01) for _ in range(2)])


def _part(skin: np.ndarray, *names: str) -> np.ndarray:
    return np.concatenate([skin[skin_of(name)] for name in names])


def seat_height(skin: np.ndarray) -> float:
    """The height (metres) of what somebody sits on, whose skin (V, 3) is in its pose."""
    return float(skin[skin_of("seat"), 1].min()) + PRESSED


def _lean(back: np.ndarray) -> float:
    """How far (radians) a back (N, 3) metres over its seat leans back, at most 30 degrees."""
    low, high = back[back[:, 1] < 0.2], back[back[:, 1] > 0.3]
    if not len(low) or not len(high):
        return 0.0
    lower, upper = low[low[:, 2].argmin()], high[high[:, 2].argmin()]
    return float(np.clip(np.arctan2(lower[2] - upper[2], upper[1] - lower[1]), 0, np.deg2rad(30)))


class _Seat:
    """Where a seat is: it ends where the legs come down, and its back begins behind the back."""

    def __init__(self, skin: np.ndarray, thick: float) -> None:
        seat, legs = _part(skin, "seat"), _part(skin, *_LEGS)
        self.top = seat_height(skin)
        self.middle = float(seat[:, 0].mean())
        self.wide = float(np.ptp(seat[:, 0])) + 0.04
        trunk = _part(skin, "seat", "belly", "chest")
        trunk = trunk[(trunk[:, 1] > self.top) & (trunk[:, 1] < self.top + 0.55)]
        self.lean = _lean(trunk - [0, self.top, 0])
        #: Where the back's plane meets the seat.
        self.back = float((trunk[:, 2] + np.tan(self.lean) * (trunk[:, 1] - self.top)).min())
        below = legs[(legs[:, 1] < self.top) & (legs[:, 1] > self.top - thick)]
        front = min(float(below[:, 2].min()) - 0.01 if len(below) else np.inf, self.back + 0.5)
        self.front = max(front, float(seat[seat[:, 1] < self.top + 0.02, 2].mean()) + 0.05)
        self.arms_low = float(_part(skin, *_ARMS)[:, 1].min()) < self.top + 0.02

    def slab(self, wide: float, thick: float, texture: Texture, soft: float = 0.0) -> Prop:
        """The seat itself, its edges round by `soft` metres."""
        centre = np.array([self.middle, self.top - thick / 2, (self.front + self.back) / 2])
        return cushion(centre, np.array([wide, thick, self.front - self.back]), max(soft, 0.004), texture)

    def rest(
        self, wide: float, high: float, thick: float, texture: Texture, foot: float = 0.0, soft: float = 0.0
    ) -> Prop:
        """What the back leans on, from `foot` metres over the seat to `high`; it leans as the back does."""
        size = np.array([wide, high - foot, thick])
        upright = cushion(np.array([0, (foot + high) / 2, -thick / 2]), size, max(soft, 0.004), texture)
        return transformed(upright, turn("x", -self.lean), np.array([self.middle, self.top, self.back]))

    def legs(self, wide: float, thick: float, texture: Texture) -> list[Prop]:
        """Four legs at the corners."""
        half = thick / 2 + 0.01
        return [
            box(np.array([x, self.top / 2 - 0.01, z]), np.array([thick, self.top - 0.02, thick]), 0, texture)
            for x in (self.middle - wide / 2 + half, self.middle + wide / 2 - half)
            for z in (self.back + half, self.front - half)
        ]


def _chair(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    thick = rng.uniform(0.025, 0.08)
    seat = _Seat(skin, thick)
    wide = max(seat.wide, 0.4) if not seat.arms_low else seat.wide
    frame, cover = textures
    high, foot = rng.uniform(0.25, 0.62), rng.choice([0.0, 0.12])
    soft = rng.uniform(0, 0.5) * thick
    parts = [seat.slab(wide, thick, cover, soft)]
    parts.append(seat.rest(wide, high, rng.uniform(0.02, 0.06), cover, foot, soft))
    if rng.random() < 0.3:  # one foot in the middle
        middle = np.array([seat.middle, 0.0, (seat.front + seat.back) / 2])
        stand = [pillar(middle, 0.03, seat.top - thick, frame), pillar(middle, 0.22, 0.03, frame)]
    else:
        stand = seat.legs(wide, rng.uniform(0.02, 0.045), frame)
    if foot:
        posts = [seat.rest(0.03, high, 0.03, frame)]
        stand += posts
    return [together(parts), together(stand)]


def _stool(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    seat = _Seat(skin, 0.05)
    radius = max((seat.front - seat.back) / 2, 0.12)
    foot = np.array([seat.middle, 0.0, (seat.front + seat.back) / 2])
    if rng.random() < 0.4:  # a block, a barrel, a stone
        return [pillar(foot, radius * rng.uniform(0.8, 1.0), seat.top, textures[0])]
    top = pillar(foot + [0, seat.top - 0.05, 0], radius, 0.05, textures[0])
    return [top, pillar(foot, 0.03, seat.top - 0.04, textures[1]), pillar(foot, radius, 0.03, textures[1])]


def _bench(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    thick = rng.uniform(0.04, 0.1)
    seat = _Seat(skin, thick)
    if seat.arms_low:
        return _stool(rng, skin, textures)
    wide = rng.uniform(1.0, 2.2)
    parts = [seat.slab(wide, thick, textures[0])]
    if rng.random() < 0.6:
        parts.append(seat.rest(wide, rng.uniform(0.3, 0.5), 0.04, textures[0], 0.1))
    return [together(parts), together(seat.legs(wide, rng.uniform(0.04, 0.1), textures[1]))]


def _sofa(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    seat = _Seat(skin, 1.0)
    if seat.arms_low or seat.front - seat.back < 0.25:
        return _chair(rng, skin, textures)
    wide, deep, soft = rng.uniform(0.9, 2.2), rng.uniform(0.15, 0.3), rng.uniform(0.02, 0.07)
    high, thick = rng.uniform(0.35, 0.6), rng.uniform(0.12, 0.2)
    middle, length = (seat.front + seat.back) / 2, seat.front - seat.back
    base = np.array([seat.middle, (seat.top - thick + 0.06) / 2, middle - deep / 2])
    size = np.array([wide, seat.top - thick - 0.06, length + deep])
    parts = [cushion(base, size, 0.02, textures[0]), seat.slab(wide, thick, textures[0], soft)]
    parts.append(seat.rest(wide, high, deep, textures[0], -0.1, soft))
    for side in (-1, 1):
        size = np.array([0.18, seat.top + rng.uniform(0.12, 0.22) - 0.06, length + deep])
        centre = np.array([seat.middle + side * (wide / 2 + 0.09), 0.06 + size[1] / 2, middle - deep / 2])
        parts.append(cushion(centre, size, soft, textures[0]))
    reach = wide / 2 + 0.14
    feet = [
        pillar(np.array([seat.middle + x, 0, z]), 0.025, 0.08, textures[1])
        for x in (-reach, reach)
        for z in (seat.back - deep + 0.05, seat.front - 0.05)
    ]
    return [together(parts), together(feet)]


def _bed(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    top = float(skin[:, 1].min()) + PRESSED
    low, high = skin.min(axis=0), skin.max(axis=0)
    margin = rng.uniform(0.05, 0.5, 2)
    size = np.array([high[0] - low[0] + margin[0], top, high[2] - low[2] + margin[1]])
    middle = (low + high) / 2
    props = [cushion(np.array([middle[0], top / 2, middle[2]]), size, rng.uniform(0.01, 0.06), textures[0])]
    head = skin[skin_of("head")]
    gap = float(head[:, 1].min()) - top
    if 0.02 < gap < 0.3:  # a pillow
        x, z = head[:, [0, 2]].mean(axis=0)
        pillow = np.array([0.45, gap + 0.01, 0.35])
        props.append(cushion(np.array([x, top + gap / 2, z]), pillow, 0.45 * gap, textures[1]))
    return props


def rod(start: np.ndarray, end: np.ndarray, radius: float, texture: Texture) -> Prop:
    """A round rod between two points (3,), metres."""
    way = np.asarray(end) - start
    length = float(np.linalg.norm(way))
    up = way / length
    side = np.cross(up, [1.0, 0.0, 0.0] if abs(up[0]) < 0.9 else [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    return transformed(
        pillar(np.zeros(3), radius, length, texture), np.stack([np.cross(up, side), up, side], axis=1), start
    )


def _hands(skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = (skin[skin_of_bones(f"middle_02_{side}")].mean(axis=0) for side in "lr")
    return left, right


def _bar(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    left, right = _hands(skin)
    way = (left - right) / np.linalg.norm(left - right)
    reach = rng.uniform(0.2, 1.0)
    ends = left + reach * way, right - reach * way
    parts = [rod(*ends, rng.uniform(0.012, 0.03), textures[0])]
    if rng.random() < 0.6:
        parts += [rod(end * [1, 0, 1], end, 0.03, textures[0]) for end in ends]
    return [together(parts)]


def _grip(skin: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Where a hand holds (3,), and the way (3,) across its palm, to the thumb."""
    index, pinky = (skin[skin_of_bones(f"{finger}_01_{side}")].mean(axis=0) for finger in ("index", "pinky"))
    tip = skin[skin_of_bones(f"middle_02_{side}")].mean(axis=0)
    return tip, (index - pinky) / np.linalg.norm(index - pinky)


def _bat(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    place, way = _grip(skin, "r")
    length = rng.uniform(0.6, 0.95)
    grip = rod(place - 0.1 * way, place + 0.25 * way, 0.014, textures[1])
    return [grip, rod(place + 0.25 * way, place + length * way, rng.uniform(0.02, 0.035), textures[0])]


def _racket(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    place, way = _grip(skin, "r" if rng.random() < 0.5 else "l")
    grip = rod(place - 0.08 * way, place + 0.4 * way, 0.014, textures[1])
    facing = np.cross(way, [0.3, 0.2, 1.0])
    facing /= np.linalg.norm(facing)
    disc = pillar(np.zeros(3), 0.13, 0.012, textures[0])
    turn = np.stack([np.cross(facing, way), facing, way], axis=1)
    return [grip, transformed(disc, turn, place + 0.5 * way)]


def _wheel(centre: np.ndarray, radius: float, texture: Texture) -> list[Prop]:
    angle = np.linspace(0, 2 * np.pi, 15)
    ring = centre + radius * np.column_stack([np.zeros(15), np.sin(angle), np.cos(angle)])
    parts = [rod(a, b, 0.018, texture) for a, b in pairwise(ring)]
    return parts + [rod(ring[k], ring[k + 7], 0.004, texture) for k in range(7)]


def _bicycle(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    seat = _part(skin, "seat")
    top, x, z = seat_height(skin), float(seat[:, 0].mean()), float(seat[:, 2].mean())
    radius = min(rng.uniform(0.3, 0.36), 0.75 * top)
    saddle = cushion(np.array([x, top - 0.03, z + 0.02]), np.array([0.14, 0.06, 0.26]), 0.03, textures[1])
    left, right = _hands(skin)
    bar = (left + right) / 2
    head = np.array([x, max(bar[1] - 0.12, radius), bar[2] - 0.05])
    rear, front = np.array([x, radius + 0.02, z - 0.35]), np.array([x, radius + 0.02, bar[2] + 0.12])
    crank = np.array([x, radius + 0.02, (rear[2] + front[2]) / 2 - 0.1])
    under = np.array([x, top - 0.05, z])
    pairs = [
        (under, crank),
        (rear, crank),
        (crank, head),
        (under - [0, 0.08, 0], head),
        (rear, under),
        (head, front),
    ]
    frame = [rod(a, b, 0.018, textures[0]) for a, b in pairs]
    frame += [rod(left, right, 0.013, textures[0]), rod(head, bar, 0.015, textures[0])]
    wheels = _wheel(rear, radius, textures[1]) + _wheel(front, radius, textures[1])
    return [together([*frame]), saddle, together(wheels)]


def _animal(rng: np.random.Generator, skin: np.ndarray, textures: list[Texture]) -> list[Prop]:
    seat, legs = _part(skin, "seat"), _part(skin, *_LEGS)
    top, x, z = seat_height(skin), float(seat[:, 0].mean()), float(seat[:, 2].mean())
    radius = 0.34
    while radius > 0.08 and (np.hypot(legs[:, 0] - x, legs[:, 1] - top + radius) < radius).any():
        radius -= 0.02  # until the legs are beside it
    along = np.array([0, 0, rng.uniform(0.5, 0.75)])
    middle = np.array([x, top - radius, z + 0.15])
    trunk = rod(middle - along, middle + along, radius, textures[0])
    parts = [trunk] + [ball(middle + end, radius, textures[0]) for end in (along, -along)]
    for side in (-1, 1):
        for end in (along, -along):
            hip = middle + end * 0.9 + [side * 0.6 * radius, 0, 0]
            parts.append(rod(hip * [1, 0, 1], hip, 0.05, textures[0]))
    neck = middle + along + [0, 0.5, 0.35]
    parts += [
        rod(middle + along, neck, 0.6 * radius, textures[0]),
        ball(neck + [0, 0.03, 0.1], 0.16, textures[0]),
    ]
    return [together(parts)]


KINDS: dict[str, Maker] = {
    "chair": _chair, "stool": _stool, "bench": _bench, "sofa": _sofa, "bed": _bed, "bar": _bar, "bat": _bat,
    "racket": _racket, "bicycle": _bicycle, "animal": _animal,
}  # fmt: skip
