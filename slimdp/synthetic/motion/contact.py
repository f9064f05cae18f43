"""Bodies that rest on the ground: joints and tilt are changed a little until what bears weight touches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
from scipy.sparse import csr_array

from slimdp.surface import makehuman
from slimdp.synthetic.motion.joints import bone_rotations, leg_angle, limits_of
from slimdp.synthetic.motion.solve import Channels, turn
from slimdp.synthetic.person import (
    SIDES,
    Person,
    Pose,
    add_helpers,
    blend,
    bone_parents,
    local_rotations,
)

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
#: Region of the body -> the bones whose skin it is; "SIDE" stands for l and for r.
_REGIONS = {
    "head": ("head", "neck_01"), "chest": ("spine_03", "clavicle_l", "clavicle_r"),
    "belly": ("spine_01", "spine_02"), "seat": ("pelvis",), "thigh_SIDE": ("thigh_SIDE",),
    "calf_SIDE": ("calf_SIDE",), "heel_SIDE": ("foot_SIDE",), "toes_SIDE": ("ball_SIDE",),
    "upperarm_SIDE": ("upperarm_SIDE",), "lowerarm_SIDE": ("lowerarm_SIDE",),
    "hand_SIDE": ("hand_SIDE", *(f"{finger}_0{joint}_SIDE" for finger in _FINGERS for joint in (1, 2, 3))),
}  # fmt: skip
#: Of a body's mass, and the bones between whose heads it lies (Dempster 1955); "_SIDE" twice.
_MASSES = (
    (0.497, "pelvis", "neck_01"), (0.081, "head", "head"), (0.1, "thigh_SIDE", "calf_SIDE"),
    (0.061, "calf_SIDE", "foot_SIDE"), (0.028, "upperarm_SIDE", "lowerarm_SIDE"),
    (0.022, "lowerarm_SIDE", "hand_SIDE"),
)  # fmt: skip
#: Vertices looked at in a region; of the seat, which folds, more.
_A_REGION, _A_SEAT = 150, 400
#: Share of the thighs, from the hips on, that belongs to the seat.
_SAT_ON = 0.35
_ROUNDS = 14
#: How much a step is held back at first, in the units of the stiffness.
_DAMPING = 60.0
#: Metres of a missed contact that weigh as much as a radian that a joint, or the whole, leaves its angle.
_STIFF, _STIFF_TILT = 0.008, 0.01
#: Metres a metre: how much of a contact the balance is worth; the weight may be so far (metres) off.
_BALANCE, _OFF = 0.15, 0.05
#: Degrees: joints turn by so much a round, at most.
_STRIDE = 20.0
#: Metres: a fit that is nowhere farther off is good.
_GOOD = 0.002


@cache
def skin_of(region: str) -> np.ndarray:
    """The vertices of a region of the body, a key of `regions`."""
    return _skin_of_regions()[region]


@cache
def skin_of_bones(*bones: str) -> np.ndarray:
    """The vertices that one of these bones moves more than any other bone does."""
    rig = makehuman.rig()
    return np.flatnonzero(np.isin(rig.weights.argmax(axis=1), [rig.names.index(bone) for bone in bones]))


@cache
def regions() -> dict[str, np.ndarray]:
    """Region -> the vertices that are looked at for it: some all over its skin, and the outermost."""
    vertices = makehuman.shaped_vertices(makehuman.BodyShape())
    ways = np.array([way for way in np.ndindex(3, 3, 3) if way != (1, 1, 1)]) - 1
    found = {}
    for name, skin in _skin_of_regions().items():
        outermost = (vertices[skin] @ ways.T).argmax(axis=0)
        some = _A_SEAT if name == "seat" else _A_REGION
        found[name] = np.union1d(skin[:: max(len(skin) // some, 1)], skin[outermost])
    return found


@cache
def _skin_of_regions() -> dict[str, np.ndarray]:
    found = {}
    for region, bones in _REGIONS.items():
        for side in "lr" if "SIDE" in region else "_":
            found[region.replace("SIDE", side)] = skin_of_bones(
                *(bone.replace("SIDE", side) for bone in bones)
            )
    sat_on = _upper_thighs()
    for side in "lr":
        thigh = found[f"thigh_{side}"]
        found["seat"] = np.union1d(found["seat"], thigh[sat_on[thigh]])
        found[f"thigh_{side}"] = thigh[~sat_on[thigh]]
    return found


def _upper_thighs() -> np.ndarray:
    """(V,) bool: skin so high in the rest pose that one sits on it, if it is a thigh's."""
    rig, vertices = makehuman.rig(), makehuman.shaped_vertices(makehuman.BodyShape())
    hip, knee = (
        vertices[rig.head_vertices[rig.names.index(bone)]].mean(axis=0) for bone in ("thigh_l", "calf_l")
    )
    return np.asarray(vertices[: makehuman.BODY_VERTICES, 1] > hip[1] - _SAT_ON * (hip[1] - knee[1]))


