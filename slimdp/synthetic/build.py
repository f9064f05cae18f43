"""What a motion must know of a body: where its joints are, how long its limbs, how its limbs lie at rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from slimdp.surface import makehuman

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

    Args:
        direction: (3,) along the limb, of any length.
        hinge: (3,) not parallel to it; made perpendicular to the limb.
    """
    along = _unit(direction)
    about = _unit(hinge - (hinge @ along) * along)
    return np.stack([along, about, np.cross(along, about)], axis=1)


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
    reach = np.linalg.norm(at[f"hand_{side}"] - at[f"lowerarm_{side}"]) + np.linalg.norm(
        at[f"lowerarm_{side}"] - shoulder
    )
    body = skin[np.isin(main, trunk)]
    below = shoulder[1] - body[:, 1]
    beside = body[(below > 0.15) & (below < reach) & (np.abs(body[:, 2] - shoulder[2]) < 0.12)]
    out = SIDES[side] * (beside[:, 0] - shoulder[0]) + _ARM_RADIUS
    return float(np.arctan2(out, shoulder[1] - beside[:, 1]).max())


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
