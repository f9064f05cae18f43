"""A table before somebody who sits, and what lies on it: it hides legs and lap, as in most pictures of rooms.

Everything is made about a person's skin in the axes of its pose, as furniture is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slimdp.synthetic.motion.contact import skin_of
from slimdp.synthetic.motion.solve import turn
from slimdp.synthetic.objects import Prop, ball, box, pillar, together, transformed
from slimdp.synthetic.textures import THINGS, Texture, random_material

#: Kinds of seats (furniture.KINDS) that people draw up to a table.
SEATS = ("chair", "stool", "bench")
#: Draws of a table until one is free of arms and legs.
_TRIES = 12
#: Metres between a table, or what lies on it, and anybody's skin, at least.
_AIR = 0.01
#: Most things on a table.
_MOST_THINGS = 5

#: Makes what lies at the origin of a table's top, facing the person, who is at -z.
Maker = Callable[[np.random.Generator, list[Texture]], list[Prop]]


def table_before(rng: np.random.Generator, skin: np.ndarray) -> list[Prop]:
    """A table before a seated person and things on it; none where arms and legs leave no room for one.

    `skin` is (V, 3) metres in its pose, which faces z. Of a table that reaches down to the floor in front
    (a counter, a desk with a panel, a cloth) one sees nothing of the legs.
    """
    palette = [random_material(rng, THINGS, (64, 64), 0.01) for _ in range(4)]
    belly = float(np.concatenate([skin[skin_of("belly")], skin[skin_of("chest")]])[:, 2].max())
    lap = float(np.concatenate([skin[skin_of(f"thigh_{side}")] for side in "lr"])[:, 1].max())
    middle = float(skin[skin_of("seat"), 0].mean())
    for _ in range(_TRIES):
        wide, deep, thick = rng.uniform(0.6, 1.8), rng.uniform(0.4, 0.9), rng.uniform(0.02, 0.06)
        near = belly + rng.uniform(0.03, 0.35)
        top = lap + thick + rng.uniform(0.02, 0.16)
        centre = np.array([middle + rng.normal(0, 0.15), top - thick / 2, near + deep / 2])
        board = box(centre, np.array([wide, thick, deep]), 0, palette[0])
        if _free(board, skin):
            break
    else:
        return []
    parts = [board, *_stand(rng, centre, (wide, top - thick, deep), palette[0], skin)]
    things: list[Prop] = []
    for _ in range(int(rng.integers(0, _MOST_THINGS + 1))):
        make = THINGS_ON_TABLES[int(rng.integers(len(THINGS_ON_TABLES)))]
        made = make(rng, [palette[int(i)] for i in rng.permutation(len(palette))])
        x, z = rng.uniform(-0.5, 0.5, 2) * [max(wide - 0.3, 0.1), max(deep - 0.25, 0.05)]
        spin = turn("y", float(rng.normal(0, 0.4)))
        laid = [transformed(prop, spin, np.array([centre[0] + x, top, centre[2] + z])) for prop in made]
        if all(_free(prop, skin) and all(_clear(prop, other) for other in things) for prop in laid):
            things += laid
    return [together(parts), *things]


def _stand(
    rng: np.random.Generator,
    centre: np.ndarray,
    size: tuple[float, float, float],
    texture: Texture,
    skin: np.ndarray,
) -> list[Prop]:
    """What bears a board of width, height of its lower side and depth: legs, one foot, or a closed front."""
    (x, _, z), (wide, high, deep) = centre, size
    kind = rng.random()
    if kind < 0.4:  # closed in front: a desk, a counter, a cloth
        front = box(np.array([x, high / 2, z + deep / 2 - 0.03]), np.array([wide, high, 0.03]), 0, texture)
        sides = [
            box(
                np.array([x + side * (wide / 2 - 0.02), high / 2, z]),
                np.array([0.03, high, deep]),
                0,
                texture,
            )
            for side in (-1, 1)
        ]
        return [part for part in (front, *sides) if _free(part, skin)]
    if kind < 0.6:
        foot = pillar(np.array([x, 0.0, z]), rng.uniform(0.03, 0.06), high, texture)
        return [foot] if _free(foot, skin) else []
    thick = rng.uniform(0.03, 0.07)
    legs = [
        box(np.array([x + sx * (wide - thick) / 2, high / 2, z + sz * (deep - thick) / 2]),
            np.array([thick, high, thick]), 0, texture)
        for sx in (-1, 1) for sz in (-1, 1)
    ]  # fmt: skip
    return [leg for leg in legs if _free(leg, skin)]


def _free(prop: Prop, skin: np.ndarray) -> bool:
    """Whether no skin is in the box around a prop."""
    low, high = prop.vertices.min(axis=0) - _AIR, prop.vertices.max(axis=0) + _AIR
    return not ((skin > low) & (skin < high)).all(axis=1).any()


def _clear(prop: Prop, other: Prop) -> bool:
    """Whether the boxes around two props do not meet."""
    return bool(
        (prop.vertices.min(axis=0) > other.vertices.max(axis=0)).any()
        or (prop.vertices.max(axis=0) < other.vertices.min(axis=0)).any()
    )


def _computer(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    """A laptop, open: one sees its back over which a face looks, or hands behind it."""
    wide = rng.uniform(0.28, 0.4)
    deep, open_by = 0.68 * wide, np.deg2rad(rng.uniform(0, 35))
    keys = box(np.array([0, 0.009, 0]), np.array([wide, 0.018, deep]), 0, palette[0])
    screen = box(np.array([0, deep / 2, 0]), np.array([wide, deep, 0.008]), 0, palette[0])
    lid = transformed(screen, turn("x", open_by), np.array([0, 0.018, deep / 2]))
    return [together([keys, lid])]


def _monitor(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, rise = rng.uniform(0.4, 0.7), rng.uniform(0.08, 0.16)
    high = 0.58 * wide
    foot = box(np.array([0, 0.008, 0]), np.array([0.22, 0.016, 0.16]), 0, palette[0])
    neck = box(np.array([0, rise / 2 + 0.01, 0.02]), np.array([0.05, rise, 0.03]), 0, palette[0])
    screen = box(np.array([0, rise + high / 2, 0]), np.array([wide, high, 0.03]), 0, palette[0])
    return [together([foot, neck, screen])]


def _cup(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high = rng.uniform(0.07, 0.16)
    return [pillar(np.zeros(3), rng.uniform(0.03, 0.05), high, palette[0], rng.uniform(0.8, 1.3))]


def _bottle(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high, radius = rng.uniform(0.14, 0.24), rng.uniform(0.03, 0.045)
    neck = pillar(np.array([0, high, 0]), 0.4 * radius, 0.4 * high, palette[0])
    return [together([pillar(np.zeros(3), radius, high, palette[0]), neck])]


def _bowl(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    radius = rng.uniform(0.07, 0.16)
    plate = pillar(np.zeros(3), 0.6 * radius, 0.03, palette[0], 1.6)
    if rng.random() < 0.5:
        return [plate]
    food = ball(np.array([0, 0.03 + 0.3 * radius, 0]), 0.55 * radius, palette[1], 0.7)
    return [plate, food]


def _books(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    level, pile = 0.0, []
    for index in range(int(rng.integers(1, 5))):
        thick = rng.uniform(0.01, 0.05)
        size = np.array([rng.uniform(0.14, 0.3), thick, rng.uniform(0.18, 0.24)])
        where = np.array([0, level + thick / 2, 0])
        pile.append(box(where, size, float(rng.normal(0, 0.2)), palette[index % len(palette)]))
        level += thick + 0.001
    return pile


def _carton(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    size = rng.uniform(0.08, 0.4, 3)
    return [box(np.array([0, size[1] / 2, 0]), size, 0, palette[0])]


def _vase(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high = rng.uniform(0.12, 0.3)
    green = Texture((rng.random((16, 16, 1)) * [70, 120, 60] + [10, 30, 5]).astype(np.uint8), 0.02)
    leaves = [ball(np.array([x, high + y, z]), rng.uniform(0.04, 0.1), green, 0.9)
              for x, y, z in rng.normal(0, 0.05, (4, 3)) + [0, 0.06, 0]]  # fmt: skip
    return [
        pillar(np.zeros(3), rng.uniform(0.03, 0.07), high, palette[0], rng.uniform(0.6, 1.5)),
        together(leaves),
    ]


THINGS_ON_TABLES: tuple[Maker, ...] = (
    _computer, _computer, _monitor, _cup, _cup, _bottle, _bowl, _books, _carton, _vase
)  # fmt: skip
