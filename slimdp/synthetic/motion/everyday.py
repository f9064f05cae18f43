"""What people do all day, and how they dance and fall."""

from __future__ import annotations

import numpy as np

from slimdp.synthetic.motion.keys import (
    RUN_PITCH,
    WALK_PITCH,
    Gait,
    Keys,
    Loop,
    Performance,
    Standstill,
    Style,
    held,
    perform,
    random_sway,
    sequence,
)
from slimdp.synthetic.motion.solve import ARM_AT_EASE, AT_EASE, Channels, both, mirrored, pose

#: What a left arm does while its owner talks or waits.
GESTURES: dict[str, dict[str, float]] = {
    "hang": {},
    "talk": pose(arm_flex_l=18, arm_out_l=12, arm_in_l=5, elbow_l=85, palm_l=-45, wrist_l=-15),
    "explain": pose(arm_flex_l=38, arm_out_l=20, arm_in_l=-12, elbow_l=70, palm_l=-40, fist_l=0.1),
    "point": pose(arm_flex_l=75, arm_out_l=15, arm_in_l=10, elbow_l=15, palm_l=40, fist_l=0.6),
    "chin": pose(arm_flex_l=55, arm_out_l=2, arm_in_l=32, elbow_l=135, palm_l=-20, fist_l=0.5),
    "wave": pose(arm_flex_l=90, arm_out_l=75, arm_in_l=-5, elbow_l=95, palm_l=70, fist_l=0.0),
    "hip": pose(arm_flex_l=-22, arm_out_l=42, arm_in_l=42, elbow_l=92, palm_l=-20, wrist_l=35),
    "head": pose(arm_flex_l=105, arm_out_l=35, arm_in_l=28, elbow_l=138, palm_l=10),
}
_LEAN = pose(pelvis_x=0.055, pelvis_roll=-5, spine_side=6, pelvis_y=-0.015, foot_x_r=-0.05, foot_z_r=0.05)


def _gestures(rng: np.random.Generator, side: str, names: list[str], pause: tuple[float, float]) -> Keys:
    """One arm's gestures, again and again, with a pause between."""
    moves: list[tuple[float, Channels]] = []
    base = {f"{name}_l": value for name, value in ARM_AT_EASE.items()}
    for name in names:
        gesture = base | GESTURES[name]
        again = gesture | pose(
            elbow_l=gesture["elbow_l"] + 18, wrist_l=-25, arm_in_l=gesture["arm_in_l"] - 16
        )
        hold = rng.uniform(*pause)
        if name == "hang":
            moves += [(0.8, gesture), (hold, gesture)]
        else:
            moves += [(0.8, gesture), (0.35, again), (0.35, gesture), (hold, again)]
    if side == "r":
        moves = [(seconds, mirrored(pose)) for seconds, pose in moves]
    return sequence(rng, {}, moves)


def stand(rng: np.random.Generator) -> Performance:
    """Stand, shift the weight, and gesture."""
    arms = []
    # Whoever points does so with one arm: both stretched out are a sleepwalker's.
    for side, special in (("l", ["point", "chin", "wave", "hip", "head"]), ("r", ["chin", "hip", "explain"])):
        names = ["hang", "talk", "hang", str(rng.choice(special))]
        arms.append(_gestures(rng, side, [str(name) for name in rng.permutation(names)], (0.2, 0.9)))
    feet = pose(foot_yaw_l=9.0, foot_yaw_r=-9.0, foot_x_l=rng.uniform(-0.02, 0.08))
    shift = sequence(
        rng, feet, [(1.6, _LEAN), (1.2, _LEAN), (1.5, _LEAN | pose(pelvis_x=-0.03, pelvis_roll=4))]
    )
    look = sequence(rng, {}, [(0.7, pose(head_turn=25)), (1, pose(head_turn=-15, head_nod=8)), (1.1, {})])
    return perform(rng, *arms, shift, look)


_EASE = held(AT_EASE | pose(foot_yaw_l=5.0, foot_yaw_r=-5.0))


def _oval(rng: np.random.Generator, speed: float) -> Loop:
    """A loop that stays in the picture, at `speed` legs a second along its sides and slower in its bends."""
    width, depth = rng.uniform(0.45, 0.75), rng.uniform(0.75, 1.3)
    rate = speed / depth * rng.choice([-1, 1])
    return Loop(
        width, depth, float(rate), float(rng.uniform(0, 2 * np.pi)), (0.0, float(rng.uniform(-0.5, 0)))
    )


