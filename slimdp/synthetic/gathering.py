"""People in postures and what carries them, beside or before one another, and a camera that frames them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from slimdp.synthetic.camera import CameraPath, look_at, random_drift
from slimdp.synthetic.furniture import furniture_for
from slimdp.synthetic.motion import Motion, PlacedMotion, held_posture, random_motion
from slimdp.synthetic.objects import Prop, turned
from slimdp.synthetic.person import Person, PosedPerson, pose_person
from slimdp.synthetic.photograph import SceneStyle
from slimdp.synthetic.tables import SEATS, table_before

_TRIES = 25
#: Metres between the skins of different people, at least.
_AIR = 0.03
#: Every so many vertices of the skin are looked at.
_SPARSE = 40

#: What a close-up shows: the keypoints that it must, and their share of its scenes.
_VIEWS = {
    "upper body": (0.4, ("head_top", "left_shoulder", "right_shoulder", "left_hip", "right_hip")),
    "head": (0.12, ("head_top", "head_bottom", "left_shoulder", "right_shoulder")),
    "torso": (0.13, ("left_shoulder", "right_shoulder", "left_hip", "right_hip")),
    "to the knees": (0.2, ("head_top", "left_shoulder", "right_shoulder", "left_knee", "right_knee")),
    "legs": (0.15, ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")),
}  # fmt: skip


@dataclass(frozen=True)
class Guest:
    """A person at a place, at time 0."""

    motion: PlacedMotion
    posed: PosedPerson
    props: tuple[Prop, ...]

    @property
    def points(self) -> np.ndarray:
        """Some of the skin, (N, 3) metres."""
        return self.posed.skin[::_SPARSE]


def gather(rng: np.random.Generator, people: Sequence[Person], style: SceneStyle) -> list[Guest]:
    """People near the origin, each in a posture or moving, nobody in another or in another's furniture.

    Where no free place is found, the last one tried is taken.
    """
    guests: list[Guest] = []
    in_line = len(people) > 1 and rng.random() < style.before
    for person in people:
        motion, kind = _random_posture(rng, person, style)
        base = motion.pose(person, 0.0)
        skin = pose_person(person, base).skin
        furniture = [] if kind == "floor" else furniture_for(rng, kind, skin)
        if style.tables > 0 and kind in SEATS and rng.random() < style.tables:
            furniture += table_before(rng, skin)
        for _ in range(_TRIES):
            placed = _placed(rng, motion, bool(guests), in_line, style.tempo)
            props = tuple(
                turned(prop, placed.yaw, np.array([placed.position[0], 0.0, placed.position[1]]))
                for prop in furniture
            )
            guest = Guest(placed, pose_person(person, placed.pose(person, 0.0)), props)
            if all(_apart(guest, other) and _apart(other, guest) for other in guests):
                break
        guests.append(guest)
    return guests


def _random_posture(rng: np.random.Generator, person: Person, style: SceneStyle) -> tuple[Motion, str]:
    """A posture of the style's shares and what carries it; or a moment of any activity, on the floor."""
    shares = style.postures.plain()
    names = [*shares, ""]
    moving = max(1.0 - sum(shares.values()), 0.0)  # as floats they may add up to a little more
    family = str(rng.choice(names, p=[*shares.values(), moving]))
    if not family:
        return random_motion(rng).motion, "floor"
    held = held_posture(rng, person, family)
    return held, held.on


def _placed(
    rng: np.random.Generator, motion: Motion, later: bool, in_line: bool, tempo: float
) -> PlacedMotion:
    """A motion turned to the camera or anywhere; who comes later stands beside, or before or behind."""
    yaw = rng.normal(0, 0.8) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi)
    x, z = rng.normal(0, 0.05, 2)
    if later and in_line:
        x, z = rng.normal(0, 0.22), rng.choice([-1, 1]) * rng.uniform(0.3, 1.5)
    elif later:
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 2.0)
        x, z = distance * np.sin(angle), 0.7 * distance * np.cos(angle)
    return PlacedMotion(motion, float(yaw), (float(x), float(z)), tempo)


