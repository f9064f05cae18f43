"""Dance: steps from side to side on the beat, with arms and hips that change from bar to bar."""

from __future__ import annotations

import numpy as np

from slimdp.synthetic.motion.channels import AT_EASE, Channels, mirrored
from slimdp.synthetic.motion.keys import Keys, Performance, random_sway

_ARMS: tuple[dict[str, float], ...] = (
    {"arm_flex": 35, "arm_out": 20, "arm_in": 15, "elbow": 95},
    {"arm_flex": 150, "arm_out": 25, "elbow": 40},
    {"arm_flex": 10, "arm_out": 88, "elbow": 25},
    {"arm_flex": 85, "arm_out": 70, "elbow": 90},
    {"arm_flex": -15, "arm_out": 30, "arm_in": 25, "elbow": 60},
    {"arm_flex": 80, "arm_out": 5, "arm_in": 20, "elbow": 45},
    {"arm_flex": 100, "arm_out": 40, "arm_in": 20, "elbow": 125},
    {"arm_flex": 15, "arm_out": 120, "elbow": 30},
)


def dance(rng: np.random.Generator) -> Performance:
    """Eight beats of steps, hips and arms, again and again; 95 to 135 beats a minute."""
    beat = 60 / rng.uniform(95, 135)
    return Performance(
        (
            _steps(rng, beat),
            _hips(rng, beat),
            *(_arms(rng, beat, side) for side in "lr"),
            random_sway(rng, 0.8),
        ),
        mirror=rng.random() < 0.5,
    )


def _steps(rng: np.random.Generator, beat: float) -> Keys:
    """Step aside with one foot and bring the other to it, then back: the feet, and the weight over them."""
    wide, high = rng.uniform(0.16, 0.34), rng.uniform(0.05, 0.14)
    kick = rng.uniform(0.0, 0.3) if rng.random() < 0.6 else 0.0  # the free foot swings forwards instead
    feet = {"foot_yaw_l": 9.0, "foot_yaw_r": -9.0}
    left_over = {**feet, "foot_x_l": wide, "foot_x_r": 0.0, "pelvis_x": 0.5 * wide}
    both_left = {**feet, "foot_x_l": wide, "foot_x_r": wide - 0.03, "pelvis_x": wide, "foot_pitch_r": 25.0}
    both_left |= {"foot_z_r": kick, "foot_y_r": 0.4 * kick}
    poses: list[Channels] = [
        {**feet, "foot_x_l": wide / 2, "foot_y_l": high, "pelvis_x": 0.12 * wide},
        left_over,
        {**both_left, "foot_x_r": wide / 2, "foot_y_r": high, "foot_z_r": 0.0, "pelvis_x": 0.9 * wide},
        both_left,
    ]
    poses += [mirrored(_shifted(pose, -wide)) for pose in poses]
    return Keys(
        tuple((0.5 * beat * index, pose) for index, pose in enumerate(poses)), 4 * beat, _start(rng, beat)
    )


def _shifted(pose: Channels, x: float) -> dict[str, float]:
    """The pose moved aside, so that its mirror image begins where the pose ends."""
    return {
        name: value + (x if name in ("foot_x_l", "foot_x_r", "pelvis_x") else 0.0)
        for name, value in ({"foot_x_l": 0.0, "foot_x_r": 0.0} | dict(pose)).items()
    }


def _hips(rng: np.random.Generator, beat: float) -> Keys:
    """Down on every beat; hips and chest swing to every second."""
    depth, roll, twist = rng.uniform(0.03, 0.08), rng.uniform(3, 10), rng.uniform(4, 20)
    nod, flex = rng.uniform(0, 12), rng.uniform(4, 14)
    keys = []
    for index in range(8):
        side = 1 if index % 4 < 2 else -1
        down = index % 2
        pose = {
            "pelvis_y": -0.02 - depth * down, "pelvis_roll": side * roll, "spine_side": -side * roll,
            "spine_twist": side * twist * rng.uniform(0.7, 1.2), "pelvis_yaw": -0.6 * side * twist,
            "spine_flex": flex * (0.5 + down), "head_nod": nod * down - 0.5 * flex, "knee_out_l": 10.0,
            "knee_out_r": 10.0,
        }  # fmt: skip
        keys.append((0.5 * beat * index, pose))
    return Keys(tuple(keys), 4 * beat, _start(rng, beat))


def _arms(rng: np.random.Generator, beat: float, side: str) -> Keys:
    """A pose of the arm for every beat of eight, each answered by its neighbour."""
    keys = []
    base = {
        name[:-2]: value for name, value in AT_EASE.items() if name.endswith("_l") and name != "foot_yaw_l"
    }
    first, second, third = (_ARMS[index] for index in rng.choice(len(_ARMS), 3, replace=False))
    for index, arm in enumerate((first, second, first, second, third, second, third, first)):
        pose = base | {name: value * rng.normal(1, 0.12) for name, value in arm.items()}
        keys.append((beat * index, {f"{name}_{side}": value for name, value in pose.items()}))
    return Keys(tuple(keys), 8 * beat, _start(rng, beat))


def _start(rng: np.random.Generator, beat: float) -> float:
    return float(rng.integers(0, 8)) * beat