def walk(rng: np.random.Generator) -> Performance:
    """Walk an oval, at up to 1.4 m/s."""
    speed = rng.uniform(0.9, 1.6)  # legs a second
    path = _oval(rng, speed)
    style = Style(
        ground=rng.uniform(0.58, 0.64), lift=rng.uniform(0.05, 0.09), lift_at=0.35, pitch=WALK_PITCH,
        drop=rng.uniform(0.01, 0.035), bob=-0.014, stance_width=rng.uniform(0.04, 0.075),
        arms=rng.uniform(14, 32), elbow=rng.uniform(5, 28), elbow_swing=rng.uniform(6, 14),
        hips=rng.uniform(4, 9), lean=rng.uniform(0, 6),
    )  # fmt: skip
    gait = Gait(path, style, 0.9 * float(np.sqrt(speed / 1.4)), rng.uniform(0, 1))
    return Performance((_EASE, gait, random_sway(rng, 0.6)))


def run(rng: np.random.Generator) -> Performance:
    """Jog an oval, or on the spot."""
    speed = rng.uniform(1.8, 2.4)
    spot = rng.random() < 0.4
    style = Style(
        ground=rng.uniform(0.33, 0.4), lift=rng.uniform(0.2, 0.34), lift_at=0.4, pitch=RUN_PITCH,
        drop=rng.uniform(0.05, 0.08), bob=rng.uniform(0.022, 0.035), stance_width=rng.uniform(0.06, 0.09),
        arms=rng.uniform(28, 48), elbow=rng.uniform(65, 85), elbow_swing=rng.uniform(8, 20),
        hips=rng.uniform(5, 9), lean=rng.uniform(5, 9) if not spot else rng.uniform(0, 4),
    )  # fmt: skip
    path = Standstill(rng.uniform(-60, 60)) if spot else _oval(rng, speed)
    fists = held(both(fist=0.35, arm_out=6))
    gait = Gait(path, style, rng.uniform(1.25, 1.45), rng.uniform(0, 1))
    return Performance((_EASE, fists, gait, random_sway(rng, 0.6)))


def turn(rng: np.random.Generator) -> Performance:
    """Turn on the spot with small steps."""
    rate = rng.choice([-1, 1]) * rng.uniform(50, 110)
    path = Standstill(rng.uniform(-180, 180), float(rate))
    style = Style(
        ground=0.62, lift=0.05, lift_at=0.4,
        pitch=((0.0, -3.0), (0.1, 0.0), (0.45, 0.0), (0.65, 22.0), (0.9, 0.0)), drop=0.015, bob=-0.006,
        stance_width=0.02, arms=rng.uniform(3, 9), elbow=rng.uniform(8, 40), elbow_swing=4, hips=3, lean=2,
    )  # fmt: skip
    ahead = held(pose(head_turn=18 * np.sign(rate), spine_twist=10 * np.sign(rate)))
    names = [str(name) for name in rng.choice(["hang", "talk", "explain", "hip"], 2, replace=False)]
    arm = _gestures(rng, "l", names, (0.5, 1.0))
    gait = Gait(path, style, rng.uniform(0.8, 1.1), rng.uniform(0, 1))
    return Performance((_EASE, ahead, gait, arm, random_sway(rng)))


_UP = pose(
    arm_flex_r=168, arm_out_r=12, elbow_r=12, spine_side=9, head_nod=-28, foot_pitch_r=22, foot_pitch_l=14,
    pelvis_y=0.06, palm_r=40, fist_r=0.1
)  # fmt: skip
_FORWARD = pose(
    arm_flex_r=88, arm_out_r=4, elbow_r=10, spine_flex=20, pelvis_pitch=12, spine_twist=16, pelvis_z=0.07,
    head_nod=-14, palm_r=50, arm_flex_l=-18
)  # fmt: skip
_ASIDE = pose(
    arm_out_r=98, arm_flex_r=12, elbow_r=10, spine_side=-16, head_turn=-45, pelvis_x=-0.07, palm_r=60,
    arm_out_l=18
)  # fmt: skip
_FLOOR = pose(
    pelvis_y=-0.36, pelvis_z=-0.16, pelvis_pitch=42, spine_flex=44, head_nod=-18, arm_flex_r=70, arm_in_r=10,
    arm_flex_l=40, elbow_l=70, elbow_r=12, knee_out_l=14, knee_out_r=14, spine_twist=12
)  # fmt: skip
_HIGH_BOTH = _UP | pose(arm_flex_l=160, arm_out_l=16, elbow_l=20, spine_side=0)


