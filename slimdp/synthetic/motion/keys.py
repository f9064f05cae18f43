"""Channels over time: key poses with smooth ways between them, slow sway, and sums of such parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.interpolate import PchipInterpolator

from slimdp.synthetic.motion.solve import Channels, mirrored, solve
from slimdp.synthetic.person import Person, Pose

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
            raise ValueError(
                f"key poses at {times.tolist()} s with period {self.period}: wanted rising times"
            )

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
