"""Channels over time: gaits, key poses with smooth ways between them, slow sway, and sums of such parts.

Angles and lengths as in `solve`. Timing of gaits follows Winter, "Biomechanics and motor control of human
movement": a walker's foot is on the ground for about 60 % of its cycle, a runner's for about 35 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.interpolate import PchipInterpolator

from slimdp.synthetic.motion.solve import Channels, mirrored, solve
from slimdp.synthetic.person import Person, Pose


@dataclass(frozen=True)
class Loop:
    """An oval walked round and round."""

    width: float  # half axes in legs, x and z
    depth: float
    rate: float  # radians a second; negative walks it the other way
    start: float  # radians
    centre: tuple[float, float] = (0.0, 0.0)  # legs, x and z

    def at(self, seconds: float) -> tuple[np.ndarray, float]:
        """Place (2,) x, z in legs and heading in degrees, 0 to +z, which never jumps."""
        turn = self.start + self.rate * seconds
        place = np.array(self.centre) + [self.width * np.cos(turn), self.depth * np.sin(turn)]
        # The tangent of an oval is that of a circle, up to what of it leads or lags.
        x, z = -self.width * np.sin(turn), self.depth * np.cos(turn)
        circle = np.arctan2(-np.sin(turn), np.cos(turn))
        ahead = np.arctan2(x, z) - circle
        ahead = (ahead + np.pi) % (2 * np.pi) - np.pi
        back = 0.0 if self.rate >= 0 else np.pi
        return place, float(np.rad2deg(ahead - turn + back))


@dataclass(frozen=True)
class Standstill:
    """A path that stays where it is, and may turn."""

    heading: float = 0.0  # degrees
    turn_rate: float = 0.0  # degrees a second

    def at(self, seconds: float) -> tuple[np.ndarray, float]:
        """As `Loop.at`."""
        return np.zeros(2), self.heading + self.turn_rate * seconds


@dataclass(frozen=True)
class Style:
    """How somebody goes. Shares are of a foot's cycle, which begins when it comes down."""

    ground: float  # share of the cycle that a foot is on the ground
    lift: float  # legs: how high a foot swings
    lift_at: float  # share of the swing in which it is highest
    pitch: tuple[tuple[float, float], ...]  # (share of the cycle, heel up in degrees), periodic
    drop: float  # legs: how much lower than standing the pelvis is, on average
    bob: float  # legs: it rises and falls by so much; positive is low in the middle of a stance
    stance_width: float  # legs: how far the feet come in from under the hips
    arms: float  # degrees: the arms' swing
    elbow: float  # degrees
    elbow_swing: float
    hips: float = 5.0  # degrees: how far the pelvis turns with the legs
    lean: float = 3.0  # degrees forward


WALK_PITCH = ((0.0, -20.0), (0.09, 0.0), (0.34, 0.0), (0.6, 42.0), (0.68, 48.0), (0.85, -4.0))
RUN_PITCH = ((0.0, -4.0), (0.06, 0.0), (0.17, 0.0), (0.35, 48.0), (0.58, 75.0), (0.86, 2.0))


