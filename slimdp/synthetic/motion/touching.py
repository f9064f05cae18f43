"""How deep limbs sink into a body: each part is a solid of the outline that it has in the rest pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from slimdp.surface import makehuman
from slimdp.synthetic.motion.contact import Sketch, regions, skin_of_bones
from slimdp.synthetic.person import Person

#: Solid -> the bones between whose heads its axis runs; the first moves it.
_SOLIDS = {
    "seat": ("pelvis", "spine_02"),
    "belly": ("spine_01", "spine_03"),
    "chest": ("spine_03", "neck_01"),
    "head": ("head", "neck_01"),
    "thigh_l": ("thigh_l", "calf_l"),
    "thigh_r": ("thigh_r", "calf_r"),
    "calf_l": ("calf_l", "foot_l"),
    "calf_r": ("calf_r", "foot_r"),
}
#: Solid -> the bones whose skin it has, where these are not the bone of its name alone.
_SKIN = {"belly": ("spine_01", "spine_02"), "chest": ("spine_03", "clavicle_l", "clavicle_r")}  # fmt: skip
#: What cannot sink into a solid, because it is a neighbour whose skin is joined to it.
_NEIGHBOURS = {
    "seat": ("thigh_l", "thigh_r", "belly", "chest"), "belly": ("seat", "chest", "thigh_l", "thigh_r"),
    "chest": ("belly", "head", "upperarm_l", "upperarm_r", "seat"), "head": ("chest",),
    "thigh_l": ("seat", "calf_l", "belly"), "thigh_r": ("seat", "calf_r", "belly"),
    "calf_l": ("thigh_l", "heel_l", "toes_l"), "calf_r": ("thigh_r", "heel_r", "toes_r"),
}  # fmt: skip
_HEIGHTS, _SECTORS = 10, 16


@dataclass(frozen=True)
class Solid:
    """A part of a body about the axis of its bone: how far out its skin is, by height and direction."""

    bone: int
    origin: np.ndarray  # (3,) metres in the rest pose
    axes: np.ndarray  # (3, 3) rows: along, across, across
    span: tuple[float, float]  # metres along
    radius: np.ndarray  # (_HEIGHTS, _SECTORS) metres

    def depth(self, points: np.ndarray) -> np.ndarray:
        """How deep points (N, 3) in the axes of the rest pose are inside, metres; negative outside."""
        along, x, z = self.axes @ (points - self.origin).T
        low, high = self.span
        row = np.clip(((along - low) / (high - low) * _HEIGHTS).astype(int), 0, _HEIGHTS - 1)
        column = _sector(x, z)
        out = self.radius[row, column] - np.hypot(x, z)
        return np.minimum(out, np.minimum(along - low, high - along))


def _sector(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return ((np.arctan2(z, x) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS


@lru_cache(maxsize=16)  # people are hashed by identity
def solids_of(person: Person) -> dict[str, Solid]:
    """The solids of a person, of the clothed skin in the rest pose."""
    names = makehuman.rig().names
    found = {}
    for name, (bone, end) in _SOLIDS.items():
        origin, tip = (person.joints[names.index(b)] for b in (bone, end))
        along = (tip - origin) / np.linalg.norm(tip - origin)
        first = np.cross(along, [0.3, 0.2, 1.0])
        first /= np.linalg.norm(first)
        axes = np.stack([along, first, np.cross(along, first)])
        height, x, z = axes @ (person.skin[skin_of_bones(*_SKIN.get(name, (bone,)))] - origin).T
        low, high = np.percentile(height, [2, 98])
        row = np.clip(((height - low) / (high - low) * _HEIGHTS).astype(int), 0, _HEIGHTS - 1)
        radius = np.zeros((_HEIGHTS, _SECTORS))
        np.maximum.at(radius, (row, _sector(x, z)), np.hypot(x, z))
        found[name] = Solid(names.index(bone), origin, axes, (float(low), float(high)), radius)
    return found


def deepest(person: Person, body: Sketch) -> dict[tuple[str, str], float]:
    """(part, solid) -> how deep (metres) the part sinks into the solid, for all that do."""
    found = {}
    for name, solid in solids_of(person).items():
        others = [part for part in regions() if part != name and part not in _NEIGHBOURS[name]]
        points = np.concatenate([body.of(part) for part in others])
        depth = solid.depth((points - body.offsets[solid.bone]) @ body.rotations[solid.bone])
        start = 0
        for part in others:
            end = start + len(body.of(part))
            most = float(depth[start:end].max())
            if most > 0:
                found[part, name] = most
            start = end
    return found


def worst(person: Person, body: Sketch) -> float:
    """The deepest that any part sinks into another, metres."""
    return max(deepest(person, body).values(), default=0.0)
