"""What people look like: procedural clothes, skin, hair and shoes, as colours of surface points.

Every colour is a function of where a point lies on the average body, so that it sticks to the skin in any
pose and shape, as printed cloth would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.surface import BodySurface

TORSO, HANDS, FEET, UPPER_LEGS = (1, 2), (3, 4), (5, 6), (7, 8, 9, 10)
LOWER_LEGS, UPPER_ARMS, LOWER_ARMS, HEAD = (11, 12, 13, 14), (15, 16, 17, 18), (19, 20, 21, 22), (23, 24)


@dataclass(frozen=True)
class Cloth:
    """A pattern printed on cloth."""

    kind: str  # one of PATTERNS
    colours: np.ndarray  # (3, 3) RGB 0..1
    frequency: float  # repeats a metre
    angle: float  # radians
    waves: np.ndarray  # (6, 4): directions and phases of the print


@dataclass(frozen=True)
class Look:
    """The clothes and colours of one person."""

    top: Cloth
    bottom: Cloth
    skin: np.ndarray  # (3,) RGB 0..1
    hair: np.ndarray
    shoes: np.ndarray
    sleeve: float  # how far down the arm the top reaches: 0 none, 1 elbow, 2 wrist
    trouser: float  # how far down the leg the bottom reaches: 0 none, 1 knee, 2 ankle
    hair_length: float  # metres below the crown
    folds: np.ndarray  # (5, 4): waves of the creases


PATTERNS = ("plain", "stripes", "checks", "print", "dots")
#: How patterned garments divide into the patterns after plain.
_SHARES = np.array([4, 3, 5, 2]) / 14


def random_look(rng: np.random.Generator, patterned: float = 0.7) -> Look:
    """Dress a person at random; `patterned` is the share of garments that are not plain."""
    tone = rng.uniform(0.15, 1.0)
    skin = np.array([0.36, 0.22, 0.15]) * (1 - tone) + np.array([0.95, 0.78, 0.68]) * tone
    grey = rng.random() < 0.2
    hair = np.full(3, rng.uniform(0.4, 0.8)) if grey else rng.uniform(0.05, 0.6) * np.array([1.0, 0.7, 0.4])
    return Look(
        top=_random_cloth(rng, patterned),
        bottom=_random_cloth(rng, patterned),
        skin=np.clip(skin + rng.normal(0, 0.02, 3), 0, 1),
        hair=hair,
        shoes=random_colours(rng, 1)[0],
        sleeve=float(rng.choice([0.0, 0.55, 1.0, 2.0], p=[0.1, 0.4, 0.1, 0.4])),
        trouser=float(rng.choice([0.35, 0.9, 2.0], p=[0.15, 0.2, 0.65])),
        hair_length=rng.uniform(0.06, 0.24),
        folds=_random_waves(rng, 5, 4.0, 14.0),
    )


def random_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) RGB 0..1 as cloth and walls have them: any lightness, mostly dull."""
    grey = rng.uniform(0.06, 0.94, (count, 1))
    saturation = rng.beta(1.2, 3, (count, 1))
    return np.clip(grey + saturation * rng.uniform(-0.8, 0.8, (count, 3)), 0.02, 0.98)


def _random_cloth(rng: np.random.Generator, patterned: float) -> Cloth:
    return Cloth(
        kind=str(rng.choice(PATTERNS, p=[1 - patterned, *(patterned * _SHARES)])),
        colours=random_colours(rng, 3),
        frequency=rng.uniform(6, 22),
        angle=rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]),
        waves=_random_waves(rng, 6, 4.0, 20.0),
    )


