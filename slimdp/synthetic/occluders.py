"""What stands or moves between the camera and people, and hides a part of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from slimdp.synthetic.camera import CameraPath
from slimdp.synthetic.props import Path, Prop, ball, box, pillar, together
from slimdp.synthetic.textures import THINGS, random_material


def random_occluder(rng: np.random.Generator, camera: CameraPath, body: np.ndarray) -> Prop:
    """Something that stands or moves between the camera and a person, and hides a part of them.

    Args:
        rng: chance.
        camera: the camera.
        body: (3,) metres, the middle of the person.
    """
    share = rng.uniform(0.45, 0.8)  # of the way from the camera to the person
    where = camera.position + share * (body - camera.position)
    height = share * rng.uniform(-0.6, 0.5)
    texture = random_material(rng, THINGS, (64, 64), rng.uniform(0.003, 0.01))
    side, across = rng.choice([-1.0, 1.0]), share * rng.uniform(0.0, 0.45)
    aim = where + [side * across, height, 0]
    # It passes its place about when the clip starts.
    velocity = np.array([-side * share * rng.uniform(0.1, 1.0), 0.0, rng.normal(0, 0.1)])
    size = share * rng.uniform(0.14, 0.4)
    kind = rng.integers(4)
    if kind == 0:  # a pole
        foot = np.array([aim[0], 0.0, aim[2]])
        prop = pillar(foot, share * rng.uniform(0.03, 0.09), 3.5, texture)
        return replace(prop, path=Path(velocity * (rng.random() < 0.4)))
    if kind == 1:  # a ball, thrown or bouncing
        prop = ball(aim, size / 2, texture)
        swing = np.array([0, rng.uniform(0.05, 0.4) * share, 0])
        return replace(prop, path=Path(2 * velocity, swing, rng.uniform(0.5, 1.5), rng.normal(0, 3, 3)))
    if kind == 2:  # a box or a board, carried past
        prop = box(aim, size * rng.uniform(0.6, 1.6, 3) * [1, 1, 0.5], rng.uniform(-0.6, 0.6), texture)
        return replace(prop, path=Path(velocity, rng.normal(0, 0.03, 3), 1.8, rng.normal(0, 0.4, 3)))
    handle = box(aim + [0, 0.65 * size, 0], np.array([0.5, 0.5, 0.1]) * size, 0, texture)  # a bag
    bag = together([box(aim, np.array([1.0, 1.1, 0.4]) * size, 0, texture), handle])
    swing = np.array([0.06, 0.02, 0.02])
    return replace(
        bag, path=Path(velocity, swing, rng.uniform(0.6, 1.4), np.array([0, rng.normal(0, 0.5), 0]))
    )