@cache
def _looked_at() -> tuple[np.ndarray, np.ndarray]:
    """The vertices (N,) of all regions, and the bone (N,) that moves each most."""
    index = np.concatenate(list(regions().values()))
    return index, makehuman.rig().weights[index].argmax(axis=1)


@lru_cache(maxsize=16)  # people are hashed by identity
def _looked_at_of(person: Person) -> tuple[np.ndarray, csr_array]:
    """A person's skin (N, 3) that is looked at, and its weights (N, B)."""
    index, _ = _looked_at()
    return person.skin[index], person.weights[index]


@cache
def _region_slices() -> dict[str, slice]:
    ends = np.cumsum([0] + [len(index) for index in regions().values()])
    return {region: slice(a, b) for region, a, b in zip(regions(), ends[:-1].tolist(), ends[1:].tolist())}


@cache
def _mass_table() -> np.ndarray:
    """(J,) the share of a body's mass at the head of each bone."""
    table = np.zeros(len(makehuman.rig().names))
    for mass, first, second in _MASSES:
        for side in "lr" if "SIDE" in first else "_":
            for bone in (first, second):
                table[makehuman.rig().names.index(bone.replace("SIDE", side))] += mass / 2
    return table / table.sum()


@cache
def _carried() -> np.ndarray:
    """(J, J) bool: whether the bone of a row carries the bone of a column, or is it."""
    parents = makehuman.rig().parents
    table = np.eye(len(parents), dtype=bool)
    for bone, parent in enumerate(parents):
        if parent >= 0:
            table[:, bone] |= table[:, parent]
    return table


@dataclass(frozen=True)
class Sketch:
    """A coarse body in a pose, in the axes of the rest pose; metres."""

    world: dict[str, np.ndarray]  # bone -> its rotation (3, 3)
    rotations: np.ndarray  # (J, 3, 3) of all bones
    offsets: np.ndarray  # (J, 3)
    joints: np.ndarray  # (J, 3) heads of bones
    points: np.ndarray  # (N, 3) the vertices of `regions`, one after the other

    @cached_property
    def lowest(self) -> dict[str, int]:
        """Region -> the row in `points` of its lowest vertex."""
        height = self.points[:, 1]
        return {name: rows.start + int(height[rows].argmin()) for name, rows in _region_slices().items()}

    def of(self, region: str) -> np.ndarray:
        """The points (K, 3) of a region."""
        return self.points[_region_slices()[region]]

    @property
    def middle(self) -> np.ndarray:
        """The centre of mass, (3,)."""
        return _mass_table() @ self.joints


