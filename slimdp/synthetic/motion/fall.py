"""Falls: backwards, forwards or aside, and lying still after."""

from __future__ import annotations

import numpy as np

from slimdp.synthetic.motion.channels import AT_EASE, Channels, both
from slimdp.synthetic.motion.keys import Keys, Performance, random_sway, sequence


def fall(rng: np.random.Generator) -> Performance:
    """Stand, stumble, fall, and lie; a clip may begin at any stage of it."""
    direction, (x, z) = _DIRECTIONS[rng.integers(len(_DIRECTIONS))]
    start = rng.uniform(-1.4, 0.6)
    keys = sequence(rng, AT_EASE, [(0.0, {}), *direction(rng)], repeat=False, start=float(start))
    # Half of the way is before the origin, so that who lies is as much in the picture as who stands.
    place = {"pelvis_x": x, "pelvis_z": z} | both(foot_x=x, foot_z=z)
    return Performance((keys, Keys(((0.0, place),)), random_sway(rng, 0.5)), mirror=rng.random() < 0.5)


def _backwards(rng: np.random.Generator) -> list[tuple[float, Channels]]:
    """Onto the seat, then the back."""
    stumble = {
        "pelvis_z": -0.16, "pelvis_y": -0.08, "pelvis_pitch": -14, "spine_flex": 18, "foot_pitch_l": -14,
        **both(arm_flex=45, arm_out=42, elbow=40), "foot_pitch_r": -14,
    }  # fmt: skip
    seated = {
        "pelvis_z": -0.55, "pelvis_y": -0.8, "pelvis_pitch": -32, "spine_flex": 38, "foot_y_r": 0.12,
        "foot_z_r": 0.1, **both(foot_pitch=-24, arm_flex=-30, arm_out=38, elbow=30, knee_out=14),
        "head_nod": 18,
    }  # fmt: skip
    lying = {
        "pelvis_z": -0.62, "pelvis_y": -0.87, "pelvis_pitch": -86, "spine_flex": 3, "foot_pitch_l": -60,
        "foot_z_l": 0.32, "foot_z_r": rng.uniform(-0.2, 0.3), "foot_pitch_r": -25,
        "arm_out_l": rng.uniform(20, 95), "arm_out_r": rng.uniform(20, 95), **both(arm_flex=-4, elbow=30),
        "head_nod": 8, "head_turn": rng.uniform(-40, 40), **both(knee_out=16),
    }  # fmt: skip
    return [(0.35, stumble), (0.42, seated), (0.4, lying), (2.0, lying)]


def _forwards(rng: np.random.Generator) -> list[tuple[float, Channels]]:
    """Onto the knees and hands, then flat."""
    stumble = {
        "pelvis_z": 0.16, "pelvis_y": -0.1, "pelvis_pitch": 22, "spine_flex": 14,
        **both(arm_flex=60, elbow=40), **both(foot_pitch=30),
    }  # fmt: skip
    kneeling = {
        "pelvis_z": 0.4, "pelvis_y": -0.46, "pelvis_pitch": 48, **both(foot_z=-0.04), "spine_flex": 12,
        "head_nod": -30, **both(arm_flex=88, elbow=28, foot_pitch=75, arm_out=14),
    }  # fmt: skip
    lying = {
        "pelvis_z": 0.74, "pelvis_y": -0.86, "pelvis_pitch": 87, **both(foot_z=-0.46), "spine_flex": -4,
        "head_nod": -12, "head_turn": rng.choice([-1, 1]) * rng.uniform(30, 60),
        **both(foot_pitch=88, elbow=95, palm=40), "arm_flex_l": rng.uniform(95, 150),
        "arm_flex_r": rng.uniform(80, 150), **both(arm_out=62),
    }  # fmt: skip
    return [(0.35, stumble), (0.4, kneeling), (0.35, lying), (2.0, lying)]


def _aside(rng: np.random.Generator) -> list[tuple[float, Channels]]:
    """Onto the left knee, hip and arm, then the side."""
    stumble = {
        "pelvis_x": 0.16, "pelvis_y": -0.1, "pelvis_roll": 14, "spine_side": -12, "foot_y_r": 0.1,
        "foot_x_r": -0.06, "arm_out_r": 62, "arm_out_l": 40, "elbow_r": 30,
    }  # fmt: skip
    seated = {
        "pelvis_x": 0.5, "pelvis_y": -0.72, "pelvis_roll": 42, "spine_side": -8, "foot_x_r": 0.08,
        "foot_y_r": 0.1, "foot_pitch_l": 20, "arm_out_l": 62, "arm_out_r": 55, "pelvis_pitch": 12,
        "spine_flex": 22,
    }  # fmt: skip
    lying = {
        "pelvis_x": 0.72, "pelvis_y": -0.8, "pelvis_roll": 86, "spine_flex": 18, "pelvis_pitch": 4,
        "foot_z_l": 0.1, "foot_y_r": 0.14, "foot_z_r": rng.uniform(-0.15, 0.3), "foot_x_r": 0.18,
        "arm_flex_l": rng.uniform(90, 150), "arm_flex_r": rng.uniform(30, 80), **both(elbow=60),
        "head_tilt": 14, "arm_out_l": 10, **both(foot_pitch=35),
    }  # fmt: skip
    return [(0.35, stumble), (0.42, seated), (0.36, lying), (2.0, lying)]


#: How somebody falls, and legs x and z from the origin to where one stands before it.
_DIRECTIONS = ((_backwards, (0.0, 0.5)), (_forwards, (0.0, -0.5)), (_aside, (-0.4, 0.0)))
