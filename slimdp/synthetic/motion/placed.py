"""What a motion is, and any motion put at its place in the world, at its tempo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from slimdp.synthetic.person import Person, Pose


class Motion(Protocol):
    """How a person moves."""

    def pose(self, person: Person, seconds: float) -> Pose:
        """The pose at a time; the same for the same time, and any time can be asked for."""
        ...


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class PlacedMotion:
    """A motion turned about the origin, then moved; everything happens `tempo` times as fast."""

    motion: Motion
    yaw: float = 0.0  # radians; 0 leaves what faces +z facing +z
    position: tuple[float, float] = (0.0, 0.0)  # metres x, z
    tempo: float = 1.0

    def pose(self, person: Person, seconds: float) -> Pose:
        """As `Motion.pose`."""
        pose = self.motion.pose(person, self.tempo * seconds)
        x, y, z = self.place(np.array(pose.position)).tolist()
        return replace(pose, yaw=pose.yaw + self.yaw, position=(x, y, z))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 3) metres of the motion come to lie."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        turned = points @ np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        return turned + [self.position[0], 0.0, self.position[1]]