def sketch(person: Person, channels: Channels) -> Sketch:
    """A coarse body at joints' angles, before its yaw and place."""
    world = _tilted(person, channels)
    rig = makehuman.rig()
    count = len(rig.names)
    parents = bone_parents()
    rotations, offsets = np.empty((len(parents), 3, 3)), np.empty((len(parents), 3))
    rotations[0], offsets[0] = np.eye(3), 0.0
    for bone in range(1, count):
        parent, joint = parents[bone], person.joints[bone]
        rotation = world.get(rig.names[bone])
        rotations[bone] = rotations[parent] if rotation is None else rotation
        offsets[bone] = rotations[parent] @ joint + offsets[parent] - rotations[bone] @ joint
    local = np.swapaxes(rotations[np.maximum(parents[:count], 0)], 1, 2) @ rotations[:count]
    add_helpers(person, local, rotations, offsets)
    skin, weights = _looked_at_of(person)
    points = blend(rotations, offsets, parents, skin, weights)
    joints = np.einsum("jab,jb->ja", rotations[:count], person.joints) + offsets[:count]
    return Sketch(world, rotations[:count], offsets[:count], joints, points)


def posture_pose(person: Person, channels: Channels) -> Pose:
    """The pose at all joints' angles; `tilt_x`, `tilt_z` turn the whole about the world's axes, degrees."""
    return Pose(local_rotations(_tilted(person, channels)))


def _tilted(person: Person, channels: Channels) -> dict[str, np.ndarray]:
    whole = _tilt(channels)
    return {bone: whole @ rotation for bone, rotation in bone_rotations(channels, person.build).items()}


def _tilt(channels: Channels) -> np.ndarray:
    x, z = (float(np.deg2rad(channels.get(f"tilt_{axis}", 0.0))) for axis in "xz")
    return turn("x", x) @ turn("z", z)


def settle(
    person: Person, channels: Channels, contacts: Sequence[str], free: Sequence[str], balance: bool
) -> Channels:
    """Channels near these with which regions touch the ground, by Levenberg and Marquardt's steps.

    A contact is a region, or several with "|" between, of which the lowest touches. The rest of the body
    stays over the ground. `free` are channels that may change, within their limits.
    With `balance` the centre of mass comes about over the middle of what touches.
    """
    start = np.array([channels.get(name, 0.0) for name in free])
    limits = np.array([limits_of(name) for name in free])
    stiff = np.deg2rad([_STIFF_TILT if name.startswith("tilt") else _STIFF for name in free])
    angles, damping, before = start, _DAMPING, np.inf
    best = start
    for _ in range(_ROUNDS):
        now = {**channels, **dict(zip(free, angles.tolist()))}
        body = sketch(person, now)
        error, slope = _error(body, now, contacts, free, balance)
        cost = float(error @ error + ((angles - start) * stiff) @ ((angles - start) * stiff))
        if cost < before:
            kept, best, before, damping = (error, slope), angles, cost, max(damping / 3, 0.3)
            if np.abs(error).max() < _GOOD:
                break
        else:
            damping *= 4
        matrix = np.vstack([kept[1], np.diag(stiff), np.diag(np.sqrt(damping) * stiff)])
        wanted = np.concatenate([-kept[0], (start - best) * stiff, np.zeros(len(free))])
        step = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
        angles = np.clip(best + np.clip(step, -_STRIDE, _STRIDE), *limits.T)
    return {**channels, **dict(zip(free, best.tolist()))}


