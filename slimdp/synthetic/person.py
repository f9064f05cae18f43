"""A rendered person: the shape of the body, what motions must know of it, and its skin in a pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

from slimdp.surface import makehuman
from slimdp.surface.makehuman import BodyShape
from slimdp.surface.open_body import keypoint_joints

SIDES = {"l": 1.0, "r": -1.0}  # side -> the sign of its x
TRUNK = ("pelvis", "spine_01", "spine_02", "spine_03")
#: Half the thickness of a hanging arm, and some air, metres.
_ARM_RADIUS = 0.05


@dataclass(frozen=True)
class Build:
    """Measures of a body in its rest pose; metres and radians."""

    joints: dict[str, np.ndarray]  # bone -> (3,) its head
    frames: dict[str, np.ndarray]  # limb bone -> (3, 3), columns as `limb_frame` makes them
    thigh: float
    calf: float
    ankle: float  # the ankle's height over the sole
    heel: float  # from the ankle's foot point back to the heel
    arm_clearance: dict[str, float]  # how far a hanging arm must be held out so as not to sink into the trunk

    @property
    def leg(self) -> float:
        """From the hip to the sole: the unit of length of all motions."""
        return self.thigh + self.calf + self.ankle


def measure_build(joints: np.ndarray, skin: np.ndarray) -> Build:
    """Measure a body: joints (J, 3) of the rig's bones and skin (V, 3), metres, standing on y = 0."""
    rig = makehuman.rig()
    at = dict(zip(rig.names, joints))
    frames = {}
    for side in SIDES:
        upper = _unit(at[f"lowerarm_{side}"] - at[f"upperarm_{side}"])
        lower = _unit(at[f"hand_{side}"] - at[f"lowerarm_{side}"])
        hinge = np.cross(upper, lower)
        frames[f"upperarm_{side}"] = limb_frame(upper, hinge)
        frames[f"lowerarm_{side}"] = limb_frame(lower, hinge)
        frames[f"hand_{side}"] = limb_frame(at[f"middle_01_{side}"] - at[f"hand_{side}"], hinge)
        for bone, end in (("thigh", "calf"), ("calf", "foot"), ("foot", "ball")):
            direction = at[f"{end}_{side}"] - at[f"{bone}_{side}"]
            frames[f"{bone}_{side}"] = limb_frame(direction, np.array([1.0, 0.0, 0.0]))
    main = rig.weights.argmax(axis=1)
    foot = skin[np.isin(main, [rig.names.index("foot_l")])]
    return Build(
        joints=at,
        frames=frames,
        thigh=float(np.linalg.norm(at["calf_l"] - at["thigh_l"])),
        calf=float(np.linalg.norm(at["foot_l"] - at["calf_l"])),
        ankle=float(at["foot_l"][1]),
        heel=float(at["foot_l"][2] - foot[:, 2].min()) - 0.015,
        arm_clearance={side: _arm_clearance(side, at, skin, main) for side in SIDES},
    )


