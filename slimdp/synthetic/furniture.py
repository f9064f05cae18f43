"""Things that stand about in rooms and in the open, each made of a few boxes, pillars and balls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from slimdp.synthetic.props import Prop, ball, box, pillar, revolution, together
from slimdp.synthetic.textures import Texture, random_material

#: Makes a thing at the origin, standing on y = 0, from a palette of textures.
Maker = Callable[[np.random.Generator, list[Texture]], list[Prop]]


def _pick(rng: np.random.Generator, palette: list[Texture]) -> Texture:
    return palette[int(rng.integers(len(palette)))]


def _table(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, deep, high = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.8)
    parts = [box(np.array([0, high, 0]), np.array([wide, 0.05, deep]), 0, _pick(rng, palette))]
    for x in (-1, 1):
        for z in (-1, 1):
            foot = np.array([x * (wide / 2 - 0.06), high / 2, z * (deep / 2 - 0.06)])
            parts.append(box(foot, np.array([0.06, high, 0.06]), 0, parts[0].texture))
    things = [
        box(
            np.array([rng.uniform(-0.3, 0.3) * wide, high + 0.025 + size / 2, rng.uniform(-0.2, 0.2)]),
            size * rng.uniform(0.6, 1.4, 3) * [1, 0, 1] + [0, size, 0],
            rng.uniform(0, 3),
            _pick(rng, palette),
        )
        for size in rng.uniform(0.08, 0.3, int(rng.integers(0, 3)))
    ]
    return [together(parts), *things]


def _chair(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    seat, high = rng.uniform(0.42, 0.48), rng.uniform(0.8, 1.0)
    texture = _pick(rng, palette)
    parts = [box(np.array([0, seat, 0]), np.array([0.44, 0.05, 0.44]), 0, texture)]
    parts.append(box(np.array([0, (seat + high) / 2, -0.2]), np.array([0.44, high - seat, 0.04]), 0, texture))
    for x in (-0.19, 0.19):
        for z in (-0.19, 0.19):
            parts.append(box(np.array([x, seat / 2, z]), np.array([0.04, seat, 0.04]), 0, texture))
    return [together(parts)]


def _shelf(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, high, deep = rng.uniform(0.6, 1.4), rng.uniform(0.8, 2.1), 0.32
    texture = _pick(rng, palette)
    parts = [
        box(np.array([x * wide / 2, high / 2, 0]), np.array([0.03, high, deep]), 0, texture) for x in (-1, 1)
    ]
    goods = []
    for level in np.arange(0.1, high, 0.38):
        parts.append(box(np.array([0, level, 0]), np.array([wide, 0.03, deep]), 0, texture))
        size = np.array([rng.uniform(0.2, 0.8) * wide, rng.uniform(0.12, 0.3), 0.2])
        where = np.array([rng.uniform(-0.08, 0.08) * wide, level + 0.015 + size[1] / 2, 0])
        goods.append(box(where, size, 0, _pick(rng, palette)))
    return [together(parts), *goods]


def _sofa(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, texture = rng.uniform(1.2, 2.0), _pick(rng, palette)
    sizes = [([0, 0.22, 0], [wide, 0.44, 0.8]), ([0, 0.5, -0.32], [wide, 0.7, 0.2])]
    sizes += [([x * wide / 2, 0.32, 0], [0.18, 0.6, 0.8]) for x in (-1, 1)]
    return [together([box(np.array(c), np.array(s), 0, texture) for c, s in sizes])]


def _lamp(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high = rng.uniform(1.3, 2.2)
    shade = revolution(np.array([[0.24, 0], [0.12, 0.3]]), np.array([0, high - 0.2, 0]), _pick(rng, palette))
    return [pillar(np.zeros(3), 0.025, high, _pick(rng, palette)), shade]


def _plant(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high = rng.uniform(0.5, 2.6)
    green = Texture((rng.random((32, 32, 1)) * [70, 120, 40] + [10, 30, 5]).astype(np.uint8), 0.04)
    crown = [
        ball(np.array([x, high + y, z]) * [1, 1, 1], rng.uniform(0.12, 0.22) * high, green, 0.9)
        for x, y, z in rng.normal(0, 0.14 * high, (int(rng.integers(3, 8)), 3))
    ]
    return [pillar(np.zeros(3), 0.06 + 0.04 * high, high, _pick(rng, palette), 0.5), together(crown)]


def _stack(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    props, level = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(0.2, 0.7, 3)
        middle = np.array([0, level + size[1] / 2, 0])
        props.append(box(middle, size, rng.uniform(0, np.pi), _pick(rng, palette)))
        level += size[1]
    return props


def _pole(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    return [pillar(np.zeros(3), rng.uniform(0.03, 0.2), rng.uniform(0.8, 4.0), _pick(rng, palette))]


def _ball_on_floor(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    radius = rng.uniform(0.1, 0.4)
    return [ball(np.array([0, radius, 0]), radius, _pick(rng, palette))]


def _car(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    paint = random_material(rng, ("plaster",), (32, 32), 0.2)
    parts = {1.0: ([0, 0.55, 0], [3.9, 0.6, 1.6]), 0.25: ([-0.2, 1.08, 0], [2.0, 0.5, 1.4])}
    hull, glass = (
        box(np.array(c), np.array(s), 0, replace(paint, picture=(paint.picture * dark).astype(np.uint8)))
        for dark, (c, s) in parts.items()
    )
    roof = box(np.array([-0.2, 1.36, 0]), np.array([1.8, 0.06, 1.36]), 0, paint)
    black = Texture(np.full((16, 16, 3), 30, np.uint8), 0.1)
    wheels = [ball(np.array([x, 0.32, z]), 0.32, black) for x in (-1.2, 1.2) for z in (-0.7, 0.7)]
    return [together([hull, roof]), glass, together(wheels)]


INDOORS: tuple[Maker, ...] = (
    _table, _chair, _chair, _shelf, _shelf, _sofa, _lamp, _plant, _stack, _ball_on_floor, _pole
)  # fmt: skip
OUTDOORS: tuple[Maker, ...] = (_plant, _plant, _car, _pole, _pole, _stack, _ball_on_floor, _table)
