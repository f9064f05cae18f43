"""Which activities there are, and how one is drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slimdp.synthetic.motion import everyday, sports
from slimdp.synthetic.motion.dance import dance
from slimdp.synthetic.motion.fall import fall
from slimdp.synthetic.motion.keys import Performance
from slimdp.synthetic.motion.placed import PlacedMotion

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
