"""Pinhole cameras, and how they move through a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion: image x to the right, y down, depth to the front."""

    width: int  # px
    height: int  # px
    focal: float  # px
    centre: tuple[float, float]  # principal point, px
    rotation: np.ndarray  # (3, 3): camera axes = rotation @ world axes
    position: np.ndarray  # (3,) metres, world

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (N, 3) in metres -> pixels (N, 2) x, y and depth (N,) in metres."""
        local = (points - self.position) @ self.rotation.T
        depth = local[:, 2]
        return local[:, :2] * self.focal / depth[:, None] + np.array(self.centre), depth

    def directions(self, pixels: np.ndarray) -> np.ndarray:
        """Ray directions (N, 3) in the world, of depth 1, through pixels (N, 2) x, y."""
        flat = (pixels - np.array(self.centre)) / self.focal
        return np.column_stack([flat, np.ones(len(flat))]) @ self.rotation

    def pixels(self) -> np.ndarray:
        """The centres (H W, 2) x, y of all pixels, row by row."""
        y, x = np.mgrid[: self.height, : self.width]
        return np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)


def look_at(position: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    """The rotation (3, 3) of a camera at `position` that looks at `target`; roll in radians."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, -s * right + c * down, forward])


@dataclass(frozen=True)
class Drift:
    """Numbers that change smoothly with time: a steady rate and a shake of a few incommensurate waves."""

    rate: np.ndarray  # (K,) a second
    swing: np.ndarray  # (K, W)
    frequency: np.ndarray  # (K, W) hertz
    phase: np.ndarray  # (K, W) radians

    def at(self, seconds: float) -> np.ndarray:
        """The change (K,) since time 0."""
        waves = np.sin(2 * np.pi * self.frequency * seconds + self.phase) - np.sin(self.phase)
        return self.rate * seconds + (self.swing * waves).sum(axis=1)


@dataclass(frozen=True)
class CameraPath:
    """A camera at time 0, and how it moves: pure in time."""

    width: int  # px
    height: int  # px
    focal: float  # px
    position: np.ndarray  # (3,) metres
    target: np.ndarray  # (3,) metres, what it looks at
    roll: float  # radians
    follow: float  # 0: looks where it looked, 1: keeps who it follows in place
    drift: Drift | None = None  # of position (3), target (3), roll (1), log focal (1); None: a fixed camera

    def at(self, seconds: float, way: np.ndarray) -> Camera:
        """The camera at a time, when who it follows has gone `way` (3,) metres since time 0."""
        change = np.zeros(8) if self.drift is None else self.drift.at(seconds)
        position, target = self.position + change[:3], self.target + change[3:6]
        if self.drift is not None:
            # Half of following is turning, half is walking along.
            position = position + 0.5 * self.follow * way * [1, 0, 1]
            target = target + self.follow * way
        focal = self.focal * float(np.exp(np.clip(change[7], -0.5, 0.5)))
        centre = ((self.width - 1) / 2, (self.height - 1) / 2)
        rotation = look_at(position, target, self.roll + change[6])
        return Camera(self.width, self.height, focal, centre, rotation, position)


def random_drift(rng: np.random.Generator) -> Drift:
    """Pan, tilt, dolly, zoom, and the shake of a hand, each present or not."""
    pan, dolly, zoom = rng.random(3) < [0.6, 0.4, 0.25]
    rate = np.zeros(8)
    rate[:3] = dolly * rng.normal(0, [0.35, 0.08, 0.35])
    rate[3:6] = rate[:3] * rng.random() + pan * rng.normal(0, [0.35, 0.1, 0.0])
    rate[7] = zoom * rng.normal(0, 0.2)
    # A hand shakes the aim by some millimetres a metre, fast and slow together.
    shake = np.abs(rng.normal(0, 1)) * (rng.random() < 0.6)
    size = np.array([8e-3, 6e-3, 4e-3, 15e-3, 12e-3, 2e-3, 4e-3, 0]) * shake
    waves = 4
    frequency = rng.uniform([0.4, 0.9, 1.8, 3.0], [0.8, 1.6, 2.8, 5.0], (8, waves))
    swing = rng.normal(0, 1, (8, waves)) * size[:, None] / frequency**0.7
    return Drift(rate, swing, frequency, rng.uniform(0, 2 * np.pi, (8, waves)))