def reach(rng: np.random.Generator) -> Performance:
    """Reach up, forwards, aside and to the floor, with the trunk going along."""
    choices = [_UP, _FORWARD, _ASIDE, _FLOOR, _HIGH_BOTH]
    moves: list[tuple[float, Channels]] = []
    for index in rng.choice(len(choices), 4, replace=False):
        target = choices[index] if rng.random() < 0.6 or index == 4 else mirrored(choices[index])
        moves += [(rng.uniform(0.7, 1.0), target), (rng.uniform(0.2, 0.6), target)]
        moves += [(rng.uniform(0.7, 0.9), {})]
    base = AT_EASE | pose(foot_x_l=0.04, foot_x_r=-0.04)
    return perform(rng, sequence(rng, base, moves))


def sit(rng: np.random.Generator) -> Performance:
    """Sit down on a stool that is not drawn, stay, and rise."""
    hands = both(arm_flex=38, arm_out=8, elbow=62, arm_in=14, palm=65)
    height = -rng.uniform(0.4, 0.5)
    seat = pose(pelvis_y=height, pelvis_z=-0.44, knee_out_l=8, knee_out_r=8)
    lean = pose(
        pelvis_z=-0.24, pelvis_y=-0.2, pelvis_pitch=30, spine_flex=28, head_nod=-18, arm_flex_l=38,
        arm_flex_r=38, elbow_l=30, elbow_r=30
    )  # fmt: skip
    upright = seat | hands | pose(pelvis_pitch=-4, spine_flex=6)
    chatting = upright | pose(
        spine_flex=24, head_nod=-14, head_turn=24, elbow_l=96, palm_l=-30, arm_flex_l=28
    )
    moves = [
        (0.6, {}), (0.4, {}), (0.5, lean), (0.55, upright), (0.5, upright), (0.8, chatting), (0.7, chatting),
        (0.8, upright), (0.6, lean | pose(pelvis_z=-0.2))
    ]  # fmt: skip
    base = AT_EASE | pose(foot_z_l=rng.uniform(-0.08, 0.06), foot_z_r=rng.uniform(-0.08, 0.06))
    return perform(rng, sequence(rng, base, moves))


def squat(rng: np.random.Generator) -> Performance:
    """Bend the knees and rise, as in the gym: squats, or lunges."""
    if rng.random() < 0.5:
        down = pose(
            pelvis_y=-rng.uniform(0.3, 0.47), pelvis_z=-0.17, pelvis_pitch=24, spine_flex=14, head_nod=-20,
            knee_out_l=24, knee_out_r=24, arm_flex_l=82, arm_flex_r=82, elbow_l=18, elbow_r=18
        )  # fmt: skip
        wide = rng.uniform(0.03, 0.12)
        base = AT_EASE | pose(foot_x_l=wide, foot_x_r=-wide, foot_yaw_l=18.0, foot_yaw_r=-18.0)
        moves: list[tuple[float, Channels]] = [(0.7, {}), (0.3, {}), (0.9, down), (0.25, down)]
    else:
        base = dict(AT_EASE)
        ahead = pose(foot_z_l=0.62, foot_z_r=0.0)
        step = pose(foot_z_l=0.35, foot_y_l=0.12, pelvis_z=0.14, foot_pitch_r=12, arm_flex_r=14)
        down = ahead | pose(
            pelvis_y=-rng.uniform(0.28, 0.38), pelvis_z=0.33, foot_pitch_r=50, spine_flex=6, elbow_l=70,
            elbow_r=80, arm_flex_r=25, arm_flex_l=-10
        )  # fmt: skip
        moves = [(0.45, {}), (0.3, {}), (0.4, step), (0.5, down), (0.25, down), (0.5, step)]
    return perform(rng, sequence(rng, base, moves))


_ARMS: tuple[dict[str, float], ...] = (
    pose(arm_flex=35, arm_out=20, arm_in=15, elbow=95),
    pose(arm_flex=150, arm_out=25, elbow=40),
    pose(arm_flex=10, arm_out=88, elbow=25),
    pose(arm_flex=85, arm_out=70, elbow=90),
    pose(arm_flex=-15, arm_out=30, arm_in=25, elbow=60),
    pose(arm_flex=80, arm_out=5, arm_in=20, elbow=45),
    pose(arm_flex=100, arm_out=40, arm_in=20, elbow=125),
    pose(arm_flex=15, arm_out=120, elbow=30),
)


