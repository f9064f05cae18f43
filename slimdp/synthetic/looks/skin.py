"""Skin and face: tone, redness, small spots, eyes, brows, lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.cloth import cell_chance, random_waves, wavy
from slimdp.synthetic.looks.places import ARM, FOOT, HAND, HEAD, LEG, Landmarks, Places

#: From the deepest to the palest, RGB 0..1.
_TONES = np.array([
    [0.23, 0.14, 0.10], [0.36, 0.23, 0.16], [0.52, 0.35, 0.25], [0.68, 0.48, 0.36], [0.80, 0.60, 0.47],
    [0.89, 0.71, 0.59], [0.95, 0.80, 0.71],
])  # fmt: skip
_IRISES = np.array(
    [[0.17, 0.1, 0.06], [0.3, 0.18, 0.1], [0.35, 0.33, 0.18], [0.3, 0.42, 0.5], [0.3, 0.4, 0.33]]
)


@dataclass(frozen=True)
class Skin:
    """The skin of one person."""

    tone: np.ndarray  # (3,) RGB 0..1
    red: float  # how flushed cheeks, knuckles, elbows and knees are, 0..1
    iris: np.ndarray  # (3,)
    lips: np.ndarray  # (3,)
    brow: np.ndarray  # (3,)
    brow_width: float  # metres
    waves: np.ndarray  # (5, 4) of the tone's slow changes
    spots: float  # share of freckles or moles
    seed: int


def random_skin(rng: np.random.Generator, hair: np.ndarray, gender: float) -> Skin:
    """Skin at random; `hair` (3,) colours the brows; the lower `gender`, the likelier are painted lips."""
    where = rng.uniform(0, len(_TONES) - 1)
    tone = np.array([np.interp(where, np.arange(len(_TONES)), channel) for channel in _TONES.T])
    tone = np.clip(tone + rng.normal(0, 0.015, 3), 0.05, 1)
    pale = where / (len(_TONES) - 1)
    made_up = rng.random() < 0.35 * (1 - gender)
    return Skin(
        tone=tone,
        red=float(rng.uniform(0.2, 1.0) * (0.3 + 0.7 * pale)),
        iris=_IRISES[rng.integers(len(_IRISES)) if pale > 0.6 else 0],
        lips=np.clip(tone * ([0.95, 0.52, 0.54] if made_up else [0.9, 0.68, 0.66]), 0, 1),
        brow=np.minimum(hair * 0.8, tone * 0.6),
        brow_width=float(rng.uniform(0.003, 0.006)),
        waves=random_waves(rng, 5, 0.03, 0.15),
        spots=float(rng.choice([0.0, rng.uniform(0.002, 0.03)])),
        seed=int(rng.integers(2**31)),
    )


def skin_colour(skin: Skin, places: Places, marks: Landmarks) -> np.ndarray:
    """Colours (N, 3) of bare skin."""
    x, y, z = places.point.T
    chance = cell_chance(np.floor(x * 220), np.floor((y + 0.37 * z) * 220), skin.seed)
    shade = 0.98 + 0.04 * chance + 0.045 * wavy(places.point, skin.waves)
    shade = np.where(chance < skin.spots, shade * 0.85, shade)
    flush = np.zeros(len(places))
    cheek = np.array([0.045, marks.nose[1] - 0.012, marks.nose[2] - 0.045])
    for region, at, reach in (
        (HEAD, cheek, 0.02),
        (HEAD, marks.nose, 0.014),
        (HEAD, marks.ear, 0.025),
        (ARM, marks.arm[1] - [0, 0, 0.03], 0.04),
        (HAND, marks.arm[2] + [0.02, -0.05, 0.07], 0.03),
    ):
        mine = np.flatnonzero(places.region == region)
        offset = places.point[mine] - at
        offset[:, 0] = places.side[mine] - at[0]
        flush[mine] += np.exp(-(offset**2).sum(axis=1) / reach**2)
    knee = (places.region == LEG) & places.front
    flush[knee] += 0.8 * np.exp(-(((y[knee] - marks.knee) / 0.04) ** 2))
    flush[places.region == FOOT] += 0.2
    redder = np.array([0.03, -0.055, -0.05]) * skin.red
    return skin.tone * shade[:, None] + redder * np.clip(flush, 0, 1.2)[:, None]


def paint_face(skin: Skin, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint eyes, brows, lips and nostrils into colours (N, 3)."""
    where = np.flatnonzero((places.region == HEAD) & (places.point[:, 2] > marks.eye[2] - 0.07))
    x, y, z = places.side[where], places.point[where, 1], places.point[where, 2]
    face = colour[where]
    across, over = x - marks.eye[0], y - marks.eye[1]
    ring = np.hypot(across / 1.5, over) / 0.016
    near = z > marks.eye[2] - 0.03
    face[near & (ring < 1.5)] *= 0.92  # the hollow of the eye
    almond = np.hypot(across / 0.0145, over / 0.0062)
    face[near & (almond < 1.25)] = skin.tone * 0.4  # lashes
    from_iris = np.hypot(across, over)
    face[near & (almond < 1)] = (0.9, 0.88, 0.86)
    face[near & (almond < 1) & (from_iris < 0.0062)] = skin.iris
    face[near & (almond < 1) & (from_iris < 0.0028)] = 0.03
    arch = over - 0.021 + 6 * (across - 0.003) ** 2
    brow = near & (np.abs(arch) < skin.brow_width) & (across > -0.018) & (across < 0.024)
    face[brow] = skin.brow
    mouth = y - (marks.nose[1] - 0.0365)
    width = np.abs(x) / 0.026
    lips = (np.abs(mouth) < 0.0085 * np.sqrt(np.clip(1 - width**2, 0, 1))) & (z > marks.nose[2] - 0.06)
    face[lips] = skin.lips
    face[lips & (np.abs(mouth) < 0.0013)] = skin.lips * 0.5
    nostril = np.hypot((x - 0.008) / 0.005, (y - marks.nose[1] + 0.0125) / 0.003) < 1
    face[nostril & (z > marks.nose[2] - 0.03)] *= 0.5
    colour[where] = face