def limb_frame(direction: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """(3, 3) right-handed columns: along a limb, about its hinge, and their cross product; unit length.

    Direction and hinge (3,) are of any length, not parallel; the hinge is made perpendicular to the limb.
    """
    along = _unit(direction)
    about = _unit(hinge - (hinge @ along) * along)
    return np.stack([along, about, cross(along, about)], axis=1)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross product (3,) of two vectors (3,); numpy's takes fifteen times as long."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def local_rotations(world: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rotations of bones against their parents, (3,) radians, from rotations (3, 3) in the world.

    Both are in the axes of the rest pose. Bones that are not given go along with their parents.
    """
    rig = makehuman.rig()
    resolved: list[np.ndarray] = []
    local = {}
    for name, parent in zip(rig.names, rig.parents):
        above = resolved[parent] if parent >= 0 else np.eye(3)
        if name in world:
            local[name] = above.T @ world[name]
        resolved.append(world.get(name, above))
    vectors = Rotation.from_matrix(np.stack(list(local.values()))).as_rotvec()
    return dict(zip(local, vectors))


def _arm_clearance(side: str, at: Mapping[str, np.ndarray], skin: np.ndarray, main: np.ndarray) -> float:
    """The angle of an arm held straight down and out that touches the trunk and the hip, radians."""
    rig = makehuman.rig()
    trunk = [rig.names.index(bone) for bone in (*TRUNK, f"thigh_{side}")]
    shoulder = at[f"upperarm_{side}"]
    elbow = at[f"lowerarm_{side}"]
    reach = np.linalg.norm(at[f"hand_{side}"] - elbow) + np.linalg.norm(elbow - shoulder)
    body = skin[np.isin(main, trunk)]
    below = shoulder[1] - body[:, 1]
    beside = body[(below > 0.15) & (below < reach) & (np.abs(body[:, 2] - shoulder[2]) < 0.12)]
    out = SIDES[side] * (beside[:, 0] - shoulder[0]) + _ARM_RADIUS
    return float(np.arctan2(out, shoulder[1] - beside[:, 1]).max())


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


#: The shortest and the tallest adult that is drawn, metres.
STATURE = (1.45, 2.0)


def random_shape(rng: np.random.Generator) -> BodyShape:
    """An adult's shape.

    Stature is normal, 1.63 m +- 0.07 m for women and 1.77 m +- 0.075 m for men, within STATURE. Weight is
    drawn nearly evenly above the starved, because MakeHuman's heaviest are not as heavy as people get.
    """
    gender, age = float(rng.beta(0.4, 0.4)), 0.85 * float(rng.beta(1, 3))
    stature = np.clip(rng.normal(1.63 + 0.14 * gender, 0.07), *STATURE)
    return BodyShape(
        gender=gender,
        age=age,
        muscle=float(rng.beta(1.8, 1.8)),
        weight=0.15 + 0.85 * float(rng.beta(1.2, 1.0)),
        height=height_for(float(stature), gender, age),
        race=tuple(rng.dirichlet([0.5] * 3).tolist()),
    )


def height_for(stature: float, gender: float, age: float) -> float:
    """The `height` in 0..1 that makes a body of this gender and age `stature` metres tall.

    MakeHuman's stature is linear in gender and age, and in height below and above 0.5; weight and muscle do
    not change it. The constants were measured on the mesh and hold within 1 cm.
    """
    average = 1.59 + 0.14 * gender - age * (0.014 + 0.016 * gender)
    metres_a_unit = 0.734 if stature < average else 1.445
    return float(np.clip(0.5 + (stature - average) / metres_a_unit, 0, 1))


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


@cache
def _other_side() -> np.ndarray:
    """(B,) the column of `skin_weights` that is each one's mirror image."""
    names = [*makehuman.rig().names, *(f"helper of {limb}" for limb, _ in twist_bones())]
    ends = {"_l": "_r", "_r": "_l"}
    return np.array([names.index(name[:-2] + ends.get(name[-2:], name[-2:])) for name in names])


def shared_weights(shares: np.ndarray) -> csr_array:
    """The weights (V, B) of a skin of which shares (V,), 0 to 1, go with the bones of the other side."""
    own = skin_weights()
    return csr_array(own.multiply(1 - shares[:, None]) + own[:, _other_side()].multiply(shares[:, None]))


def helper_rotations(axes: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """The twists (N, 3, 3) of rotations (N, 3, 3) about unit axes (N, 3): `rotation = swing @ twist`."""
    quaternions = Rotation.from_matrix(rotations).as_quat()
    # One by one, as the sums of a product of matrices differ in their last bits.
    along = np.array([axis @ vector for axis, vector in zip(axes, quaternions[:, :3])])
    length = np.hypot(along, quaternions[:, 3])
    if (flipped := length < 1e-9).any():  # turned over by half a turn across the axis: any twist will do
        along, length = np.where(flipped, 0.0, along), np.where(flipped, 1.0, length)
        quaternions[flipped, 3] = 1.0
    twists = np.column_stack([axes * along[:, None] / length[:, None], quaternions[:, 3] / length])
    return np.asarray(Rotation.from_quat(twists).as_matrix())


def blend(
    rotations: np.ndarray, offsets: np.ndarray, parents: np.ndarray, skin: np.ndarray, weights: csr_array
) -> np.ndarray:
    """Move the skin (V, 3) of the rest pose with its bones: (V, 3).

    Rotations (B, 3, 3) and offsets (B, 3) of the rig's bones and the helpers, in the columns' order of the
    weights (V, B), take a point of the rest pose to `rotation @ point + offset`. Parents (B,) are bones that
    come before and are nearly turned alike; -1 for the root.
    """
    matrices = np.column_stack([rotations.reshape(-1, 9), offsets])
    mixed = weights @ np.column_stack([matrices, _dual_quaternions(rotations, offsets, parents)])
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


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class Person:
    """A body in its rest pose, ready to be posed; metres, x to the person's left, y up, z to the front."""

    skin: np.ndarray  # (V, 3) float64
    joints: np.ndarray  # (J, 3) the head of each bone
    build: Build  # measures for motions
    keypoints: dict[str, np.ndarray]  # name -> (3,) in the rest pose
    keypoint_bones: dict[str, int]  # the bone that carries it
    own_weights: csr_array | None = None  # (V, B) of the skin; None: `skin_weights`

    @property
    def weights(self) -> csr_array:
        """Of the skin, (V, B): how much each bone and helper moves it."""
        return skin_weights() if self.own_weights is None else self.own_weights


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
    rotations, offsets = bone_transforms(person, pose)
    skin = blend(rotations, offsets, bone_parents(), person.skin, person.weights)
    turn = Rotation.from_rotvec([0, pose.yaw, 0]).as_matrix()
    skin = skin @ turn.T
    offset = np.array(pose.position) - [0, skin[:, 1].min(), 0]
    keypoints = {}
    for name, bone in person.keypoint_bones.items():
        keypoints[name] = turn @ (rotations[bone] @ person.keypoints[name] + offsets[bone]) + offset
    return PosedPerson(skin + offset, keypoints)


@cache
def bone_parents() -> np.ndarray:
    """(B,) the parent of each of the rig's bones, -1 for the root, and the limb of each helper."""
    rig = makehuman.rig()
    return np.concatenate([rig.parents, [rig.names.index(limb) for limb, _ in twist_bones()]])


def bone_transforms(person: Person, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (B, 3, 3) and offsets (B, 3) of bones, then helpers: p goes to rotation @ p + offset."""
    rig = makehuman.rig()
    unknown = sorted(set(pose.rotations) - set(rig.names))
    if unknown:
        raise ValueError(f"a pose turns {', '.join(unknown)}, but the rig has only {', '.join(rig.names)}")
    local = np.tile(np.eye(3), (len(rig.names), 1, 1))
    turned = [rig.names.index(name) for name in pose.rotations]
    if turned:
        local[turned] = Rotation.from_rotvec(np.stack(list(pose.rotations.values()))).as_matrix()
    rotations = np.empty((len(bone_parents()), 3, 3))
    offsets = np.empty((len(rotations), 3))
    for bone, parent in enumerate(rig.parents):
        joint = person.joints[bone]
        above, moved = (rotations[parent], offsets[parent]) if parent >= 0 else (np.eye(3), np.zeros(3))
        rotations[bone] = above @ local[bone]
        offsets[bone] = above @ joint + moved - rotations[bone] @ joint
    add_helpers(person, local, rotations, offsets)
    return rotations, offsets


def add_helpers(person: Person, local: np.ndarray, rotations: np.ndarray, offsets: np.ndarray) -> None:
    """Fill in the rotations (B, 3, 3) and offsets (B, 3) of the helpers, from those of the rig's bones.

    `local` (J, 3, 3) are rotations of bones against their parents.
    """
    names = makehuman.rig().names
    bones = [(names.index(limb), names.index(end)) for limb, end in twist_bones()]
    at_root = [limb[:-2] in TWIST_AT_ROOT for limb, _ in twist_bones()]
    axes = np.array([_unit(person.joints[other] - person.joints[bone]) for bone, other in bones])
    twists = helper_rotations(axes, local[[pair[0 if root else 1] for pair, root in zip(bones, at_root)]])
    for row, ((bone, _), root, twist) in enumerate(zip(bones, at_root, twists), start=len(names)):
        rotations[row] = rotations[bone] @ (twist.T if root else twist)
        joint = person.joints[bone]
        offsets[row] = rotations[bone] @ joint + offsets[bone] - rotations[row] @ joint
