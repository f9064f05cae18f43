"""The activities to choose from, and where in the world they happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from slimdp.synthetic.motion import everyday, sports
from slimdp.synthetic.motion.everyday import dance, fall
from slimdp.synthetic.motion.keys import Performance
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


ACTIVITIES: dict[str, Callable[[np.random.Generator], Performance]] = {
    "stand": everyday.stand,
    "walk": everyday.walk,
    "run": everyday.run,
    "turn": everyday.turn,
    "reach": everyday.reach,
    "sit": everyday.sit,
    "squat": everyday.squat,
    "dance": dance,
    "jump": sports.jump,
    "kick": sports.kick,
    "throw": sports.throw,
    "swing": sports.swing,
    "box": sports.box,
    "fall": fall,
}

#: These say themselves where they go and look.
_ON_THE_MOVE = ("walk", "run", "turn")


def random_motion(rng: np.random.Generator, activity: str | None = None, tempo: float = 1.0) -> PlacedMotion:
    """A motion of an activity (any of ACTIVITIES) near the origin, that looks mostly to the camera (+z).

    Raises ValueError if there is no such activity.
    """
    name = activity or str(rng.choice(list(ACTIVITIES)))
    if name not in ACTIVITIES:
        raise ValueError(f"no activity {name!r}; there are {', '.join(ACTIVITIES)}")
    towards = rng.random() < 0.5
    yaw = rng.normal(0, 0.6) if towards else rng.uniform(-np.pi, np.pi)
    return PlacedMotion(
        ACTIVITIES[name](rng),
        yaw=0.0 if name in _ON_THE_MOVE else float(yaw),
        position=(float(rng.uniform(-0.1, 0.1)), 0.0),
        tempo=tempo,
    )
