"""A person: a body shape, and its skin in any pose by linear blend skinning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from slimdp.surface import makehuman
from slimdp.surface.open_body import keypoint_joints


@dataclass(frozen=True)
class Person:
    """A body in its rest pose, ready to be posed; metres, x to the person's left, y up, z to the front."""

    skin: np.ndarray  # (V, 3) float64
    joints: np.ndarray  # (J, 3) the head of each bone
    elbow_axis: dict[str, np.ndarray]  # "l", "r" -> unit vector about which the elbow bends
    keypoints: dict[str, np.ndarray]  # name -> (3,) in the rest pose
    keypoint_bones: dict[str, int]  # the bone that carries it


def make_person(shape: makehuman.BodyShape) -> Person:
    """A person of this shape, standing on y = 0."""
    vertices = makehuman.shaped_vertices(shape)
    vertices = vertices - [0, vertices[: makehuman.BODY_VERTICES, 1].min(), 0]
    rig = makehuman.rig()
    joints = np.stack([vertices[index].mean(axis=0) for index in rig.head_vertices])
    elbow_axis = {}
    for side in "lr":
        shoulder, elbow, wrist = (
            joints[rig.names.index(f"{bone}_{side}")] for bone in ("upperarm", "lowerarm", "hand")
        )
        axis = np.cross(elbow - shoulder, wrist - elbow)
        elbow_axis[side] = axis / np.linalg.norm(axis)
    keypoints = keypoint_joints(vertices)
    carrier = {}
    for name, point in keypoints.items():
        nearest = np.linalg.norm(vertices[: makehuman.BODY_VERTICES] - point, axis=1).argmin()
        carrier[name] = int(rig.weights[nearest].argmax())
    return Person(vertices[: makehuman.BODY_VERTICES], joints, elbow_axis, keypoints, carrier)


@dataclass(frozen=True)
class Pose:
    """Rotations of bones about their joints, in the axes of the rest pose, and where the whole body is."""

    rotations: dict[str, np.ndarray]  # bone -> rotation vector (3,), radians
    yaw: float = 0.0  # radians about y; 0 looks to +z
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres, added last


@dataclass(frozen=True)
class PosedPerson:
    """A person's skin and keypoints in the world, metres."""

    skin: np.ndarray  # (V, 3)
    keypoints: dict[str, np.ndarray]  # name -> (3,)


def pose_person(person: Person, pose: Pose) -> PosedPerson:
    """Pose a person; its lowest point is put on the floor (y = position y)."""
    rig = makehuman.rig()
    matrices = np.tile(np.eye(4), (len(rig.names), 1, 1))
    for bone, name in enumerate(rig.names):
        local = np.eye(4)
        if name in pose.rotations:
            joint = person.joints[bone]
            local[:3, :3] = Rotation.from_rotvec(pose.rotations[name]).as_matrix()
            local[:3, 3] = joint - local[:3, :3] @ joint
        parent = rig.parents[bone]
        matrices[bone] = local if parent < 0 else matrices[parent] @ local
    blended = np.einsum("vj,jab->vab", rig.weights, matrices[:, :3])
    skin = np.einsum("vab,vb->va", blended[:, :, :3], person.skin) + blended[:, :, 3]
    keypoints = {
        name: matrices[bone][:3, :3] @ person.keypoints[name] + matrices[bone][:3, 3]
        for name, bone in person.keypoint_bones.items()
    }
    turn = Rotation.from_rotvec([0, pose.yaw, 0]).as_matrix()
    skin = skin @ turn.T
    offset = np.array(pose.position) - [0, skin[:, 1].min(), 0]
    return PosedPerson(skin + offset, {name: turn @ point + offset for name, point in keypoints.items()})