def _error(
    body: Sketch, channels: Channels, contacts: Sequence[str], free: Sequence[str], balance: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What is wrong (E,) metres with a body on the ground, and how it changes (E, F) a degree of a channel.

    How far contacts are above the lowest of them all, others below it, and the weight off its support.
    """
    rows, count = _rows(body, contacts), len(contacts)
    points = body.points[rows]
    moves, of_middle = _moves(body, channels, rows, free)
    height = points[:, 1] - points[:count, 1].mean()
    slope = moves[:, :, 1] - moves[:, :count, 1].mean(axis=1, keepdims=True)
    under = np.arange(len(rows)) >= count
    free_of_ground = under & (height >= height[:count].min())
    height[under] -= height[:count].min()
    height[free_of_ground], slope[:, free_of_ground] = 0.0, 0.0
    if not balance:
        return height, slope.T
    off = (body.middle - points[:count].mean(axis=0))[[0, 2]]
    off_slope = (of_middle - moves[:, :count].mean(axis=1))[:, [0, 2]]
    near = np.abs(off) < _OFF
    off = np.where(near, 0.0, off - np.sign(off) * _OFF)
    error = np.concatenate([height, _BALANCE * off])
    return error, np.vstack([slope.T, _BALANCE * np.where(near, 0.0, off_slope).T])


def _moves(
    body: Sketch, channels: Channels, rows: list[int], free: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """How points (F, N, 3) and the centre of mass (F, 3) move, metres a degree of a channel."""
    turned = [_turning(name, channels, body) for name in free]
    bone, axis = np.array([index for index, _ in turned]), np.deg2rad([axis for _, axis in turned])
    carried, joint = _carried()[bone], body.joints[bone]
    moves = np.cross(axis[:, None], body.points[rows] - joint[:, None])
    moves *= carried[:, _looked_at()[1][rows], None]
    beyond = carried * _mass_table()
    levers = beyond @ body.joints - beyond.sum(axis=1, keepdims=True) * joint
    return moves, np.cross(axis, levers)


def _rows(body: Sketch, contacts: Sequence[str]) -> list[int]:
    """Rows of `points`: the lowest of each contact, then of each region that is part of none."""

    def lowest(contact: str) -> int:
        return min((body.lowest[name] for name in contact.split("|")), key=lambda row: body.points[row, 1])

    named = "|".join(contacts).split("|")
    return [lowest(contact) for contact in contacts] + [
        row for name, row in body.lowest.items() if name not in named
    ]


def largest_gap(body: Sketch, contacts: Sequence[str]) -> float:
    """How far (metres) a contact is over the lowest point of the body, at most; 0 without contacts."""
    height = body.points[_rows(body, contacts), 1]
    return float(height[: len(contacts)].max() - height.min()) if contacts else 0.0


def _turning(name: str, channels: Channels, body: Sketch) -> tuple[int, np.ndarray]:
    """The bone that a channel turns with all that hangs on it, and the axis (3,); of the arms about."""
    base, side = (name[:-2], name[-1]) if name.endswith(("_l", "_r")) else (name, "")
    world, x, z = body.world, np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    if base in ("tilt_x", "tilt_z"):
        bone, axis = "pelvis", x if base == "tilt_x" else _tilt({**channels, "tilt_z": 0.0}) @ z
    elif base in ("hip_flex", "hip_out"):
        flexed = world["pelvis"] @ turn("x", -leg_angle(channels, "hip_flex", side))
        bone, axis = "thigh", -world["pelvis"] @ x if base == "hip_flex" else SIDES[side] * flexed @ z
    elif base in ("knee", "ankle"):
        bone, axis = {"knee": "calf", "ankle": "foot"}[base], world[f"foot_{side}"] @ x
    elif base in ("arm_flex", "arm_out"):
        flexed = world["spine_03"] @ turn("x", -float(np.deg2rad(channels.get(f"arm_flex_{side}", 0.0))))
        bone, axis = "upperarm", -world["spine_03"] @ x if base == "arm_flex" else SIDES[side] * flexed @ z
    elif base == "elbow":
        lower = _bone_way(body, f"lowerarm_{side}", f"hand_{side}")
        upper = _bone_way(body, f"upperarm_{side}", f"lowerarm_{side}")
        bone, axis = "lowerarm", np.cross(upper, lower)
        axis = axis / max(float(np.linalg.norm(axis)), 1e-6)
    elif base == "head_nod":
        bone, axis = "neck_01", world["spine_03"] @ x
    elif base == "spine_flex":
        bone, axis = "spine_02", world["pelvis"] @ x
    else:
        raise ValueError(f"no axis is known of {name}")
    full = f"{bone}_{side}" if side else bone
    return makehuman.rig().names.index(full), axis


def _bone_way(body: Sketch, bone: str, end: str) -> np.ndarray:
    """The way (3,) from a bone's head to another's, unit."""
    names = makehuman.rig().names
    way = body.joints[names.index(end)] - body.joints[names.index(bone)]
    return np.asarray(way / np.linalg.norm(way))
