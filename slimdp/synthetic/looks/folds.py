"""Folds of cloth: rounded ridges and sharp valleys that gather where limbs bend and hems end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.colours import random_waves, wavy
from slimdp.synthetic.looks.places import ARM, LEG, TORSO, Landmarks, Places

#: Legs have triangles of 25 mm: shorter waves would not be seen in the skin's shape.
_LONGEST_ON_ARMS = 0.065


@dataclass(frozen=True)
class Folds:
    """How one garment falls."""

    depth: float  # metres from valley to ridge, at most
    length: float  # metres from ridge to ridge
    slant: float  # radians by which folds of the trunk leave the horizontal
    twist: float  # how obliquely folds run around limbs
    bends: np.ndarray  # (4, 4) waves that bend the folds
    breaks: np.ndarray  # (4, 4) waves that end them


def random_folds(rng: np.random.Generator, depth: float) -> Folds:
    """Folds at random, of a depth in metres."""
    return Folds(
        depth=depth * float(rng.uniform(0.7, 1.2)),
        length=float(rng.uniform(0.05, 0.1)),
        slant=float(rng.uniform(0.3, 1.1)),
        twist=float(rng.normal(0, 1.2)),
        bends=random_waves(rng, 4, 0.12, 0.4),
        breaks=random_waves(rng, 4, 0.1, 0.3),
    )


def fold_height(folds: Folds, places: Places, marks: Landmarks, hanging: bool = False) -> np.ndarray:
    """How high cloth lies on its folds, (N,) in 0..1: 0 in valleys and wherever it lies smooth.

    Args:
        folds: of the garment.
        places: N points.
        marks: of the average body.
        hanging: whether cloth over the legs hangs from the waist (a skirt) instead of wrapping each leg.
    """
    count = len(places)
    phase, strength = np.zeros(count), np.zeros(count)
    trunk, arm, leg = (places.region == which for which in (TORSO, ARM, LEG))
    waist = marks.hip + 0.12
    height = places.point[:, 1]
    # Diagonal, as pulled from the shoulder to the opposite hip, most at waist and armpits.
    diagonal = height * np.cos(folds.slant) + np.sin(folds.slant) * places.side
    phase[trunk] = diagonal[trunk] / folds.length
    pulled = np.exp(-(((height - waist) / 0.11) ** 2)) + np.exp(-(((height - 0.42) / 0.07) ** 2)) * (
        places.side > 0.1
    )
    strength[trunk] = (0.3 + 0.7 * pulled)[trunk]
    bunched = np.exp(-(((places.along - 1) / 0.3) ** 2)) + np.exp(-(((places.along - 1.9) / 0.25) ** 2))
    length = min(folds.length, _LONGEST_ON_ARMS)
    phase[arm] = (places.up / length + 0.35 * bunched + folds.twist * np.sin(places.angle) / 3)[arm]
    strength[arm] = (0.3 + 0.7 * bunched)[arm]
    if hanging:
        phase[leg] = (np.abs(places.point[:, 0]) / folds.length + 0.4 * places.front)[leg]
        strength[leg] = np.clip((marks.hip + 0.1 - height) / 0.4, 0.1, 1)[leg]
    else:
        knee, ankle, crotch = (
            np.exp(-(((height - at) / width) ** 2))
            for at, width in ((marks.knee, 0.09), (marks.ankle, 0.11), (marks.hip - 0.05, 0.1))
        )
        diagonal = height - 0.5 * places.around
        phase[leg] = (diagonal / folds.length + 0.3 * knee + folds.twist * np.sin(places.angle) / 4)[leg]
        strength[leg] = (0.2 + 0.8 * np.maximum(knee, np.maximum(ankle, crotch)))[leg]
    cloth = np.flatnonzero(strength > 0)
    points = places.point[cloth]
    bent = np.pi * phase[cloth] + 2.2 * wavy(points, folds.bends)
    kept = np.clip(0.55 + 1.1 * wavy(points, folds.breaks), 0, 1)
    result = np.zeros(count)
    result[cloth] = np.abs(np.sin(bent)) * np.clip(strength[cloth], 0, 1) * kept
    return result


def shaded(colour: np.ndarray, height: np.ndarray, strength: float) -> np.ndarray:
    """Colours (N, 3) darker in valleys and lighter on ridges, by the height (N,) of folds."""
    return colour * (1 + strength * (height - 0.3))[:, None]