def dance(rng: np.random.Generator) -> Performance:
    """Eight beats of steps, hips and arms, again and again; 95 to 135 beats a minute."""
    beat = 60 / rng.uniform(95, 135)
    arms = (_arms(rng, beat, side) for side in "lr")
    return perform(rng, _steps(rng, beat), _hips(rng, beat), *arms, sway=0.8)


def _steps(rng: np.random.Generator, beat: float) -> Keys:
    """Step aside with one foot and bring the other to it, then back: the feet, and the weight over them."""
    wide, high = rng.uniform(0.16, 0.34), rng.uniform(0.05, 0.14)
    kick = rng.uniform(0.0, 0.3) if rng.random() < 0.6 else 0.0  # the free foot swings forwards instead
    feet = pose(foot_yaw_l=9.0, foot_yaw_r=-9.0)
    left_over = feet | pose(foot_x_l=wide, foot_x_r=0.0, pelvis_x=0.5 * wide)
    both_left = feet | pose(foot_x_l=wide, foot_x_r=wide - 0.03, pelvis_x=wide, foot_pitch_r=25.0)
    both_left |= pose(foot_z_r=kick, foot_y_r=0.4 * kick)
    poses: list[Channels] = [
        feet | pose(foot_x_l=wide / 2, foot_y_l=high, pelvis_x=0.12 * wide),
        left_over,
        both_left | pose(foot_x_r=wide / 2, foot_y_r=high, foot_z_r=0.0, pelvis_x=0.9 * wide),
        both_left,
    ]
    # Moved aside, so that the mirror image of the way there begins where it ends.
    there = [pose(foot_x_l=0.0, foot_x_r=0.0) | step for step in poses]
    aside = {"foot_x_l": -wide, "foot_x_r": -wide, "pelvis_x": -wide}
    shifted = [{name: value + aside.get(name, 0.0) for name, value in step.items()} for step in there]
    return _on_the_beat(rng, beat, 0.5, poses + [mirrored(step) for step in shifted])


def _hips(rng: np.random.Generator, beat: float) -> Keys:
    """Down on every beat; hips and chest swing to every second."""
    depth, roll, twist = rng.uniform(0.03, 0.08), rng.uniform(3, 10), rng.uniform(4, 20)
    nod, flex = rng.uniform(0, 12), rng.uniform(4, 14)
    poses = []
    for index in range(8):
        side = 1 if index % 4 < 2 else -1
        down = index % 2
        poses.append(pose(
            pelvis_y=-0.02 - depth * down, pelvis_roll=side * roll, spine_side=-side * roll,
            spine_twist=side * twist * rng.uniform(0.7, 1.2), pelvis_yaw=-0.6 * side * twist,
            spine_flex=flex * (0.5 + down), head_nod=nod * down - 0.5 * flex, knee_out_l=10.0, knee_out_r=10.0
        ))  # fmt: skip
    return _on_the_beat(rng, beat, 0.5, poses)


def _arms(rng: np.random.Generator, beat: float, side: str) -> Keys:
    """A pose of the arm for every beat of eight, each answered by its neighbour."""
    poses = []
    first, second, third = (_ARMS[index] for index in rng.choice(len(_ARMS), 3, replace=False))
    for arm in (first, second, first, second, third, second, third, first):
        varied = ARM_AT_EASE | {name: value * rng.normal(1, 0.12) for name, value in arm.items()}
        poses.append({f"{name}_{side}": value for name, value in varied.items()})
    return _on_the_beat(rng, beat, 1.0, poses)


def _on_the_beat(rng: np.random.Generator, beat: float, beats: float, poses: list[Channels]) -> Keys:
    """Eight poses, a number of beats each, again and again; any beat may be the first."""
    keys = tuple((beats * beat * index, pose) for index, pose in enumerate(poses))
    return Keys(keys, 8 * beats * beat, float(rng.integers(0, 8)) * beat)


def fall(rng: np.random.Generator) -> Performance:
    """Stand, stumble, fall, and lie; a clip may begin at any stage of it."""
    direction, (x, z) = _DIRECTIONS[rng.integers(len(_DIRECTIONS))]
    start = rng.uniform(-1.4, 0.6)
    keys = sequence(rng, AT_EASE, [(0.0, {}), *direction(rng)], repeat=False, start=float(start))
    # Half of the way is before the origin, so that who lies is as much in the picture as who stands.
    place = pose(pelvis_x=x, pelvis_z=z) | both(foot_x=x, foot_z=z)
    return perform(rng, keys, held(place), sway=0.5)


