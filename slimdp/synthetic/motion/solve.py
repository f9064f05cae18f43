"""From channels, which say how far joints bend, to a pose whose feet stand on the floor."""

from __future__ import annotations

import numpy as np

from slimdp.synthetic.person import SIDES, Build, Person, Pose, cross, limb_frame, local_rotations

#: Name -> degrees, legs (the unit of length) or a share, in the order in which chance is drawn for them.
Channels = dict[str, float]

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


def pose(**channels: float) -> Channels:
    """Channels by name."""
    return channels


def both(**channels: float) -> Channels:
    """The same channels on the left and on the right."""
    return {f"{name}_{side}": value for name, value in channels.items() for side in "lr"}


#: Standing at ease. Channels that are not here are 0 there.
ARM_AT_EASE = pose(arm_out=4.0, arm_flex=2.0, arm_in=12.0, elbow=14.0, fist=0.3, palm=20.0)
AT_EASE = both(**ARM_AT_EASE) | pose(foot_yaw_l=9.0, foot_yaw_r=-9.0)


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


#: Shares of thigh and calf together. A leg is never quite straight, and comes there gently: the angle of the
#: knee changes without bound as the foot gets out of reach.
_LONGEST = 0.9995
_SLOWS = 0.025
_STANDING = 0.9995
_SHORTEST = 0.42  # the knee bent by 140 degrees
_SOFT = 0.015  # metres within which the pelvis gives way to a leg that is stretched
_FINGER_BEND = {"01": 60.0, "02": 80.0, "03": 45.0}  # degrees in a fist
_TOES_BEND = 45.0  # degrees


def solve(channels: Channels, person: Person) -> Pose:
    """The pose in which the channels' feet stand where they say, and every joint is within its limits.

    A pelvis that is too far from a foot is lowered until the leg reaches.
    """
    build = person.build
    world = trunk(channels)
    ankles = {}
    for side in SIDES:
        ankles[side], foot = _foot(build, side, channels)
        bend = min(max(_degrees(channels, f"foot_pitch_{side}"), 0.0), _TOES_BEND)
        world[f"foot_{side}"], world[f"ball_{side}"] = foot, foot @ turn("x", -np.deg2rad(bend))
    at = _pelvis_position(build, channels, world["pelvis"], ankles)
    for side, sign in SIDES.items():
        hip = at + world["pelvis"] @ (build.joints[f"thigh_{side}"] - build.joints["pelvis"])
        sideways = world["pelvis"] @ turn("y", sign * _angle(channels, f"knee_out_{side}"))[:, 0]
        thigh, calf = reach_leg(build, side, hip, ankles[side], sideways)
        world[f"thigh_{side}"], world[f"calf_{side}"] = thigh, calf
        add_arm(world, build, side, channels)
        add_fingers(world, build, side, channels)
    air = max(min(channels.get(f"foot_y_{side}", 0.0) for side in SIDES), 0.0) * build.leg
    rest = build.joints["pelvis"]
    return Pose(local_rotations(world), position=(at[0] - rest[0], air, at[2] - rest[2]))


_ARM = ("arm_flex", "arm_out", "arm_in", "elbow", "palm", "wrist")


def _degrees(channels: Channels, name: str) -> float:
    """A channel within its limits; 0 if it is not there."""
    base = name[:-2] if name.endswith(("_l", "_r")) else name
    value = channels.get(name, 0.0)
    return within(value, LIMITS[base]) if base in LIMITS else value


def _angle(channels: Channels, name: str) -> float:
    return float(np.deg2rad(_degrees(channels, name)))


def trunk(channels: Channels) -> dict[str, np.ndarray]:
    """World rotations (3, 3) of pelvis, spine, neck and head; each bend is spread over its bones."""

    def bent(*names: str, share: float = 1.0) -> np.ndarray:
        forward, left, side = (share * _angle(channels, name) for name in names)
        return turn("y", left) @ turn("x", forward) @ turn("z", -side)

    world = {"pelvis": bent("pelvis_pitch", "pelvis_yaw", "pelvis_roll")}
    third = bent("spine_flex", "spine_twist", "spine_side", share=1 / 3)
    half = bent("head_nod", "head_turn", "head_tilt", share=1 / 2)
    above = world["pelvis"]
    for bone in ("spine_01", "spine_02", "spine_03", "neck_01", "head"):
        above = above @ (third if bone.startswith("spine") else half)
        world[bone] = above
    return world


def _foot(build: Build, side: str, channels: Channels) -> tuple[np.ndarray, np.ndarray]:
    """Where the ankle is (3,) metres, and how the foot is turned (3, 3): heel up by its pitch.

    A foot whose heel is up stands on its ball, one whose toes are up on its heel.
    """
    pitch = _degrees(channels, f"foot_pitch_{side}")
    ankle, ball = build.joints[f"foot_{side}"], build.joints[f"ball_{side}"]
    turned = turn("y", np.deg2rad(channels.get(f"foot_yaw_{side}", 0.0)))
    foot = turned @ turn("x", np.deg2rad(pitch))
    up = np.array([0, build.ankle, 0])
    forward = ball - ankle if pitch > 0 else np.array([0, 0, -build.heel])
    pivot = forward * [1, 0, 1]
    hip = build.joints[f"thigh_{side}"]
    x, y, z = (build.leg * channels.get(f"foot_{axis}_{side}", 0.0) for axis in "xyz")
    base = np.array([hip[0] + x, y, z])
    return base + turned @ pivot + foot @ (up - pivot), foot


