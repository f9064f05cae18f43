"""Sports, written for right-handers (half are mirrored), the choice of activities, and where they happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from slimdp.synthetic.motion import everyday
from slimdp.synthetic.motion.keys import Keys, Performance, perform, sequence
from slimdp.synthetic.motion.solve import AT_EASE, Channels, both, pose
from slimdp.synthetic.person import Person, Pose

_LEG_METRES = 0.85
_GRAVITY = 9.81


def flight(
    height: float, push: float, leave: Channels, air: Channels, land: Channels
) -> list[tuple[float, Channels]]:
    """Key poses of a jump of `height` legs along a parabola, from the toes' leaving to their coming down.

    `push` is seconds from the pose before to the leaving; `leave`, `air` and `land` are the poses at its
    beginning, highest point and end, without the height.
    """
    seconds = float(np.sqrt(2 * height * _LEG_METRES / _GRAVITY))
    moves: list[tuple[float, Channels]] = []
    shares = (-1.0, -0.6, 0.0, 0.6, 1.0)
    for share, step in zip(shares, (push, 0.4 * seconds, 0.6 * seconds, 0.6 * seconds, 0.4 * seconds)):
        up = height * (1 - share * share)
        ground, way = leave if share < 0 else land, abs(share) ** 1.5
        names = dict.fromkeys([*air, *ground])  # in their order: chance is drawn for one after the other
        pose = {name: (1 - way) * air.get(name, 0.0) + way * ground.get(name, 0.0) for name in names}
        for name in ("foot_y_l", "foot_y_r", "pelvis_y"):
            pose[name] = pose.get(name, 0.0) + up
        moves.append((step, pose))
    return moves


def jump(rng: np.random.Generator) -> Performance:
    """Jump up with swinging arms, or jumping jacks."""
    jacks = rng.random() < 0.4
    height = rng.uniform(0.1, 0.16) if jacks else rng.uniform(0.22, 0.42)
    crouch = (
        pose(pelvis_y=-0.12 if jacks else -0.3, pelvis_z=-0.03 if jacks else -0.1,
        pelvis_pitch=8 if jacks else 32, spine_flex=5 if jacks else 20, head_nod=-10) | both(knee_out=8)
    )  # fmt: skip
    stretched = both(foot_pitch=42) | pose(pelvis_y=0.1)
    base = dict(AT_EASE)
    if jacks:
        wide = both(arm_out=155, elbow=12, arm_in=-10) | pose(foot_x_l=0.28, foot_x_r=-0.28)
        landed = wide | pose(pelvis_y=-0.11) | both(knee_out=6)
        close, apart = both(arm_out=8, elbow=14) | stretched, wide | stretched
        half = {name: value / 2 for name, value in wide.items()}
        moves = [
            (0.16, crouch), *flight(height, 0.16, close, half | stretched, apart), (0.16, landed),
            *flight(height, 0.16, apart, half | stretched, close)
        ]  # fmt: skip
    else:
        back = crouch | both(arm_flex=-42, elbow=20)
        arms = both(arm_flex=rng.uniform(110, 165), elbow=25, arm_out=14)
        tucked = arms | both(foot_pitch=45) | pose(pelvis_y=0.06, pelvis_pitch=6, spine_flex=-4)
        if rng.random() < 0.5:
            tucked |= both(foot_y=rng.uniform(0.1, 0.3)) | pose(pelvis_pitch=14, spine_flex=14)
        landed = crouch | pose(pelvis_y=-0.22) | both(arm_flex=35, elbow=40, arm_out=22)
        coming = stretched | both(arm_flex=75, elbow=30, arm_out=20)
        leaving = stretched | both(arm_flex=70, elbow=30)
        moves = [(0.5, {}), (0.25, {}), (0.45, back), *flight(height, 0.24, leaving, tucked, coming)]
        moves += [(0.2, landed), (0.1, landed)]
    return perform(rng, sequence(rng, base, moves), sway=0.6)


def kick(rng: np.random.Generator) -> Performance:
    """Kick a ball with the right foot: step, swing back, through, and back again."""
    high = rng.uniform(0.28, 0.75)
    plant = pose(foot_z_l=0.38, foot_x_l=0.03)
    stride = pose(foot_z_l=0.2, foot_y_l=0.09, pelvis_z=0.1, foot_pitch_r=22, arm_flex_l=-18, elbow_l=30)
    landed = plant | pose(pelvis_z=0.2, foot_pitch_r=45, arm_flex_l=10, elbow_l=30)
    wound = plant | pose(
        pelvis_z=0.24, pelvis_y=-0.06, pelvis_pitch=12, pelvis_yaw=-22, spine_twist=24, foot_z_r=-0.3,
        foot_y_r=0.34, foot_pitch_r=80, arm_flex_l=45, arm_out_l=55, elbow_l=25, arm_flex_r=-30, arm_out_r=35,
        head_nod=18, pelvis_x=0.06
    )  # fmt: skip
    strike = plant | pose(
        pelvis_z=0.34, pelvis_y=-0.05, pelvis_pitch=-8, pelvis_yaw=12, spine_flex=18, foot_z_r=0.62,
        foot_y_r=0.14, foot_pitch_r=34, arm_flex_l=-8, arm_out_l=62, elbow_l=20, arm_flex_r=24, arm_out_r=40,
        head_nod=16, pelvis_x=0.07
    )  # fmt: skip
    through = strike | pose(
        foot_z_r=0.98, foot_y_r=high, foot_x_r=0.12, pelvis_pitch=-22, pelvis_yaw=30, spine_flex=34,
        foot_pitch_r=2, arm_flex_l=-34, arm_flex_r=48, foot_pitch_l=12
    )  # fmt: skip
    down = plant | pose(foot_z_r=0.55, foot_y_r=0.05, pelvis_z=0.36, arm_out_l=24, arm_out_r=24)
    close = plant | pose(foot_z_r=0.52, pelvis_z=0.42)
    home = pose(foot_z_l=0.2, foot_y_l=0.06, foot_z_r=0.52, pelvis_z=0.26)
    nearly = pose(foot_z_r=0.2, foot_y_r=0.06, pelvis_z=0.06)
    moves: list[tuple[float, Channels]] = [
        (0.25, {}), (0.3, {}), (0.25, stride), (0.14, landed), (0.2, wound), (0.14, strike), (0.15, through),
        (0.32, down), (0.25, close), (0.3, home), (0.2, pose(foot_z_r=0.52, pelvis_z=0.14)), (0.25, nearly)
    ]  # fmt: skip
    return perform(rng, sequence(rng, AT_EASE, moves), sway=0.6)


def throw(rng: np.random.Generator) -> Performance:
    """Throw overarm: turn away, step, turn through, and follow."""
    plant = pose(foot_z_l=0.42, foot_x_l=0.0, foot_yaw_l=4.0)
    wound = pose(
        pelvis_yaw=-42, spine_twist=-34, head_turn=55, pelvis_z=-0.08, pelvis_x=-0.05, pelvis_y=-0.03,
        foot_z_l=0.1, foot_y_l=0.22, arm_flex_l=55, arm_out_l=45, elbow_l=25, arm_out_r=80, arm_flex_r=40,
        elbow_r=80, fist_r=0.6, foot_yaw_r=-40.0
    )  # fmt: skip
    cocked = plant | pose(
        pelvis_yaw=-20, spine_twist=-32, head_turn=42, pelvis_z=0.12, pelvis_y=-0.08, arm_flex_l=70,
        arm_out_l=35, elbow_l=20, arm_out_r=112, arm_flex_r=92, elbow_r=98, fist_r=0.6, foot_pitch_r=12,
        foot_yaw_r=-32.0, spine_flex=-8
    )  # fmt: skip
    release = plant | pose(
        pelvis_yaw=22, spine_twist=14, pelvis_z=0.26, pelvis_y=-0.09, pelvis_pitch=10, spine_flex=14,
        arm_flex_l=5, arm_out_l=28, elbow_l=85, arm_out_r=62, arm_flex_r=142, elbow_r=22, fist_r=0.1,
        foot_pitch_r=45, foot_yaw_r=-12.0, spine_side=8, head_turn=-24
    )  # fmt: skip
    follow = plant | pose(
        pelvis_yaw=34, spine_twist=32, pelvis_z=0.33, pelvis_y=-0.13, pelvis_pitch=22, spine_flex=34,
        arm_flex_l=-25, arm_out_l=30, elbow_l=70, arm_out_r=0, arm_flex_r=58, arm_in_r=45, elbow_r=28,
        foot_pitch_r=62, foot_yaw_r=-6.0, head_turn=-38, head_nod=-22
    )  # fmt: skip
    back = pose(foot_z_l=0.2, foot_y_l=0.06, pelvis_z=0.05)
    moves: list[tuple[float, Channels]] = [
        (0.3, {}), (0.3, {}), (0.55, wound), (0.3, cocked), (0.14, release), (0.17, follow), (0.3, follow),
        (0.45, back),
    ]  # fmt: skip
    return perform(rng, sequence(rng, AT_EASE, moves), sway=0.6)


def swing(rng: np.random.Generator) -> Performance:
    """Swing a racket with one hand, or a club with both."""
    return perform(rng, _racket(rng) if rng.random() < 0.55 else _club(rng), sway=0.6)


def _racket(rng: np.random.Generator) -> Keys:
    base = (
        AT_EASE | pose(foot_x_l=0.12, foot_x_r=-0.12, pelvis_y=-0.08) |
        both(knee_out=8, elbow=70, arm_flex=22) |
        pose(fist_r=0.85, pelvis_pitch=10, spine_flex=10, head_nod=-12)
    )  # fmt: skip
    plant = pose(foot_z_l=0.34, foot_x_l=0.02)
    wound = plant | pose(
        pelvis_yaw=-38, spine_twist=-36, head_turn=48, pelvis_z=0.05, arm_out_r=62, arm_flex_r=-38,
        elbow_r=38, arm_flex_l=62, arm_out_l=0, elbow_l=40, pelvis_x=-0.05
    )  # fmt: skip
    contact = plant | pose(
        pelvis_yaw=10, spine_twist=8, pelvis_z=0.16, arm_out_r=48, arm_flex_r=52, elbow_r=22, arm_in_r=15,
        arm_flex_l=30, arm_out_l=25, elbow_l=80, foot_pitch_r=22, head_turn=-20
    )  # fmt: skip
    follow = plant | pose(
        pelvis_yaw=30, spine_twist=36, pelvis_z=0.2, pelvis_y=-0.03, arm_out_r=-8, arm_flex_r=112, elbow_r=95,
        arm_in_r=40, arm_flex_l=5, arm_out_l=25, elbow_l=90, foot_pitch_r=45, head_turn=-40
    )  # fmt: skip
    step = pose(foot_z_l=0.16, foot_y_l=0.07, foot_x_l=0.06, pelvis_yaw=-20, spine_twist=-20)
    back = pose(foot_z_l=0.16, foot_y_l=0.06, foot_x_l=0.06, pelvis_z=0.04)
    return sequence(rng, base, [
        (0.3, {}), (0.3, {}), (0.3, step), (0.3, wound), (0.17, contact), (0.2, follow), (0.3, follow),
        (0.4, back),
    ])  # fmt: skip


def _club(rng: np.random.Generator) -> Keys:
    base = (
        AT_EASE | pose(foot_x_l=0.13, foot_x_r=-0.13, pelvis_y=-0.07, pelvis_z=-0.06, pelvis_pitch=24,
        spine_flex=20, head_nod=8) | both(arm_flex=52, arm_out=-16, arm_in=22, elbow=14, fist=0.9, knee_out=6)
    )  # fmt: skip
    top = pose(
        pelvis_yaw=-34, spine_twist=-44, head_turn=55, arm_flex_l=92, arm_out_l=-34, elbow_l=22,
        arm_flex_r=78, arm_out_r=30, elbow_r=108, arm_in_r=-22, pelvis_x=-0.03, foot_pitch_l=10
    )  # fmt: skip
    hit = pose(pelvis_yaw=18, spine_twist=-4, pelvis_x=0.06, foot_pitch_r=14, head_nod=18)
    finish = pose(
        pelvis_yaw=62, spine_twist=42, spine_flex=2, pelvis_pitch=0, head_nod=0, head_turn=-30, pelvis_x=0.1,
        pelvis_y=-0.02, foot_pitch_r=62, foot_yaw_r=30.0, arm_flex_r=112, arm_out_r=-30, elbow_r=55,
        arm_flex_l=98, arm_out_l=40, elbow_l=112, arm_in_l=-20
    )  # fmt: skip
    return sequence(rng, base, [
        (0.7, {}), (0.4, {}), (0.75, top), (0.1, top), (0.24, hit), (0.26, finish), (0.5, finish),
    ])  # fmt: skip


_GUARD = (
    AT_EASE | both(arm_flex=42, arm_out=0, arm_in=30, elbow=132, fist=1.0, palm=10, knee_out=6) |
    pose(foot_z_l=0.22, foot_z_r=-0.2, foot_yaw_r=-42.0, foot_yaw_l=-8.0, pelvis_yaw=-24, spine_twist=-6,
    head_turn=26, pelvis_y=-0.09, spine_flex=16, head_nod=4, foot_pitch_r=16)
)  # fmt: skip
_JAB = pose(
    arm_flex_l=92, arm_out_l=2, arm_in_l=40, elbow_l=10, palm_l=60, spine_twist=-24, head_turn=42,
    pelvis_z=0.07
)  # fmt: skip
_CROSS = pose(
    arm_flex_r=92, arm_out_r=0, arm_in_r=40, elbow_r=10, palm_r=60, spine_twist=34, pelvis_yaw=6,
    head_turn=-28, pelvis_z=0.09, foot_pitch_r=42, spine_flex=20
)  # fmt: skip
_HOOK = pose(
    arm_out_l=72, arm_flex_l=48, arm_in_l=12, elbow_l=88, spine_twist=-34, pelvis_yaw=-36, head_turn=52,
    foot_pitch_l=20
)  # fmt: skip
_DUCK = pose(pelvis_y=-0.26, spine_flex=32, pelvis_pitch=12, pelvis_x=0.07, spine_side=12)


def box(rng: np.random.Generator) -> Performance:
    """Box: from the guard jabs, crosses, hooks and ducking, bouncing on the toes."""
    moves: list[tuple[float, Channels]] = [(0.2, {})]
    for blow in rng.choice(4, int(rng.integers(4, 8)), p=[0.4, 0.3, 0.2, 0.1]):
        moves += [
            (0.16, (_JAB, _CROSS, _HOOK, _DUCK)[blow]), (0.22, {}), (rng.uniform(0.05, 0.5),
            pose(pelvis_x=rng.uniform(-0.05, 0.05)))
        ]  # fmt: skip
    return perform(rng, sequence(rng, _GUARD, moves), sway=0.6)


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


_EVERYDAY = ("stand", "walk", "run", "turn", "reach", "sit", "squat", "dance")
ACTIVITIES: dict[str, Callable[[np.random.Generator], Performance]] = {
    **{name: getattr(everyday, name) for name in _EVERYDAY}, "jump": jump, "kick": kick, "throw": throw,
    "swing": swing, "box": box, "fall": everyday.fall,
}  # fmt: skip

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
