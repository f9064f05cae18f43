"""From the angles of all joints, legs too, to a pose: for bodies that do not stand on their feet.

Channels as in `solve`, and of each leg, in degrees: `hip_flex` lifts the thigh forwards, `hip_out` sideways,
`hip_turn` turns the foot outwards about the thigh; `knee` bends the calf back; `ankle` points the toes.
"""

from __future__ import annotations

import numpy as np

from slimdp.synthetic.motion.solve import LIMITS, Channels, add_arm, add_fingers, trunk, turn, within
from slimdp.synthetic.person import SIDES, Build, limb_frame

#: Channel -> (lowest, highest) degrees of adults' hips, knees and ankles, without "_l" and "_r": about the
#: ranges of the American Academy of Orthopaedic Surgeons (Joint Motion, 1965), knees as of who squats.
LEG_LIMITS = {
    "hip_flex": (-25.0, 125.0), "hip_out": (-25.0, 60.0), "hip_turn": (-40.0, 60.0),
    "knee": (0.0, 150.0), "ankle": (-25.0, 55.0), "toes": (0.0, 60.0),
}  # fmt: skip
#: Of all channels.
JOINT_LIMITS = {**LIMITS, **LEG_LIMITS}


def limits_of(name: str) -> tuple[float, float]:
    """The limits of a channel, in degrees; none for the way the whole body is turned."""
    base = name[:-2] if name.endswith(("_l", "_r")) else name
    return JOINT_LIMITS.get(base, (-np.inf, np.inf))


def bone_rotations(channels: Channels, build: Build) -> dict[str, np.ndarray]:
    """World rotations (3, 3) of all bones that channels turn; every joint is within its limits."""
    world = trunk(channels)
    for side in SIDES:
        _add_leg(world, build, side, channels)
        add_arm(world, build, side, channels)
        add_fingers(world, build, side, channels)
    return world


def leg_angle(channels: Channels, name: str, side: str) -> float:
    """A channel of a leg in radians, within its limits."""
    value = channels.get(f"{name}_{side}", 0.0)
    return float(np.deg2rad(within(value, LEG_LIMITS[name])))


def _add_leg(world: dict[str, np.ndarray], build: Build, side: str, channels: Channels) -> None:
    sign = SIDES[side]
    flex, out, turned, knee, ankle, toes = (leg_angle(channels, name, side) for name in LEG_LIMITS)
    thigh = world["pelvis"] @ turn("x", -flex) @ turn("z", sign * out) @ turn("y", sign * turned)
    calf = thigh @ turn("x", knee)
    for bone, axes in (("thigh", thigh), ("calf", calf)):
        frame = limb_frame(-axes[:, 1], axes[:, 0])
        world[f"{bone}_{side}"] = frame @ build.frames[f"{bone}_{side}"].T
    foot = calf @ turn("x", ankle)
    world[f"foot_{side}"], world[f"ball_{side}"] = foot, foot @ turn("x", -toes)
