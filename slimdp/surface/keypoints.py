"""Keypoints of the open body: joints inside the limbs, points of the face, and their anchors on the skin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache as memoised

import numpy as np

from slimdp.surface import makehuman

#: Keypoint -> the bone that begins there ("_l" or "_r" behind it).
JOINT_KEYPOINTS = {
    "shoulder": "upperarm",
    "elbow": "lowerarm",
    "wrist": "hand",
    "hip": "thigh",
    "knee": "calf",
    "ankle": "foot",
}


def keypoint_joints(vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Keypoints (3,) of a body: joints inside the limbs, points of the face on the skin.

    Args:
        vertices: (19158, 3) metres, helpers included, in the rest pose.
    """
    rig = makehuman.rig()
    skin = vertices[: makehuman.BODY_VERTICES]
    points: dict[str, np.ndarray] = {}
    for side, ending in (("left", "_l"), ("right", "_r")):
        for name, bone in JOINT_KEYPOINTS.items():
            joint = rig.head_vertices[rig.names.index(bone + ending)]
            points[f"{side}_{name}"] = vertices[joint].mean(axis=0)
    for name, vertex in face_vertices().items():
        points[name] = skin[vertex]
    return points


@memoised
def face_vertices() -> dict[str, int]:
    """The skin's vertices at the keypoints of the head, found on the average body."""
    vertices = makehuman.shaped_vertices(makehuman.BodyShape())
    skin, rig, mirror = vertices[: makehuman.BODY_VERTICES], makehuman.rig(), makehuman.vertex_mirror()
    bones = [rig.names.index("head"), rig.names.index("neck_01")]
    head = np.flatnonzero(rig.weights[:, bones[0]] > 0.5)
    middle = head[np.abs(skin[head, 0]) < 1e-6]
    right = head[skin[head, 0] < 0]
    nose = int(middle[skin[middle, 2].argmax()])
    ear = int(right[skin[right, 0].argmin()])
    groups = json.loads(
        (makehuman.data_folder() / "mesh_metadata" / "basemesh_vertex_groups.json").read_text()
    )
    eye_centre = vertices[groups["helper-r-eye"][0][0] : groups["helper-r-eye"][0][1] + 1].mean(axis=0)
    eye_front = eye_centre + [0, 0, 0.02]
    eye = int(right[np.linalg.norm(skin[right] - eye_front, axis=1).argmin()])
    top = int(middle[skin[middle, 1].argmax()])
    neck_joint = vertices[rig.head_vertices[bones[1]]].mean(axis=0)
    throat = np.flatnonzero((np.abs(skin[:, 0]) < 1e-6) & (skin[:, 2] > neck_joint[2]))
    bottom = int(throat[np.abs(skin[throat, 1] - neck_joint[1]).argmin()])
    return {
        "nose": nose, "right_eye": eye, "left_eye": int(mirror[eye]), "right_ear": ear,
        "left_ear": int(mirror[ear]), "head_top": top, "head_bottom": bottom,
    }  # fmt: skip


def keypoint_vertices(skin: np.ndarray, joints: Mapping[str, np.ndarray]) -> dict[str, int]:
    """For every keypoint the vertex of the skin (V, 3) that is nearest; left ones mirror right ones."""
    mirror = makehuman.vertex_mirror()
    anchors = {}
    for name, point in joints.items():
        if not name.startswith("left_"):
            anchors[name] = int(np.linalg.norm(skin - point, axis=1).argmin())
    for name in joints:
        if name.startswith("left_"):
            anchors[name] = int(mirror[anchors["right_" + name.removeprefix("left_")]])
    return anchors