def _random_waves(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    frequency = np.exp(rng.uniform(np.log(low), np.log(high), (count, 1)))
    return np.concatenate([2 * np.pi * direction * frequency, rng.uniform(0, 2 * np.pi, (count, 1))], axis=1)


def _sum_of_waves(points: np.ndarray, waves: np.ndarray) -> np.ndarray:
    return np.sin(points @ waves[:, :3].T + waves[:, 3]).mean(axis=1)


def _cloth_colour(cloth: Cloth, points: np.ndarray) -> np.ndarray:
    across = points[:, 0] * np.cos(cloth.angle) + points[:, 1] * np.sin(cloth.angle)
    along = -points[:, 0] * np.sin(cloth.angle) + points[:, 1] * np.cos(cloth.angle)
    a, b = across * cloth.frequency % 1, (along + 0.3 * points[:, 2]) * cloth.frequency % 1
    if cloth.kind == "stripes":
        index = (a < 0.45).astype(int)
    elif cloth.kind == "checks":
        index = (a < 0.5).astype(int) + (b < 0.5)
    elif cloth.kind == "dots":
        index = (np.hypot(a - 0.5, b - 0.5) < 0.3).astype(int)
    elif cloth.kind == "print":
        value = _sum_of_waves(points, cloth.waves)
        index = (value > -0.08).astype(int) + (value > 0.12)
    else:
        index = np.zeros(len(points), dtype=int)
    return cloth.colours[index]


def surface_colour(look: Look, surface: BodySurface, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """Colours (N, 3) RGB 0..1, before light, of N points of the skin.

    Args:
        look: the person's clothes.
        surface: the average body, where the garments are cut.
        face: (N,) triangles.
        barycentric: (N, 3) weights.
    """
    points = surface.positions(face, barycentric)
    part = surface.face_part[face]
    joints = {name: surface.vertices[vertex] for name, vertex in surface.keypoints.items()}
    waist = joints["left_hip"][1] + 0.1
    colour = look.skin * (1 + 0.06 * _sum_of_waves(points, look.folds * 3)[:, None])
    leg_end = np.interp(
        look.trouser, [0, 1, 2], [joints["left_hip"][1], joints["left_knee"][1], joints["left_ankle"][1]]
    )
    legs = np.isin(part, UPPER_LEGS + LOWER_LEGS) & (points[:, 1] > leg_end)
    trousers = legs | (np.isin(part, TORSO) & (points[:, 1] <= waist))
    shirt = np.isin(part, TORSO) & (points[:, 1] > waist)
    arms = np.isin(part, UPPER_ARMS + LOWER_ARMS)
    shirt |= arms & (_along_arm(points, joints) < look.sleeve)
    colour = np.where(trousers[:, None], _cloth_colour(look.bottom, points), colour)
    colour = np.where(shirt[:, None], _cloth_colour(look.top, points), colour)
    creases = 1 + 0.22 * _sum_of_waves(points, look.folds)
    colour = np.where((shirt | trousers)[:, None], colour * creases[:, None], colour)
    shoe = np.isin(part, FEET)
    colour = np.where(shoe[:, None], look.shoes * creases[:, None], colour)
    return np.clip(_dress_head(look, colour, points, part, joints), 0, 1)


def _along_arm(points: np.ndarray, joints: dict[str, np.ndarray]) -> np.ndarray:
    """How far down the arm points are: 0 at the shoulder, 1 at the elbow, 2 at the wrist."""
    sided = np.abs(points) * [1, 0, 0] + points * [0, 1, 1]
    shoulder, elbow, wrist = (joints[f"left_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper, lower = elbow - shoulder, wrist - elbow
    on_upper = ((sided - shoulder) @ upper) / (upper @ upper)
    on_lower = ((sided - elbow) @ lower) / (lower @ lower)
    return np.where(on_upper < 1, on_upper, 1 + np.clip(on_lower, 0, None))


def _dress_head(
    look: Look, colour: np.ndarray, points: np.ndarray, part: np.ndarray, joints: dict[str, np.ndarray]
) -> np.ndarray:
    """Hair, eyes, brows and lips."""
    head = np.isin(part, HEAD)
    nose, crown, eye = joints["nose"], joints["head_top"], joints["left_eye"]
    sided = np.abs(points) * [1, 0, 0] + points * [0, 1, 1]
    behind = points[:, 2] < joints["left_ear"][2] + 0.02
    hairline = eye[1] + 0.055
    hair = head & ((points[:, 1] > hairline) | (behind & (points[:, 1] > crown[1] - look.hair_length)))
    strands = 1 + 0.3 * np.sin(points @ (look.folds[0, :3] * [3, 0.5, 3]))
    colour = np.where(hair[:, None], look.hair * strands[:, None], colour)
    to_eye = np.linalg.norm((sided - eye) * [0.8, 1.3, 0.7], axis=1)
    colour = np.where((head & (to_eye < 0.017))[:, None], [0.12, 0.09, 0.08], colour)
    brow = head & (np.abs(sided[:, 1] - eye[1] - 0.024) < 0.005) & (np.abs(sided[:, 0] - eye[0]) < 0.022)
    colour = np.where((brow & (points[:, 2] > eye[2] - 0.03))[:, None], look.hair * 0.8, colour)
    lips = head & (np.abs(points[:, 1] - nose[1] + 0.045) < 0.009) & (np.abs(points[:, 0]) < 0.026)
    return np.where((lips & (points[:, 2] > nose[2] - 0.06))[:, None], look.skin * [0.85, 0.5, 0.5], colour)
