"""A person: a body shape, and its skin in any pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from slimdp.surface import makehuman
from slimdp.surface.open_body import keypoint_joints
from slimdp.synthetic.build import Build, measure_build
from slimdp.synthetic.skinning import TWIST_AT_ROOT, blend, helper_rotation, twist_bones


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class Person:
    """A body in its rest pose, ready to be posed; metres, x to the person's left, y up, z to the front."""

    skin: np.ndarray  # (V, 3) float64
    joints: np.ndarray  # (J, 3) the head of each bone
    build: Build  # measures for motions
    keypoints: dict[str, np.ndarray]  # name -> (3,) in the rest pose
    keypoint_bones: dict[str, int]  # the bone that carries it


def make_person(shape: makehuman.BodyShape) -> Person:
    """A person of this shape, standing on y = 0."""
    vertices = makehuman.shaped_vertices(shape)
    vertices = vertices - [0, vertices[: makehuman.BODY_VERTICES, 1].min(), 0]
    rig = makehuman.rig()
    joints = np.stack([vertices[index].mean(axis=0) for index in rig.head_vertices])
    skin = vertices[: makehuman.BODY_VERTICES]
    keypoints = keypoint_joints(vertices)
    carrier = {}
    for name, point in keypoints.items():
        nearest = np.linalg.norm(skin - point, axis=1).argmin()
        carrier[name] = int(rig.weights[nearest].argmax())
    return Person(skin, joints, measure_build(joints, skin), keypoints, carrier)


@dataclass(frozen=True)
class Pose:
    """Rotations of bones about their joints, in the axes of the rest pose, and where the whole body is.

    Turning the bone "pelvis" tips the whole body over. `position` moves the body as it stands in the rest
    pose, except that y is how high its lowest point is over the floor: 0 unless it is in the air.
    """

    rotations: dict[str, np.ndarray]  # bone -> rotation vector (3,), radians
    yaw: float = 0.0  # radians about y; 0 looks to +z
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres, added last


@dataclass(frozen=True)
class PosedPerson:
    """A person's skin and keypoints in the world, metres."""

    skin: np.ndarray  # (V, 3)
    keypoints: dict[str, np.ndarray]  # name -> (3,)


def pose_person(person: Person, pose: Pose) -> PosedPerson:
    """Pose a person; its lowest point is put at y = position y, the floor being y = 0."""
    rotations, offsets = _bone_transforms(person, pose)
    skin = blend(rotations, offsets, _bone_parents(), person.skin)
    keypoints = {
        name: rotations[bone] @ person.keypoints[name] + offsets[bone]
        for name, bone in person.keypoint_bones.items()
    }
    turn = Rotation.from_rotvec([0, pose.yaw, 0]).as_matrix()
    skin = skin @ turn.T
    offset = np.array(pose.position) - [0, skin[:, 1].min(), 0]
    return PosedPerson(skin + offset, {name: turn @ point + offset for name, point in keypoints.items()})


def _bone_parents() -> np.ndarray:
    """(J + helpers,) the bone before; that of a helper is its limb."""
    rig = makehuman.rig()
    return np.concatenate([rig.parents, [rig.names.index(limb) for limb, _ in twist_bones()]])


def _bone_transforms(person: Person, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (B, 3, 3) and offsets (B, 3) of bones, then helpers: p goes to rotation @ p + offset."""
    rig, helpers = makehuman.rig(), twist_bones()
    unknown = sorted(set(pose.rotations) - set(rig.names))
    if unknown:
        raise ValueError(f"a pose turns {', '.join(unknown)}, but the rig has only {', '.join(rig.names)}")
    local = np.tile(np.eye(3), (len(rig.names), 1, 1))
    turned = [rig.names.index(name) for name in pose.rotations]
    if turned:
        local[turned] = Rotation.from_rotvec(np.stack(list(pose.rotations.values()))).as_matrix()
    rotations = np.empty((len(rig.names) + len(helpers), 3, 3))
    offsets = np.empty((len(rotations), 3))
    for bone, parent in enumerate(rig.parents):
        joint = person.joints[bone]
        above, moved = (rotations[parent], offsets[parent]) if parent >= 0 else (np.eye(3), np.zeros(3))
        rotations[bone] = above @ local[bone]
        offsets[bone] = above @ joint + moved - rotations[bone] @ joint
    for row, (limb, end) in enumerate(helpers, start=len(rig.names)):
        bone, other = rig.names.index(limb), rig.names.index(end)
        axis = person.joints[other] - person.joints[bone]
        axis = axis / np.linalg.norm(axis)
        if limb[:-2] in TWIST_AT_ROOT:
            rotations[row] = rotations[bone] @ helper_rotation(axis, local[bone]).T
        else:
            rotations[row] = rotations[bone] @ helper_rotation(axis, local[other])
        joint = person.joints[bone]
        offsets[row] = rotations[bone] @ joint + offsets[bone] - rotations[row] @ joint
    return rotations, offsets
