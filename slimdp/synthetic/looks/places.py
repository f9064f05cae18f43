"""Where on the body points lie, in the terms of tailors: along and around the trunk and the limbs."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from slimdp.surface import BodySurface

TORSO, HAND, FOOT, LEG, ARM, HEAD = range(6)
#: DensePose part 0..24 -> region.
_REGION_OF_PART = np.array([-1, *[TORSO] * 2, *[HAND] * 2, *[FOOT] * 2, *[LEG] * 8, *[ARM] * 8, *[HEAD] * 2])
_FRONT_PARTS = (2, 9, 10, 13, 14, 17, 18, 21, 22)
_SLABS = 12


@dataclass(frozen=True)
class Places:
    """N points of the average body. Limbs are told as if both were left ones, but for `left`."""

    point: np.ndarray  # (N, 3) metres, x to the person's left, y up, z to the front
    side: np.ndarray  # (N,) metres from the middle plane
    region: np.ndarray  # (N,) TORSO .. HEAD
    left: np.ndarray  # (N,) bool
    front: np.ndarray  # (N,) bool; false on head, hands and feet
    along: np.ndarray  # (N,) down the arm: 0 shoulder, 1 elbow, 2 wrist; 0 elsewhere
    up: np.ndarray  # (N,) metres: the height, or minus the way down the arm
    angle: np.ndarray  # (N,) radians about trunk or limb from its front or back: -pi/2 .. pi/2, 0 elsewhere
    around: np.ndarray  # (N,) metres about trunk or limb, from its front or back

    def __len__(self) -> int:
        return len(self.region)

    def take(self, which: np.ndarray) -> Places:
        """Some of the places: a mask (N,) or indices."""
        return Places(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True)
class Landmarks:
    """Joints, heights and the middle lines of trunk and limbs of the average body; metres."""

    eye: np.ndarray  # (3,) the left one
    ear: np.ndarray  # (3,) the left one
    nose: np.ndarray  # (3,)
    crown: np.ndarray  # (3,)
    throat: np.ndarray  # (3,)
    arm: np.ndarray  # (3, 3) left shoulder, elbow, wrist
    hip: float  # heights
    knee: float
    ankle: float
    floor: float
    trunk_line: np.ndarray  # (K, 4): height, then the middle's x = 0 and z, and the mean radius
    leg_line: np.ndarray  # (K, 4): height, middle x, z, radius
    arm_line: np.ndarray  # (K, 4): along, the middle's offset outwards and forwards from the joints, radius


def find_landmarks(surface: BodySurface) -> Landmarks:
    """Measure the average body; raises ValueError where the surface tells no keypoints."""
    wanted = ("left_eye", "left_ear", "nose", "head_top", "head_bottom", "left_shoulder", "left_wrist")
    if missing := ", ".join(name for name in wanted if name not in surface.keypoints):
        raise ValueError(f"surface {surface.name!r} has no keypoints {missing}: nobody can dress it")
    joint = {name: surface.vertices[vertex] for name, vertex in surface.keypoints.items()}
    arm = np.stack([joint[f"left_{name}"] for name in ("shoulder", "elbow", "wrist")])
    centre = surface.vertices[surface.faces].mean(axis=1)
    centre[:, 0] = np.abs(centre[:, 0])
    region = _REGION_OF_PART[surface.face_part]
    limb, trunk, leg = (centre[region == which] for which in (ARM, TORSO, LEG))
    along = along_arm(limb, arm)
    offset = _offset_from_arm(limb, along, arm)
    return Landmarks(
        eye=joint["left_eye"],
        ear=joint["left_ear"],
        nose=joint["nose"],
        crown=joint["head_top"],
        throat=joint["head_bottom"],
        arm=arm,
        hip=float(joint["left_hip"][1]),
        knee=float(joint["left_knee"][1]),
        ankle=float(joint["left_ankle"][1]),
        floor=float(surface.vertices[:, 1].min()),
        trunk_line=_middle_line(trunk[:, 1], trunk[:, [0, 2]] * [0, 1]) + [0, 0, 0, 0.06],
        leg_line=_middle_line(leg[:, 1], leg[:, [0, 2]]),
        arm_line=_middle_line(along, offset),
    )


def _middle_line(position: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(K, 4): position, middle (2) and mean radius of slabs of points with offsets `across` (N, 2)."""
    edges = np.linspace(position.min(), position.max(), _SLABS + 1)
    slab = np.clip(np.digitize(position, edges) - 1, 0, _SLABS - 1)
    rows = []
    for index in np.unique(slab):
        mine = across[slab == index]
        middle = (mine.min(axis=0) + mine.max(axis=0)) / 2
        radius = np.linalg.norm(mine - middle, axis=1).mean()
        rows.append([(edges[index] + edges[index + 1]) / 2, *middle, radius])
    return np.array(rows)


def along_arm(points: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """How far down the left arm points (N, 3) are: 0 shoulder, 1 elbow, 2 wrist; joints `arm` (3, 3)."""
    upper, lower = arm[1] - arm[0], arm[2] - arm[1]
    on_upper = ((points - arm[0]) @ upper) / (upper @ upper)
    on_lower = ((points - arm[1]) @ lower) / (lower @ lower)
    return np.where(on_upper < 1, on_upper, 1 + np.clip(on_lower, 0, None))


def _offset_from_arm(points: np.ndarray, along: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """Offsets (N, 2), outwards and to the front, from the line through the arm's joints."""
    lower = np.clip(along - 1, 0, None)[:, None]
    on_line = arm[0] + np.minimum(along, 1)[:, None] * (arm[1] - arm[0]) + lower * (arm[2] - arm[1])
    offset = points - on_line
    axis = arm[2] - arm[0]
    outwards = np.array([-axis[1], axis[0], 0]) / np.hypot(axis[0], axis[1])
    return np.column_stack([offset @ outwards, offset[:, 2]])


def find_places(points: np.ndarray, part: np.ndarray, marks: Landmarks) -> Places:
    """Tell where points (N, 3) metres of the average body's parts (N,) 1..24 lie."""
    region = _REGION_OF_PART[part]
    side = np.abs(points[:, 0])
    count = len(points)
    along, angle, around = np.zeros(count), np.zeros(count), np.zeros(count)
    up = points[:, 1].copy()
    trunk = region == TORSO
    x, y, z = points[trunk].T
    height, _, depth, radius = marks.trunk_line.T
    angle[trunk] = np.arctan2(x, np.abs(z - np.interp(y, height, depth)))
    around[trunk] = angle[trunk] * radius.mean()
    for which, line in ((LEG, marks.leg_line), (ARM, marks.arm_line)):
        mine = np.flatnonzero(region == which)
        mirrored = points[mine] * [0, 1, 1]
        mirrored[:, 0] = side[mine]
        if which == ARM:
            position = along[mine] = along_arm(mirrored, marks.arm)
            across = _offset_from_arm(mirrored, position, marks.arm)
            up[mine] = -position * np.linalg.norm(marks.arm[1] - marks.arm[0])
        else:
            position, across = mirrored[:, 1], mirrored[:, [0, 2]]
        middle = [np.interp(position, line[:, 0], line[:, column]) for column in (1, 2)]
        angle[mine] = np.arctan2(across[:, 0] - middle[0], np.abs(across[:, 1] - middle[1]))
        around[mine] = angle[mine] * line[:, 3].mean()
    left, front = points[:, 0] > 0, np.isin(part, _FRONT_PARTS)
    return Places(points, side, region, left, front, along, up, angle, around)
