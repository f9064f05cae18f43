"""Light: a few lamps or the sun, and a sky; which of it reaches a place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Each pixel of a square of this side tries another place of a lamp and another part of the sky, and the
#: square shares the answers (interleaved sampling, Keller and Heidrich 2001).
TILE = 4
#: What is farther than this casts no shadow of a sun (metres).
SUN_REACH = 12.0
#: What is farther than this does not darken the sky (metres).
SKY_REACH = 1.2
#: What is farther from the camera lies in no shadow (metres): landscapes hold theirs.
SHADOWS_UP_TO = 18.0


@dataclass(frozen=True)
class Light:
    """The sun, or a lamp."""

    place: np.ndarray  # (3,) metres; for the sun the unit direction towards it
    colour: np.ndarray  # (3,) linear RGB: what a white surface that faces it gives back
    radius: float  # of the lamp (metres) or of the sun's disc (radians): the softness of shadows
    distant: bool  # the sun
    bright_at: float = 3.0  # metres: where a lamp has its colour

    def seen_from(self, points: np.ndarray, jitter: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The way to the light from points (N, 3) metres.

        `jitter` (N, 3) or (1, 3) in the unit ball picks a place on the lamp; its middle is 0.

        Returns:
            directions (N, 3) float32 unit, reach (N,) metres up to the lamp, strength (N,) by distance.
        """
        if self.distant:
            ways = np.asarray(self.place + self.radius * jitter, dtype=np.float32)
            ways /= np.linalg.norm(ways, axis=1, keepdims=True)
            count = len(points)
            ways = np.ascontiguousarray(np.broadcast_to(ways, (count, 3)))
            return ways, np.full(count, SUN_REACH, np.float32), np.ones(count, np.float32)
        place = (self.place + self.radius * jitter).astype(np.float32)
        ways = place - points.astype(np.float32)
        distance = np.linalg.norm(ways, axis=1)
        ways /= np.maximum(distance, 1e-6)[:, None]
        # Near a lamp the square law would burn out whatever is there.
        strength = (self.bright_at / np.maximum(distance, 0.5 * self.bright_at)) ** 2
        return ways, distance, strength


@dataclass(frozen=True)
class Lighting:
    """All light of a scene."""

    lights: tuple[Light, ...]
    sky: np.ndarray  # (3,) linear RGB from above
    ground: np.ndarray  # (3,) linear RGB from below
    shadows: bool = True
    white: float = 1.0  # how bright the white of a baked picture is, so that it suits who stands in it

    def on(self, point: np.ndarray, facing: np.ndarray) -> float:
        """The mean of red, green and blue that reaches a point (3,) of a surface that faces a way (3,)."""
        facing = facing / np.linalg.norm(facing)
        up = 0.5 + 0.5 * facing[1]
        total = self.sky * up + self.ground * (1 - up)
        for light in self.lights:
            way, _, strength = light.seen_from(point[None], np.zeros((1, 3)))
            total = total + light.colour * strength * max(float(way[0] @ facing), 0.15)
        return float(total.mean())


def sky_directions() -> np.ndarray:
    """TILE^2 directions (K, 3) about +z with density by cosine, the same number in each ring and sector."""
    cell = np.arange(TILE * TILE)
    ring, sector = (cell // TILE + 0.5) / TILE, (cell % TILE + 0.5 * (cell // TILE % 2)) / TILE
    radius, angle = np.sqrt(ring), 2 * np.pi * sector
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - ring)])


def disc_jitter() -> np.ndarray:
    """TILE^2 places (K, 3) in the unit ball, evenly spread (a Fibonacci lattice)."""
    count = TILE * TILE
    index = np.arange(count) + 0.5
    height, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - height**2)
    radius = ((index * 0.618034) % 1) ** (1 / 3)
    return radius[:, None] * np.column_stack([flat * np.cos(turn), flat * np.sin(turn), height])


def random_lighting(rng: np.random.Generator, indoors: bool, ceiling: float, shadows: bool) -> Lighting:
    """Lamps under the ceiling of a room, or the sun and perhaps a second light in the open."""
    warm = rng.normal(0, 0.1)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    ambient = rng.uniform(0.15, 0.5)
    if indoors:
        lights = []
        for share in rng.dirichlet(np.full(int(rng.integers(1, 4)), 3.0)):
            place = [rng.uniform(-2, 2), ceiling - rng.uniform(0.1, 0.6), rng.uniform(-0.5, 3.0)]
            lights.append(
                Light(np.array(place), share * (1 - ambient) * 1.5 * tint, rng.uniform(0.05, 0.3), False)
            )
        return Lighting(tuple(lights), ambient * tint, 0.6 * ambient * tint, shadows)
    height, around = np.deg2rad(rng.uniform(20, 65)), rng.uniform(-np.pi, np.pi)
    if rng.random() < 0.7:  # the sun stands mostly before the people
        around = rng.uniform(-1.3, 1.3)
    way = np.array([np.sin(around) * np.cos(height), np.sin(height), np.cos(around) * np.cos(height)])
    # A clouded sun is wide and weak.
    cloud = rng.random() < 0.3
    sun = Light(way, (1 - ambient) * (0.6 if cloud else 1.2) * tint, 0.25 if cloud else 0.02, True)
    blue = np.array([0.9, 1.0, 1.15]) * (1.4 if cloud else 1.0)
    return Lighting((sun,), ambient * blue, 0.5 * ambient * tint, shadows)