def _apart(guest: Guest, other: Guest) -> bool:
    """Whether a guest keeps off another and the other's things."""
    if cKDTree(other.points).query(guest.points)[0].min() < _AIR:
        return False
    for prop in other.props:
        low, high = prop.vertices.min(axis=0) - 0.01, prop.vertices.max(axis=0) + 0.01
        if ((guest.points > low) & (guest.points < high)).all(axis=1).any():
            return False
        for mine in guest.props:
            if (mine.vertices.min(axis=0) < high).all() and (mine.vertices.max(axis=0) > low).all():
                return False
    return True


def framing_camera(
    rng: np.random.Generator, size: tuple[int, int], guests: Sequence[Guest], style: SceneStyle, moving: bool
) -> CameraPath:
    """A camera that has all guests in its frame, or part of one: from any height, with any usual lens."""
    close = rng.random() < style.close
    guest = guests[int(rng.integers(len(guests)))]
    if close:
        view = str(rng.choice(list(_VIEWS), p=[share for share, _ in _VIEWS.values()]))
        points = np.array([guest.posed.keypoints[name] for name in _VIEWS[view][1]])
        share = rng.uniform(0.6, 1.05)
    else:
        points = np.concatenate([one.points for one in guests])
        # Some are cut by the frame, most are not.
        share = rng.uniform(0.5, 0.92) if rng.random() < 0.75 else rng.uniform(0.92, 1.4)
    focal = min(size) * float(np.exp(rng.uniform(np.log(0.85), np.log(2.6))))
    rise = rng.uniform(20, 65) if rng.random() < 0.15 else np.clip(rng.normal(8, 12), -15, 45)
    around, rise = rng.normal(0, 0.25), np.deg2rad(rise)
    way = np.array([np.cos(rise) * np.sin(around), np.sin(rise), np.cos(rise) * np.cos(around)])
    roll = np.deg2rad(rng.normal(0, 4))
    everyone = np.concatenate([one.points for one in guests])
    target, distance, focal = _framed(points, everyone, way, roll, focal, share, size)
    off = rng.uniform(-0.5, 0.5, 2) * max(1.0 - share, 0.12) * np.array(size) * distance / focal
    right = np.cross(-way, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    target = target + off[0] * right + off[1] * np.cross(right, -way)
    position = target + distance * way
    position[1] = max(position[1], 0.12)
    drift = random_drift(rng) if moving else None
    return CameraPath(*size, focal, position, target, roll, float(rng.uniform(0, 1)), drift)


#: Metres from the camera to anybody's skin, at least.
_NEAREST = 0.4


def _framed(
    points: np.ndarray,
    everyone: np.ndarray,
    way: np.ndarray,
    roll: float,
    focal: float,
    share: float,
    size: tuple[int, int],
) -> tuple[np.ndarray, float, float]:
    """Where to look (3,), from how far (metres), and the focal length (px) that fills a share of the frame.

    The camera stands in the direction `way` (3,). Where it would be in somebody, it steps back and zooms.
    """
    target, distance = (points.min(axis=0) + points.max(axis=0)) / 2, 3.0
    rotation = look_at(way, np.zeros(3), roll)
    for _ in range(5):
        local = (points - target - distance * way) @ rotation.T
        flat = local[:, :2] / local[:, 2:]
        low, high = flat.min(axis=0), flat.max(axis=0)
        target = target + ((low + high) / 2 * distance) @ rotation[:2]
        fill = float(((high - low) * focal / np.array(size)).max()) / share
        wanted = distance * fill
        nearest = ((everyone - target) @ way).max() + _NEAREST
        if wanted < nearest:
            focal, wanted = focal * nearest / wanted, nearest
        distance = float(np.clip(wanted, 0.5, 40.0))
    return target, distance, focal
