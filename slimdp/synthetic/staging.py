"""Who is where: people on the floor who do not stand in one another, and a camera that has them in view."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from slimdp.synthetic.camera import CameraPath, random_drift
from slimdp.synthetic.motion import BvhMotion, Motion, PlacedMotion, random_motion, read_bvh
from slimdp.synthetic.person import Person
from slimdp.synthetic.photograph import SceneStyle

#: When the ways of people are looked at, seconds.
_TIMES = (0.0, 0.3, 0.6, 0.9, 1.2)
#: People's middles keep this distance (metres).
_APART = 0.5
_TRIES = 30


def way_of(motion: Motion, person: Person, times: tuple[float, ...] = _TIMES) -> np.ndarray:
    """Where a person is at some times, (T, 3) metres."""
    return np.array([motion.pose(person, time).position for time in times])


def place_people(
    rng: np.random.Generator,
    people: tuple[Person, ...],
    style: SceneStyle,
    passer_by: bool,
    recordings: Sequence[Path] = (),
) -> tuple[tuple[Motion, ...], list[np.ndarray]]:
    """Motions for people, and their ways: the first near the origin, others beside, the last walking by.

    Where no free place is found, the last one tried is taken.

    Args:
        rng: chance.
        people: who.
        style: how fast, and how many of them move as recorded.
        passer_by: whether the last one walks by in front.
        recordings: BVH files.

    Raises:
        ValueError: a recording that cannot be read.
    """
    motions: list[Motion] = []
    ways: list[np.ndarray] = []
    for index, person in enumerate(people):
        walks_by = passer_by and index == len(people) - 1
        motion: Motion = random_motion(rng, "walk" if walks_by else None, tempo=style.tempo)
        if recordings and not walks_by and rng.random() < style.recorded:
            motion = _recorded(rng, recordings, style.tempo)
        way = way_of(motion, person)
        for _ in range(_TRIES):
            placed = _walking_by(rng, motion, way) if walks_by else _standing(rng, motion, way, index == 0)
            gaps = [np.linalg.norm((placed.place(way) - o)[:, [0, 2]], axis=1).min() for o in ways]
            if min(gaps, default=np.inf) > _APART:
                break
        motions.append(placed)
        ways.append(placed.place(way))
    return tuple(motions), ways


def _recorded(rng: np.random.Generator, recordings: Sequence[Path], tempo: float) -> Motion:
    """A recorded motion from any of its moments on, turned anywhere."""
    clip = _read(recordings[int(rng.integers(len(recordings)))])
    motion = BvhMotion(clip, start=float(rng.uniform(0, clip.seconds)))
    return PlacedMotion(motion, yaw=float(rng.uniform(-np.pi, np.pi)), tempo=tempo)


_read = lru_cache(maxsize=64)(read_bvh)


def _standing(rng: np.random.Generator, motion: Motion, way: np.ndarray, first: bool) -> PlacedMotion:
    if first:
        where = rng.normal(0, 0.05, 2)
    else:
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(_APART, 1.5)
        where = distance * np.array([np.sin(angle), 0.7 * np.cos(angle)])
    return PlacedMotion(motion, 0.0, (float(where[0] - way[0, 0]), float(where[1] - way[0, 2])))


def _walking_by(rng: np.random.Generator, motion: Motion, way: np.ndarray) -> PlacedMotion:
    going = way[-1] - way[0]
    side = rng.choice([-1.0, 1.0])
    # Turned so that the way leads across the picture.
    turn = float(side * np.pi / 2 - np.arctan2(going[0], going[2]) + rng.normal(0, 0.3))
    start = PlacedMotion(motion, turn).place(way[0])
    where = np.array([-side * rng.uniform(0.1, 0.8), rng.uniform(0.6, 1.3)])
    return PlacedMotion(motion, turn, (float(where[0] - start[0]), float(where[1] - start[2])))


def random_camera(
    rng: np.random.Generator, size: tuple[int, int], starts: np.ndarray, moving: bool
) -> CameraPath:
    """A camera before people who start at (P, 3) metres: whole bodies mostly, sometimes close."""
    width, height = size
    focal = min(size) * rng.uniform(1.2, 1.8)
    share = rng.uniform(0.6, 0.9) if rng.random() < 0.8 else rng.uniform(0.9, 1.5)  # of the frame's height
    middle = (starts.min(axis=0) + starts.max(axis=0)) / 2
    spread = np.ptp(starts[:, 0])
    distance = max(1.7 * focal / (share * height), (spread + 0.5) * focal / (0.85 * width))
    distance += starts[:, 2].max() - middle[2]
    rise = np.deg2rad(rng.uniform(-8, 25))
    aim = 0.9 + max(share - 0.9, 0) * rng.uniform(-0.6, 0.8)
    target = np.array([middle[0] + rng.normal(0, 0.08), aim, middle[2]])
    position = target + distance * np.array([0.0, np.sin(rise), np.cos(rise)])
    position[1] = max(position[1], 0.25)
    return CameraPath(
        width, height, focal, position, target,
        roll=np.deg2rad(rng.normal(0, 3)),
        follow=rng.uniform(0.0, 1.0),
        drift=random_drift(rng) if moving else None,
    )  # fmt: skip


def all_in_view(camera: CameraPath, starts: np.ndarray) -> bool:
    """Whether the middle of everybody who starts at (P, 3) metres is in the picture."""
    pixels, depth = camera.at(0.0, np.zeros(3)).project(starts + [0, 1.0, 0])
    margin = 0.04 * np.array([camera.width, camera.height])
    inside = (pixels > margin) & (pixels < [camera.width, camera.height] - margin)
    return bool((inside.all(axis=1) & (depth > 0.7)).all())