def _backwards(rng: np.random.Generator) -> list[tuple[float, Channels]]:
    """Onto the seat, then the back."""
    stumble = (
        pose(pelvis_z=-0.16, pelvis_y=-0.08, pelvis_pitch=-14, spine_flex=18, foot_pitch_l=-14) |
        both(arm_flex=45, arm_out=42, elbow=40) | pose(foot_pitch_r=-14)
    )  # fmt: skip
    seated = (
        pose(pelvis_z=-0.55, pelvis_y=-0.8, pelvis_pitch=-32, spine_flex=38, foot_y_r=0.12, foot_z_r=0.1) |
        both(foot_pitch=-24, arm_flex=-30, arm_out=38, elbow=30, knee_out=14) | pose(head_nod=18)
    )  # fmt: skip
    lying = (
        pose(pelvis_z=-0.62, pelvis_y=-0.87, pelvis_pitch=-86, spine_flex=3, foot_pitch_l=-60, foot_z_l=0.32,
        foot_z_r=rng.uniform(-0.2, 0.3), foot_pitch_r=-25, arm_out_l=rng.uniform(20, 95),
        arm_out_r=rng.uniform(20, 95)) | both(arm_flex=-4, elbow=30) |
        pose(head_nod=8, head_turn=rng.uniform(-40, 40)) | both(knee_out=16)
    )  # fmt: skip
    return [(0.35, stumble), (0.42, seated), (0.4, lying), (2.0, lying)]


def _forwards(rng: np.random.Generator) -> list[tuple[float, Channels]]:
    """Onto the knees and hands, then flat."""
    stumble = (
        pose(pelvis_z=0.16, pelvis_y=-0.1, pelvis_pitch=22, spine_flex=14) | both(arm_flex=60, elbow=40) |
        both(foot_pitch=30)
    )  # fmt: skip
    kneeling = (
        pose(pelvis_z=0.4, pelvis_y=-0.46, pelvis_pitch=48) | both(foot_z=-0.04) |
        pose(spine_flex=12, head_nod=-30) | both(arm_flex=88, elbow=28, foot_pitch=75, arm_out=14)
    )  # fmt: skip
    lying = (
        pose(pelvis_z=0.74, pelvis_y=-0.86, pelvis_pitch=87) | both(foot_z=-0.46) |
        pose(spine_flex=-4, head_nod=-12, head_turn=rng.choice([-1, 1]) * rng.uniform(30, 60)) |
        both(foot_pitch=88, elbow=95, palm=40) |
        pose(arm_flex_l=rng.uniform(95, 150), arm_flex_r=rng.uniform(80, 150)) | both(arm_out=62)
    )  # fmt: skip
    return [(0.35, stumble), (0.4, kneeling), (0.35, lying), (2.0, lying)]


def _aside(rng: np.random.Generator) -> list[tuple[float, Channels]]:
    """Onto the left knee, hip and arm, then the side."""
    stumble = pose(
        pelvis_x=0.16, pelvis_y=-0.1, pelvis_roll=14, spine_side=-12, foot_y_r=0.1, foot_x_r=-0.06,
        arm_out_r=62, arm_out_l=40, elbow_r=30
    )  # fmt: skip
    seated = pose(
        pelvis_x=0.5, pelvis_y=-0.72, pelvis_roll=42, spine_side=-8, foot_x_r=0.08, foot_y_r=0.1,
        foot_pitch_l=20, arm_out_l=62, arm_out_r=55, pelvis_pitch=12, spine_flex=22
    )  # fmt: skip
    lying = (
        pose(pelvis_x=0.72, pelvis_y=-0.8, pelvis_roll=86, spine_flex=18, pelvis_pitch=4, foot_z_l=0.1,
        foot_y_r=0.14, foot_z_r=rng.uniform(-0.15, 0.3), foot_x_r=0.18, arm_flex_l=rng.uniform(90, 150),
        arm_flex_r=rng.uniform(30, 80)) | both(elbow=60) | pose(head_tilt=14, arm_out_l=10) |
        both(foot_pitch=35)
    )  # fmt: skip
    return [(0.35, stumble), (0.42, seated), (0.36, lying), (2.0, lying)]


#: How somebody falls, and legs x and z from the origin to where one stands before it.
_DIRECTIONS = ((_backwards, (0.0, 0.5)), (_forwards, (0.0, -0.5)), (_aside, (-0.4, 0.0)))
