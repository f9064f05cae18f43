"""Smooth, varied, plausible motion: joint angles as slow sums of sines within joint limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from slimdp.synthetic.person import Person, Pose

#: Angle -> (lowest, highest) degrees; "flex" brings a limb to the front, "out" away from the body.
LIMITS = {
    "spine_flex": (-12.0, 35.0), "spine_twist": (-30.0, 30.0), "spine_side": (-18.0, 18.0),
    "head_nod": (-25.0, 30.0), "head_turn": (-50.0, 50.0),
    "shoulder_flex": (-35.0, 110.0), "shoulder_out": (-38.0, 95.0), "shoulder_twist": (-40.0, 40.0),
    "elbow": (-35.0, 95.0), "wrist": (-30.0, 30.0),
    "hip_flex": (-22.0, 85.0), "hip_out": (-6.0, 35.0), "hip_twist": (-15.0, 25.0),
    "knee": (0.0, 115.0), "ankle": (-25.0, 20.0),
}  # fmt: skip
TRUNK = ("spine_flex", "spine_twist", "spine_side", "head_nod", "head_turn")
LIMBS = tuple(name for name in LIMITS if name not in TRUNK)


@dataclass(frozen=True)
class Wave:
    """An angle over time: centre + swing * (sin(w t + phase) + 0.3 sin(2 w t + phase')), degrees, hertz."""

    centre: float
    swing: float
    frequency: float
    phase: float
    overtone_phase: float

    def at(self, time: float, limits: tuple[float, float]) -> float:
        """The angle at a time in seconds, bent softly into its limits."""
        turn = 2 * np.pi * self.frequency * time
        value = np.sin(turn + self.phase) + 0.3 * np.sin(2 * turn + self.overtone_phase)
        middle, half = sum(limits) / 2, (limits[1] - limits[0]) / 2
        return middle + half * np.tanh((self.centre + self.swing * value - middle) / half)


class Motion(Protocol):
    """How a person moves."""

    def pose(self, person: Person, seconds: float) -> Pose:
        """The pose at a time; the same for the same time, and any time can be asked for."""
        ...


@dataclass(frozen=True)
class WaveMotion:
    """An angle over time for every joint, and the body's way through the scene."""

    waves: dict[str, Wave]  # "knee_l", "spine_flex", ...
    yaw: float  # radians at time 0
    yaw_speed: float  # radians a second
    position: tuple[float, float]  # metres x, z at time 0
    velocity: tuple[float, float]  # metres a second
    hop: float = 0.0  # height of a hop, metres
    hop_frequency: float = 1.0
    tempo: float = 1.0  # everything happens this many times as fast

    def pose(self, person: Person, seconds: float) -> Pose:
        """As `Motion.pose`."""
        return _pose_at(self, person, self.tempo * seconds)


def _wave(
    rng: np.random.Generator, centre: float, swing: float, frequency: float, phase: float | None = None
) -> Wave:
    start = rng.uniform(0, 2 * np.pi) if phase is None else phase
    return Wave(centre, swing, frequency, start, rng.uniform(0, 2 * np.pi))


def _stand(rng: np.random.Generator) -> dict[str, Wave]:
    """Stand and gesture."""
    waves = _trunk(rng, 0.6, 0.3)
    for side in "lr":
        slow = rng.uniform(0.2, 0.5)
        waves[f"shoulder_flex_{side}"] = _wave(rng, rng.uniform(-5, 45), rng.uniform(5, 30), slow)
        waves[f"shoulder_out_{side}"] = _wave(rng, rng.uniform(-34, 10), rng.uniform(3, 18), slow)
        waves[f"elbow_{side}"] = _wave(rng, rng.uniform(-20, 70), rng.uniform(8, 35), slow)
        waves[f"hip_out_{side}"] = _wave(rng, rng.uniform(0, 12), 1.0, 0.2)
        waves[f"knee_{side}"] = _wave(rng, rng.uniform(0, 12), 4, 0.3)
    return waves


def _walk(rng: np.random.Generator) -> dict[str, Wave]:
    """Walk or run: legs in antiphase, arms against the legs."""
    pace, stride = rng.uniform(0.5, 1.0), rng.uniform(15, 32)
    start = rng.uniform(0, 2 * np.pi)
    waves = _trunk(rng, 0.4, pace)
    bend = rng.uniform(-25, 50)
    for side, phase in (("l", start), ("r", start + np.pi)):
        waves[f"hip_flex_{side}"] = _wave(rng, stride / 3, stride, pace, phase)
        waves[f"knee_{side}"] = _wave(rng, stride * 0.8, stride * 0.9, pace, phase - 1.2)
        waves[f"ankle_{side}"] = _wave(rng, 0, 8, pace, phase)
        waves[f"shoulder_flex_{side}"] = _wave(rng, 5, stride * rng.uniform(0.5, 1.1), pace, phase + np.pi)
        waves[f"shoulder_out_{side}"] = _wave(rng, rng.uniform(-36, -22), 3, pace)
        waves[f"elbow_{side}"] = _wave(rng, bend, 10, pace, phase + np.pi)
    return waves


def _dance(rng: np.random.Generator) -> dict[str, Wave]:
    """Move everything."""
    beat = rng.uniform(0.3, 0.55)
    waves = _trunk(rng, 1.0, beat)
    for side in "lr":
        for name in LIMBS:
            low, high = LIMITS[name]
            share = {
                "shoulder_out": 0.42,
                "shoulder_flex": 0.32,
                "elbow": 0.4,
                "hip_flex": 0.22,
                "knee": 0.25,
            }
            centre = rng.uniform(low + 0.25 * (high - low), low + 0.75 * (high - low))
            if name in ("hip_flex", "knee", "hip_out"):
                centre = rng.uniform(0, 0.3 * high)
            swing = (high - low) * share.get(name, 0.15) * rng.uniform(0.3, 0.8)
            waves[f"{name}_{side}"] = _wave(rng, centre, swing, beat)
    return waves


def _squat(rng: np.random.Generator) -> dict[str, Wave]:
    """Bend the knees, sit down and rise."""
    waves = _stand(rng)
    depth, speed, start = rng.uniform(35, 75), rng.uniform(0.2, 0.4), rng.uniform(0, 2 * np.pi)
    for side in "lr":
        waves[f"hip_flex_{side}"] = _wave(rng, depth * 0.6, depth * 0.45, speed, start)
        waves[f"knee_{side}"] = _wave(rng, depth * 0.8, depth * 0.5, speed, start)
        waves[f"hip_out_{side}"] = _wave(rng, rng.uniform(4, 20), 2, speed)
    waves["spine_flex"] = _wave(rng, 15, 12, speed, start)
    return waves


def _reach(rng: np.random.Generator) -> dict[str, Wave]:
    """Raise the arms, wave, stretch."""
    waves = _stand(rng)
    for side in "lr":
        speed = rng.uniform(0.25, 0.6)
        waves[f"shoulder_out_{side}"] = _wave(rng, rng.uniform(10, 75), rng.uniform(8, 30), speed)
        waves[f"elbow_{side}"] = _wave(rng, rng.uniform(-30, 40), rng.uniform(8, 35), speed)
        waves[f"shoulder_twist_{side}"] = _wave(rng, 0, 20, speed)
    return waves


ACTIVITIES: dict[str, Callable[[np.random.Generator], dict[str, Wave]]] = {
    "stand": _stand,
    "walk": _walk,
    "dance": _dance,
    "squat": _squat,
    "reach": _reach,
}


def _trunk(rng: np.random.Generator, strength: float, frequency: float) -> dict[str, Wave]:
    waves = {}
    for name in TRUNK:
        low, high = LIMITS[name]
        spread = (high - low) / 2 * strength
        waves[name] = _wave(rng, rng.normal(0, 0.3) * spread, spread * rng.uniform(0.1, 0.5), frequency)
    return waves


def random_motion(rng: np.random.Generator, activity: str | None = None, tempo: float = 1.0) -> WaveMotion:
    """A motion of an activity (any of ACTIVITIES), looking anywhere, mostly towards the camera (+z)."""
    name = activity or str(rng.choice(list(ACTIVITIES)))
    yaw = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.6)
    speed = rng.uniform(0, 0.6) if name == "walk" else rng.uniform(0, 0.15)
    return WaveMotion(
        waves=ACTIVITIES[name](rng),
        yaw=yaw,
        yaw_speed=rng.normal(0, 1.0),
        position=(rng.uniform(-0.1, 0.1), 0.0),
        velocity=(speed * np.sin(yaw), speed * np.cos(yaw)),
        hop=rng.uniform(0, 0.12) if name == "dance" else 0.0,
        hop_frequency=rng.uniform(0.5, 1.0),
        tempo=tempo,
    )


def _pose_at(motion: WaveMotion, person: Person, time: float) -> Pose:
    angles = {}
    for name, wave in motion.waves.items():
        base = name[:-2] if name.endswith(("_l", "_r")) else name
        angles[name] = np.deg2rad(wave.at(time, LIMITS[base]))

    def angle(name: str) -> float:
        return angles.get(name, 0.0)

    spine = np.array([angle("spine_flex"), angle("spine_twist"), angle("spine_side")]) / 3
    head = np.array([angle("head_nod"), angle("head_turn"), 0.0]) / 2
    rotations = {"spine_01": spine, "spine_02": spine, "spine_03": spine, "neck_01": head, "head": head}
    for side, mirror in (("l", 1), ("r", -1)):
        rotations[f"upperarm_{side}"] = np.array(
            [
                -angle(f"shoulder_flex_{side}"),
                mirror * angle(f"shoulder_twist_{side}"),
                mirror * angle(f"shoulder_out_{side}"),
            ]
        )
        rotations[f"lowerarm_{side}"] = person.elbow_axis[side] * angle(f"elbow_{side}")
        rotations[f"hand_{side}"] = np.array([angle(f"wrist_{side}"), 0.0, 0.0])
        rotations[f"thigh_{side}"] = np.array(
            [
                -angle(f"hip_flex_{side}"),
                mirror * angle(f"hip_twist_{side}"),
                mirror * angle(f"hip_out_{side}"),
            ]
        )
        rotations[f"calf_{side}"] = np.array([angle(f"knee_{side}"), 0.0, 0.0])
        rotations[f"foot_{side}"] = np.array([angle(f"ankle_{side}"), 0.0, 0.0])
    hop = motion.hop * abs(np.sin(np.pi * motion.hop_frequency * time))
    return Pose(
        rotations=rotations,
        yaw=motion.yaw + motion.yaw_speed * time,
        position=(
            motion.position[0] + motion.velocity[0] * time,
            hop,
            motion.position[1] + motion.velocity[1] * time,
        ),
    )