def _pelvis_position(
    build: Build, channels: Channels, pelvis: np.ndarray, ankles: dict[str, np.ndarray]
) -> np.ndarray:
    """Where the pelvis's joint is (3,) metres; low enough for both legs."""
    reach = _STANDING * (build.thigh + build.calf)
    x, z = (build.leg * channels.get(f"pelvis_{axis}", 0.0) for axis in "xz")
    hips = {side: pelvis @ (build.joints[f"thigh_{side}"] - build.joints["pelvis"]) for side in SIDES}
    standing = _SOFT / 2 + build.ankle + reach + build.joints["pelvis"][1] - build.joints["thigh_l"][1]
    height = standing + build.leg * channels.get("pelvis_y", 0.0)
    for side, offset in hips.items():
        away = np.hypot(*(ankles[side] - offset)[[0, 2]] - [x, z])
        limit = ankles[side][1] - offset[1] + np.sqrt(max(reach**2 - away**2, 0.0))
        height = smooth_min(height, limit, _SOFT)
    return np.array([x, height, z])


def reach_leg(
    build: Build, side: str, hip: np.ndarray, ankle: np.ndarray, sideways: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations of thigh and calf (3, 3) that bring a leg from its hip to the ankle; its knee goes forwards.

    Hip and ankle (3,) metres; an ankle that is out of reach is only pointed at. The knee bends about what of
    `sideways` (3,), unit, to the person's left, is across the leg.
    """
    thigh, calf = build.thigh, build.calf
    down = ankle - hip
    distance = float(np.linalg.norm(down))
    along = down / distance
    straight = thigh + calf
    distance = smooth_max(distance, _SHORTEST * straight, 0.05)
    distance = smooth_min(distance, _LONGEST * straight, _SLOWS * straight)
    cosine = (thigh**2 + distance**2 - calf**2) / (2 * thigh * distance)
    hinge = sideways - (sideways @ along) * along
    hinge = hinge / np.linalg.norm(hinge)
    sine = np.sqrt(1 - cosine**2)
    upper = cosine * along + sine * cross(along, hinge)
    lower = distance * along - thigh * upper
    return (
        limb_frame(upper, hinge) @ build.frames[f"thigh_{side}"].T,
        limb_frame(lower, hinge) @ build.frames[f"calf_{side}"].T,
    )


def add_arm(world: dict[str, np.ndarray], build: Build, side: str, channels: Channels) -> None:
    """Put collar bone, arm and hand at their angles."""
    angles = {name: _angle(channels, f"{name}_{side}") for name in _ARM}
    chest, sign = world["spine_03"], SIDES[side]
    flex, out = angles["arm_flex"], angles["arm_out"]
    beside = _fade(abs(flex), np.deg2rad(20), np.deg2rad(65))
    clear = beside * build.arm_clearance[side] - (1 - beside) * np.deg2rad(40)
    out = smooth_max(out, clear, np.deg2rad(6))
    turned = turn("x", -flex) @ turn("z", sign * out) @ turn("y", -sign * angles["arm_in"])
    upper = -turned[:, 1]
    # The shoulder blade does a third of what raises an arm, and some of what brings it forward.
    lift = 0.5 * (1 + upper[1])
    collar = turn("z", sign * np.deg2rad(32) * lift**2) @ turn("y", -sign * np.deg2rad(14) * upper[2])
    world[f"clavicle_{side}"] = chest @ collar
    frame = chest @ turned
    hinge = -frame[:, 0]
    world[f"upperarm_{side}"] = limb_frame(-frame[:, 1], hinge) @ build.frames[f"upperarm_{side}"].T
    cos, sin = np.cos(angles["elbow"]), np.sin(angles["elbow"])
    lower = cos * -frame[:, 1] + sin * frame[:, 2]
    forearm = limb_frame(lower, hinge)
    rest = build.frames[f"lowerarm_{side}"]
    world[f"lowerarm_{side}"] = forearm @ rest.T
    # In the forearm's frame: x along it, y the elbow's hinge.
    hand = turn("x", sign * angles["palm"]) @ turn("z", sign * angles["wrist"])
    world[f"hand_{side}"] = forearm @ hand @ rest.T


def add_fingers(world: dict[str, np.ndarray], build: Build, side: str, channels: Channels) -> None:
    """Bend the fingers towards a fist."""
    hand, fist = world[f"hand_{side}"], _degrees(channels, f"fist_{side}")
    for finger in ("index", "middle", "ring", "pinky"):
        first, second, third = (build.joints[f"{finger}_{joint}_{side}"] for joint in ("01", "02", "03"))
        axis = cross(second - first, third - second)
        axis = axis / np.linalg.norm(axis)
        bent = hand
        for joint, most in _FINGER_BEND.items():
            bent = bent @ turn_about(axis, np.deg2rad(most * fist))
            world[f"{finger}_{joint}_{side}"] = bent


def _fade(value: float, start: float, end: float) -> float:
    """1 up to start, 0 from end, smooth between."""
    share = min(max((value - start) / (end - start), 0.0), 1.0)
    return 1 - share * share * (3 - 2 * share)


def turn(axis: str, angle: float) -> np.ndarray:
    """The rotation (3, 3) about x, y or z by an angle in radians: about x, y goes to z, and so on round."""
    c, s, rows = np.cos(angle), np.sin(angle), np.eye(3)
    first, second = ("xyz".index(axis) + 1) % 3, ("xyz".index(axis) + 2) % 3
    rows[first, first] = rows[second, second] = c
    rows[first, second], rows[second, first] = -s, s
    return rows


def turn_about(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation (3, 3) about a unit axis (3,) by an angle in radians (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