@dataclass(frozen=True)
class Gait:
    """Steps along a path."""

    path: Loop | Standstill
    style: Style
    rate: float  # cycles (two steps) a second
    start: float  # cycles

    def channels(self, seconds: float) -> dict[str, float]:
        """As `Part.channels`."""
        cycle = self.start + self.rate * seconds
        place, heading = self.path.at(seconds)
        right, style = np.deg2rad(heading), self.style
        out = {}
        for side, sign, lag in (("l", 1, 0.0), ("r", -1, 0.5)):
            for name, value in self._foot(cycle - lag, lag, sign).items():
                out[f"{name}_{side}"] = value
        # The cycle begins with the left heel: left leg in front, left arm back.
        swing = np.cos(2 * np.pi * (cycle - 0.04))
        twice = np.cos(4 * np.pi * (cycle - style.ground / 2))
        shift = 0.022 * np.cos(2 * np.pi * (cycle - style.ground / 2))
        bank = self._bank(seconds)
        out |= {
            "pelvis_x": place[0] + shift * np.cos(right),
            "pelvis_z": place[1] - shift * np.sin(right),
            "pelvis_y": -style.drop - style.bob * twice,
            "pelvis_yaw": heading - style.hips * swing,
            "pelvis_roll": -0.35 * style.hips * np.sin(2 * np.pi * (cycle - 0.05)) + bank,
            "pelvis_pitch": 0.5 * style.lean,
            "spine_flex": 0.8 * style.lean + 1.5 * np.cos(4 * np.pi * cycle),
            "spine_twist": 2.2 * style.hips * swing,
            "spine_side": -0.3 * style.hips * np.sin(2 * np.pi * cycle) - 0.3 * bank,
            "head_nod": -0.8 * style.lean - 1.5 * np.cos(4 * np.pi * cycle),
            "head_turn": -1.2 * style.hips * swing,
            "head_tilt": -0.6 * bank,
        }
        for side, sign in (("l", -1), ("r", 1)):
            out[f"arm_flex_{side}"] = sign * style.arms * swing
            out[f"elbow_{side}"] = style.elbow + sign * style.elbow_swing * swing
        return {name: float(value) for name, value in out.items()}

    def _bank(self, seconds: float) -> float:
        """How far one leans into a curve, degrees: the angle of gravity and centripetal force."""
        (before, b), (after, a) = (self.path.at(seconds + step) for step in (-0.05, 0.05))
        speed = np.linalg.norm(after - before) / 0.1 * 0.85  # m/s, for a leg of 0.85 m
        turning = np.deg2rad(a - b) / 0.1
        return float(np.clip(np.rad2deg(np.arctan(speed * turning / 9.81)), -20, 20))

    @cached_property
    def _pitch(self) -> Callable[[float], float]:
        times = [time + turn for turn in (-1, 0, 1) for time, _ in self.style.pitch]
        return PchipInterpolator(times, [pitch for _, pitch in self.style.pitch] * 3)

    def _foot(self, cycle: float, lag: float, sign: int) -> dict[str, float]:
        """Where a foot is, `cycle` cycles after it first came down."""
        step, share = divmod(cycle, 1.0)
        ground = self.style.ground
        print_0, heading_0 = self._footprint(step + lag, sign)
        x, z, heading, height = *print_0, heading_0, 0.0
        if share > ground:
            s = (share - ground) / (1 - ground)
            print_1, heading_1 = self._footprint(step + 1 + lag, sign)
            way = s * s * (3 - 2 * s)  # at most 1.5 times its mean speed, as of people's swinging feet
            x, z = print_0 + way * (print_1 - print_0)
            heading += way * (heading_1 - heading_0)
            peak = s ** (np.log(0.5) / np.log(self.style.lift_at))
            height = self.style.lift * np.sin(np.pi * peak) ** 2
        pitch = float(self._pitch(share))
        return {"foot_x": x, "foot_z": z, "foot_y": height, "foot_yaw": heading, "foot_pitch": pitch}

    def _footprint(self, cycle: float, sign: int) -> tuple[np.ndarray, float]:
        """Where the foot that comes down at `cycle` stands (x, z in legs from under the hip) and heads."""
        middle = (cycle + self.style.ground / 2 - self.start) / self.rate
        place, heading = self.path.at(middle)
        turn = np.deg2rad(heading)
        hip = 0.119  # legs from the middle to a hip
        across = sign * (hip - self.style.stance_width)
        return place + across * np.array([np.cos(turn), -np.sin(turn)]) - [sign * hip, 0.0], heading


#: A key pose: its time in seconds, and its channels; those that are not named are 0.
Key = tuple[float, Channels]
#: What one factor scales for a whole sequence.
_WAYS = ("foot_x_", "foot_y_", "foot_z_", "foot_yaw_", "pelvis_x", "pelvis_y", "pelvis_z")


class Part(Protocol):
    """What gives channels at any time."""

    def channels(self, seconds: float) -> dict[str, float]:
        """The channels at a time, the same for the same time."""
        ...


@dataclass(frozen=True)
class Keys:
    """Key poses, passed through without overshoot (Fritsch and Carlson's monotone cubic curves).

    With a period they repeat; without, the first is held before them and the last after them.
    """

    keys: tuple[Key, ...]
    period: float | None = None  # seconds, beyond the last key
    start: float = 0.0  # seconds added to all times

    def __post_init__(self) -> None:
        times = np.array([time for time, _ in self.keys])
        last = np.inf if self.period is None else times[0] + self.period
        if not len(times) or (np.diff([*times, last]) <= 0).any():
            found = f"key poses at {times.tolist()} s with period {self.period}"
            raise ValueError(f"{found}: wanted rising times")

    @cached_property
    def _names(self) -> list[str]:
        return sorted({name for _, channels in self.keys for name in channels})

    @cached_property
    def _curve(self) -> PchipInterpolator:
        times = [time for time, _ in self.keys]
        rows = [[channels.get(name, 0.0) for name in self._names] for _, channels in self.keys]
        if self.period is None:
            # One more key beyond each end, so that it is held without a kink.
            times = [times[0] - 1, *times, times[-1] + 1]
            rows = [rows[0], *rows, rows[-1]]
        else:
            times = [time + turn * self.period for turn in (-1, 0, 1) for time in times]
            rows = rows * 3
        return PchipInterpolator(times, np.array(rows), axis=0)

    def channels(self, seconds: float) -> dict[str, float]:
        """As `Part.channels`."""
        first, last = self.keys[0][0], self.keys[-1][0]
        time = seconds - self.start
        time = min(max(time, first), last) if self.period is None else first + (time - first) % self.period
        return dict(zip(self._names, self._curve(time).tolist()))


