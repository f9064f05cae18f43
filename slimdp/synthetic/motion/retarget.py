"""A recorded motion on any of our bodies: bones are pointed in the world as the recorded ones are.

Only directions are taken over, never rotations: so neither the rest pose of the recorded skeleton (T, A or
none) nor the roll of its bones matters. What directions do not tell is how a limb is turned about itself:
the hinge of its elbow or knee does, which is found over the whole clip, as a straight limb does not show it.
A head is taken to look, on average over the clip, where the chest does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from slimdp.synthetic.motion.bvh import BvhClip, map_joints
from slimdp.synthetic.person import SIDES, Build, Person, Pose, limb_frame, local_rotations

#: Lower than this over the floor counts as standing on it, legs.
_ON_THE_FLOOR = 0.04
#: An elbow or knee that never bends more (its sine, on average) says nothing about its hinge.
_BENT = 0.05
_LIMBS = (("upperarm", "lowerarm", "hand", -1.0), ("thigh", "calf", "foot", 1.0))
#: Joints that something is pointed from and to; nearer than this share of a leg no direction is known.
_APART = (
    ("upperarm_l", "upperarm_r"),
    ("thigh_l", "thigh_r"),
    *((f"{bone}_{side}", f"{next_bone}_{side}") for side in SIDES for a, b, c, _ in _LIMBS
      for bone, next_bone in ((a, b), (b, c))),
)  # fmt: skip
_LEAST_BONE = 1e-4


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class BvhMotion:
    """A recorded motion, scaled by the length of the legs, begun at `start` seconds and played to and fro.

    Its middle is over the origin. Which way is up (y or z) is seen from where the head is over the feet.
    Raises ValueError, naming the joints, if the skeleton lacks an essential one, or if two that a bone is
    pointed by lie in one place.
    """

    clip: BvhClip
    start: float = 0.0

    def __post_init__(self) -> None:
        _ = self._joint, self._leg  # refuse what cannot be mapped here, not in the middle of a rendering
        for first, second in _APART:
            self._check_apart(first, second)

    def pose(self, person: Person, seconds: float) -> Pose:
        """As `Motion.pose`."""
        quaternions, points = self._at(seconds + self.start)
        world = self._trunk(quaternions, points)
        for side in SIDES:
            for upper, lower, end, sign in _LIMBS:
                world |= self._limb(person.build, side, (upper, lower, end), sign, quaternions, points)
        scale = person.build.leg / self._leg
        hips = points[self._joint["hips"]]
        x, _, z = (hips - self._centre) * scale
        lowest = (points[:, 1].min() - self._floor) / self._leg
        air = max(lowest - _ON_THE_FLOOR, 0.0) * person.build.leg
        rest = person.build.joints["pelvis"]
        return Pose(local_rotations(world), position=(float(x - rest[0]), float(air), float(z - rest[2])))

    @cached_property
    def _joint(self) -> dict[str, int]:
        """Our joint -> the clip's."""
        names = [joint.name for joint in self.clip.joints]
        found = {ours: names.index(theirs) for ours, theirs in map_joints(names).items()}
        ends = {joint.parent: index for index, joint in enumerate(self.clip.joints) if not joint.channels}
        for ours in ("ball_l", "ball_r"):
            foot = found.get("foot" + ours[-2:])
            if ours not in found and foot in ends:
                found[ours] = ends[foot]
        for side in SIDES:  # the ends of chains that stop at elbow or knee
            for upper, end in (("lowerarm", "hand"), ("calf", "foot")):
                joint = found[f"{upper}_{side}"]
                if f"{end}_{side}" not in found:
                    if joint not in ends:
                        nothing = f"{names[joint]} has no joint or End Site below it"
                        raise ValueError(f"{nothing} to point the {upper} to")
                    found[f"{end}_{side}"] = ends[joint]
        return found

    def _check_apart(self, first: str, second: str) -> None:
        a, b = self._joint[first], self._joint[second]
        points = self._world[1]
        distance = np.linalg.norm(points[:, a] - points[:, b], axis=1)
        frame = int(distance.argmin())
        if not distance[frame] > _LEAST_BONE * self._leg:  # nor NaN
            names = " and ".join(self.clip.joints[index].name for index in (a, b))
            unknown = "so no direction from one to the other is known; are their offsets 0?"
            raise ValueError(f"frame {frame + 1}: joints {names} lie in one place, {unknown}")

    @cached_property
    def _up(self) -> Rotation:
        """Turns the clip's axes so that y is up."""
        _, points = self._chain(*self.clip.local)
        rise = (self._between("upperarm", points) - self._between("foot", points)).mean(axis=0)
        lying = abs(rise[2]) > abs(rise[1])
        return Rotation.from_euler("x", -90, degrees=True) if lying else Rotation.identity()

    def _between(self, bone: str, points: np.ndarray) -> np.ndarray:
        """The middle (..., 3) between the left and the right one of joints (..., J, 3)."""
        return (points[..., self._joint[f"{bone}_l"], :] + points[..., self._joint[f"{bone}_r"], :]) / 2

    def _across(self, bone: str, points: np.ndarray) -> np.ndarray:
        """The way (..., 3) from the right to the left one of joints (..., J, 3)."""
        return points[..., self._joint[f"{bone}_l"], :] - points[..., self._joint[f"{bone}_r"], :]

    def _chain(self, local: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (T, J, 4) and places (T, J, 3) in the world from those in the parents."""
        world: list[Rotation] = []
        points: list[np.ndarray] = []
        for index, joint in enumerate(self.clip.joints):
            turn = Rotation.from_quat(local[:, index])
            if joint.parent < 0:
                world.append(turn)
                points.append(places[:, index])
            else:
                world.append(world[joint.parent] * turn)
                points.append(points[joint.parent] + world[joint.parent].apply(places[:, index]))
        return np.stack([turn.as_quat() for turn in world], axis=1), np.stack(points, axis=1)

    @cached_property
    def _world(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (T, J, 4) and places (T, J, 3) of all frames, y up."""
        quaternions, points = self._chain(*self.clip.local)
        shape = quaternions.shape
        turned = (self._up * Rotation.from_quat(quaternions.reshape(-1, 4))).as_quat().reshape(shape)
        return turned, self._up.apply(points.reshape(-1, 3)).reshape(points.shape)

    def _at(self, seconds: float) -> tuple[list[Rotation], np.ndarray]:
        """Rotations and places (J, 3) of the joints in the world at a time, between frames by slerp."""
        local, places = self.clip.local
        last = len(local) - 1
        frame = seconds / self.clip.frame_seconds % (2 * last) if last else 0.0
        frame = min(frame, 2 * last - frame)
        before = min(int(frame), max(last - 1, 0))
        after = min(before + 1, last)
        share = frame - before
        first, second = (Rotation.from_quat(local[frame]) for frame in (before, after))
        between = first * Rotation.from_rotvec(share * (first.inv() * second).as_rotvec())  # slerp
        place = (1 - share) * places[before] + share * places[after]
        quaternions, points = self._chain(between.as_quat()[None], place[None])
        world = self._up * Rotation.from_quat(quaternions[0])
        return list(world), self._up.apply(points[0])

    @cached_property
    def _leg(self) -> float:
        """From hip to ankle, in the clip's unit."""
        joints = [self._joint[name] for name in ("thigh_l", "calf_l", "foot_l")]
        points = self._world[1][0, joints]
        length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        if length <= 0:
            raise ValueError("the skeleton's left leg has no length: are its offsets all 0?")
        return 1.09 * length  # and to the sole: the ankle is 8 % of a leg above it

    @cached_property
    def _floor(self) -> float:
        return float(np.percentile(self._world[1][..., 1].min(axis=1), 2))

    @cached_property
    def _centre(self) -> np.ndarray:
        hips = self._world[1][:, self._joint["hips"]]
        return (hips.min(axis=0) + hips.max(axis=0)) / 2

    def _trunk(self, quaternions: list[Rotation], points: np.ndarray) -> dict[str, np.ndarray]:
        """Pelvis by the hips and where the chest is, chest by the shoulders, the spine between; the head."""
        at = {name: points[joint] for name, joint in self._joint.items()}
        base = self._between("thigh", points)
        top = at.get("neck", self._between("upperarm", points))
        middle = at.get("chest", top)
        if not np.linalg.norm(middle - base) > 0.15 * self._leg:
            middle = top
        pelvis = _upright(middle - base, self._across("thigh", points))
        chest = _upright(top - base, self._across("upperarm", points))
        way = Slerp([0, 1], Rotation.from_matrix([pelvis, chest]))
        world = {"pelvis": pelvis} | {f"spine_0{number}": way(number / 3).as_matrix() for number in (1, 2, 3)}
        if "head" in self._joint:
            head = (quaternions[self._joint["head"]] * self._head_rest).as_matrix()
            half = Slerp([0, 1], Rotation.from_matrix([chest, head]))(0.5).as_matrix()
            world |= {"neck_01": half, "head": head}
        return world

    @cached_property
    def _head_rest(self) -> Rotation:
        """What comes before the head's rotation so that, on average, it looks where the chest does."""
        quaternions, points = self._world
        ups = self._between("upperarm", points) - self._between("thigh", points)
        chest = [_upright(up, left) for up, left in zip(ups, self._across("upperarm", points))]
        head = Rotation.from_quat(quaternions[:, self._joint["head"]])
        return (head.inv() * Rotation.from_matrix(chest)).mean()

    @cached_property
    def _hinges(self) -> dict[str, np.ndarray]:
        """Limb ("upperarm_l", ...) -> its hinge (3,) in the upper bone's own axes, where it ever bends."""
        quaternions, points = self._world
        out = {}
        for side in SIDES:
            for upper, lower, end, _ in _LIMBS:
                a, b, c = (points[:, self._joint[f"{bone}_{side}"]] for bone in (upper, lower, end))
                bend = np.cross(_unit(b - a), _unit(c - b))  # as long as the sine of the bend
                turn = Rotation.from_quat(quaternions[:, self._joint[f"{upper}_{side}"]])
                mean = turn.inv().apply(bend).mean(axis=0)
                if np.linalg.norm(mean) > _BENT:
                    out[f"{upper}_{side}"] = mean
        return out

    def _limb(
        self,
        build: Build,
        side: str,
        bones: tuple[str, str, str],
        sign: float,
        quaternions: list[Rotation],
        points: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """World rotations of an arm or a leg."""
        upper, lower, end = (f"{bone}_{side}" for bone in bones)
        a, b, c = (points[self._joint[bone]] for bone in (upper, lower, end))
        if upper in self._hinges:
            hinge = quaternions[self._joint[upper]].apply(self._hinges[upper])
        else:
            hinge = sign * self._across(bones[0], points)
            if not np.linalg.norm(np.cross(_unit(hinge), _unit(b - a))) > 0.1:
                hinge = np.array([0, sign, 0.0])
        frames = {upper: limb_frame(b - a, hinge), lower: limb_frame(c - b, hinge)}
        if bones[2] == "foot" and f"ball_{side}" in self._joint:
            toes = points[self._joint[f"ball_{side}"]] - c
            if np.linalg.norm(toes) > 0.03 * self._leg:
                frames[end] = limb_frame(toes, hinge)
        return {bone: frame @ build.frames[bone].T for bone, frame in frames.items()}


def _upright(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that takes y to `up` and x to what of `left` is across it."""
    y = _unit(up)
    x = _unit(left - (left @ y) * y)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
