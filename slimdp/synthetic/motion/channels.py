"""The channels of a motion: what an activity may steer, how far the body lets it, and how to mirror it.

Angles are degrees, lengths are in legs (hip to sole). "flex" brings a limb to the front, "out" away from the
body, "in" inwards; "side" and "roll" lean to the person's left, "twist", "turn" and "yaw" turn to the left.
Feet and pelvis are measured on the floor, in a frame that does not turn with the body.
"""

from __future__ import annotations

from collections.abc import Mapping

Channels = Mapping[str, float]

#: Channel -> (lowest, highest) degrees of adults' joints, without "_l" and "_r".
LIMITS = {
    "spine_flex": (-25.0, 65.0), "spine_twist": (-45.0, 45.0), "spine_side": (-30.0, 30.0),
    "head_nod": (-45.0, 45.0), "head_turn": (-65.0, 65.0), "head_tilt": (-30.0, 30.0),
    "arm_flex": (-55.0, 175.0), "arm_out": (-35.0, 165.0), "arm_in": (-80.0, 75.0),
    "elbow": (4.0, 145.0), "palm": (-75.0, 80.0), "wrist": (-55.0, 60.0), "fist": (0.0, 1.0),
    "foot_pitch": (-90.0, 90.0), "knee_out": (-20.0, 50.0),
}  # fmt: skip
#: Channels of the middle of the body that change their sign in a mirror.
_LATERAL = (
    "pelvis_x", "pelvis_yaw", "pelvis_roll", "spine_twist", "spine_side", "head_turn", "head_tilt",
)  # fmt: skip
_LATERAL_OF_A_FOOT = ("foot_x", "foot_yaw")  # to the left, on both sides

#: Standing at ease. Channels that are not here are 0 there.
AT_EASE = {
    "arm_out_l": 4.0, "arm_out_r": 4.0, "arm_flex_l": 2.0, "arm_flex_r": 2.0, "arm_in_l": 12.0,
    "arm_in_r": 12.0, "elbow_l": 14.0, "elbow_r": 14.0, "fist_l": 0.3, "fist_r": 0.3, "palm_l": 20.0,
    "palm_r": 20.0, "foot_yaw_l": 9.0, "foot_yaw_r": -9.0,
}  # fmt: skip


def within(value: float, limits: tuple[float, float]) -> float:
    """A value bent softly into its limits; more than a tenth of the range inside it is unchanged."""
    low, high = limits
    soft = 0.1 * (high - low)
    return smooth_max(low, smooth_min(high, value, soft), soft)


def smooth_min(a: float, b: float, soft: float) -> float:
    """The lesser of two, once differentiable; below it by at most soft / 4, where they are equal."""
    near = max(soft - abs(a - b), 0.0) / soft
    return min(a, b) - near * near * soft / 4


def smooth_max(a: float, b: float, soft: float) -> float:
    """The greater of two, once differentiable; above it by at most soft / 4, where they are equal."""
    return -smooth_min(-a, -b, soft)


def mirrored(channels: Channels) -> dict[str, float]:
    """The same as a mirror shows it: left and right change places."""
    out = {}
    for name, value in channels.items():
        base, side = (name[:-2], name[-2:]) if name.endswith(("_l", "_r")) else (name, "")
        sign = -1 if base in _LATERAL or base in _LATERAL_OF_A_FOOT else 1
        out[base + {"_l": "_r", "_r": "_l", "": ""}[side]] = sign * value
    return out


def both(**channels: float) -> dict[str, float]:
    """The same channels on the left and on the right."""
    return {f"{name}_{side}": value for name, value in channels.items() for side in "lr"}