@dataclass(frozen=True)
class Sway:
    """Small slow movements that nobody can help: two sines a channel."""

    waves: Mapping[str, tuple[tuple[float, float, float], ...]]  # channel -> (swing, hertz, phase)

    def channels(self, seconds: float) -> dict[str, float]:
        """As `Part.channels`."""

        def at(swing: float, rate: float, phase: float) -> float:
            return swing * np.sin(2 * np.pi * rate * seconds + phase)

        return {name: float(sum(at(*wave) for wave in waves)) for name, waves in self.waves.items()}


def random_sway(rng: np.random.Generator, strength: float = 1.0) -> Sway:
    """Sway of trunk, head and arms, of a few degrees."""
    swings = {"pelvis_x": 0.012, "pelvis_z": 0.008, "pelvis_yaw": 3.0, "spine_flex": 2.5, "spine_twist": 3.0}
    swings |= {"spine_side": 2.0, "head_nod": 5.0, "head_turn": 9.0, "head_tilt": 3.0}
    for side in "lr":
        swings |= {f"arm_flex_{side}": 4.0, f"arm_out_{side}": 3.0, f"arm_in_{side}": 5.0}
        swings |= {f"elbow_{side}": 6.0, f"wrist_{side}": 5.0}

    def wave(swing: float, hertz: float) -> tuple[float, float, float]:
        swing = strength * swing * rng.uniform(0.2, 0.7)
        return swing, hertz * rng.uniform(0.7, 1.3), rng.uniform(0, 2 * np.pi)

    return Sway({name: (wave(swing, 0.17), wave(swing, 0.43)) for name, swing in swings.items()})


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class Performance:
    """A motion that is the sum of its parts."""

    parts: Sequence[Part]
    mirror: bool = False  # left-handed

    def channels(self, seconds: float) -> dict[str, float]:
        """All channels at a time."""
        total: dict[str, float] = {}
        for part in self.parts:
            for name, value in part.channels(seconds).items():
                total[name] = total.get(name, 0.0) + value
        return mirrored(total) if self.mirror else total

    def pose(self, person: Person, seconds: float) -> Pose:
        """As `Motion.pose`."""
        return solve(self.channels(seconds), person)


def perform(rng: np.random.Generator, *parts: Part, sway: float = 1.0) -> Performance:
    """The sum of parts and of a sway, of a left-hander in half of all cases."""
    return Performance((*parts, random_sway(rng, sway)), mirror=rng.random() < 0.5)


def held(pose: Channels) -> Keys:
    """One pose, for ever."""
    return Keys(((0.0, pose),))


def sequence(
    rng: np.random.Generator,
    base: Channels,
    moves: Sequence[tuple[float, Channels]],
    repeat: bool = True,
    start: float | None = None,
) -> Keys:
    """Key poses one after the other, each varied a little, as no two people do the same thing alike.

    `moves` are (seconds to get there, what differs from the base); the same object twice is a hold. If they
    repeat, the way from the last pose to the first takes as long as the first move says, and `start`, the
    seconds until the first pose, is drawn within a period unless given; else it is 0.
    """
    pace, stride = float(rng.uniform(0.88, 1.15)), float(rng.uniform(0.88, 1.06))
    made: dict[int, dict[str, float]] = {}
    for _, pose in moves:
        if id(pose) not in made:
            made[id(pose)] = _varied(rng, {**base, **pose}, stride)
    times = pace * np.cumsum([0.0, *(seconds * rng.uniform(0.9, 1.12) for seconds, _ in moves[1:])])
    keys = tuple((float(time), made[id(pose)]) for time, (_, pose) in zip(times, moves))
    period = float(times[-1] + pace * moves[0][0]) if repeat else None
    if start is None:
        start = float(rng.uniform(0, period)) if period else 0.0
    return Keys(keys, period, start)


def _varied(rng: np.random.Generator, channels: Channels, stride: float) -> dict[str, float]:
    """Each angle scaled at random; the ways of feet and pelvis alike, so that who stands stays there."""
    return {
        name: value * (stride if name.startswith(_WAYS) else float(np.clip(rng.normal(1, 0.09), 0.75, 1.25)))
        for name, value in channels.items()
    }
