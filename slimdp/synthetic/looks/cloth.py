"""The cloth of garments: colours, weave, patterns and folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.places import ARM, LEG, TORSO, Landmarks, Places

#: What shops sell most, RGB 0..1: black, white, greys, navy, blue, beige, brown, olive, reds, pink, yellow.
_SHOP = np.array([
    [0.08, 0.08, 0.09], [0.93, 0.93, 0.91], [0.25, 0.26, 0.28], [0.58, 0.59, 0.60], [0.10, 0.14, 0.27],
    [0.22, 0.38, 0.66], [0.80, 0.73, 0.60], [0.38, 0.26, 0.18], [0.33, 0.36, 0.22], [0.72, 0.13, 0.14],
    [0.40, 0.09, 0.16], [0.88, 0.60, 0.64], [0.90, 0.75, 0.25], [0.14, 0.42, 0.30], [0.55, 0.75, 0.86],
])  # fmt: skip


def random_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) RGB 0..1 as cloth and walls have them: any lightness, mostly dull."""
    grey = rng.uniform(0.06, 0.94, (count, 1))
    saturation = rng.beta(1.2, 3, (count, 1))
    return np.clip(grey + saturation * rng.uniform(-0.8, 0.8, (count, 3)), 0.02, 0.98)


def garment_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) RGB 0..1 of one garment, each as different from those before as chance allows."""
    chosen: list[np.ndarray] = []
    for _ in range(count):
        shop = np.clip(_SHOP[rng.integers(len(_SHOP), size=4)] + rng.normal(0, 0.04, (4, 3)), 0.02, 0.98)
        offers = np.where(rng.random((4, 1)) < 0.65, shop, random_colours(rng, 4))
        gap = [min((np.abs(offer - c).sum() for c in chosen), default=0.0) for offer in offers]
        chosen.append(offers[int(np.argmax(gap))])
    return np.stack(chosen)


def random_waves(
    rng: np.random.Generator, count: int, shortest: float, longest: float, dimensions: int = 3
) -> np.ndarray:
    """Plane waves (count, dimensions + 1): angular frequencies in any direction, phases; lengths in m."""
    direction = rng.normal(size=(count, dimensions))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
    return np.concatenate([2 * np.pi * direction / length, rng.uniform(0, 2 * np.pi, (count, 1))], axis=1)


def wavy(points: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """The mean (N,), in -1..1, of plane waves at points (N, D)."""
    single = waves.astype(np.float32)  # sines of half the bytes take a quarter of the time
    total = np.zeros(len(points), dtype=np.float32)
    for wave in single:
        total += np.sin(points.astype(np.float32) @ wave[:-1] + wave[-1])
    return total / len(waves)


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

    Cloth over the legs hangs from the waist (a skirt) instead of wrapping each leg if `hanging`.
    """
    phase, strength, result = (np.zeros(len(places)) for _ in range(3))
    trunk, arm, leg = (places.region == which for which in (TORSO, ARM, LEG))
    height = places.point[:, 1]

    def near(position: np.ndarray, at: float, width: float) -> np.ndarray:
        return np.exp(-(((position - at) / width) ** 2))

    # Diagonal, as pulled from the shoulder to the opposite hip, most at waist and armpits.
    diagonal = height * np.cos(folds.slant) + np.sin(folds.slant) * places.side
    phase[trunk] = diagonal[trunk] / folds.length
    pulled = near(height, marks.hip + 0.12, 0.11) + near(height, 0.42, 0.07) * (places.side > 0.1)
    strength[trunk] = (0.3 + 0.7 * pulled)[trunk]
    bunched = near(places.along, 1, 0.3) + near(places.along, 1.9, 0.25)
    length = min(folds.length, _LONGEST_ON_ARMS)
    phase[arm] = (places.up / length + 0.35 * bunched + folds.twist * np.sin(places.angle) / 3)[arm]
    strength[arm] = (0.3 + 0.7 * bunched)[arm]
    if hanging:
        phase[leg] = (np.abs(places.point[:, 0]) / folds.length + 0.4 * places.front)[leg]
        strength[leg] = np.clip((marks.hip + 0.1 - height) / 0.4, 0.1, 1)[leg]
    else:
        knee, ankle = near(height, marks.knee, 0.09), near(height, marks.ankle, 0.11)
        crotch = near(height, marks.hip - 0.05, 0.1)
        diagonal = height - 0.5 * places.around
        phase[leg] = (diagonal / folds.length + 0.3 * knee + folds.twist * np.sin(places.angle) / 4)[leg]
        strength[leg] = (0.2 + 0.8 * np.maximum(knee, np.maximum(ankle, crotch)))[leg]
    cloth = np.flatnonzero(strength > 0)
    points = places.point[cloth]
    bent = np.pi * phase[cloth] + 2.2 * wavy(points, folds.bends)
    kept = np.clip(0.55 + 1.1 * wavy(points, folds.breaks), 0, 1)
    result[cloth] = np.abs(np.sin(bent)) * np.clip(strength[cloth], 0, 1) * kept
    return result


def shaded(colour: np.ndarray, height: np.ndarray, strength: float) -> np.ndarray:
    """Colours (N, 3) darker in valleys and lighter on ridges, by the height (N,) of folds."""
    return colour * (1 + strength * (height - 0.3))[:, None]


@dataclass(frozen=True)
class Cloth:
    """A cloth with its pattern."""

    kind: str  # a key of PATTERNS
    colours: np.ndarray  # (4, 3) RGB 0..1; the first is the ground
    period: float  # metres from one stripe, dot or flower to the next
    angle: float  # radians by which the pattern is turned
    share: float  # of a period that is not ground
    waves: np.ndarray  # (8, 4) waves of blobs
    tone: np.ndarray  # (5, 4) waves of the slight variation of all cloth
    seed: int  # of everything that differs from cell to cell


#: Digits of 3 x 5, row by row from the top.
_DIGITS = (
    "111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
    "111100111001111", "111100111101111", "111001010010010", "111101111101111", "111101111001111",
)  # fmt: skip
_DIGIT_CELLS = np.array([[cell == "1" for cell in digit] for digit in _DIGITS])


def cell_chance(column: np.ndarray, row: np.ndarray, seed: int) -> np.ndarray:
    """A number (N,) in 0..1, the same for the same cell and seed; columns and rows are cut to whole ones."""
    mixed = column.astype(np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= row.astype(np.int64).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= np.uint64(seed * 0x165667B19E3779F9 % 2**64)
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed >> np.uint64(40)).astype(np.float64) / 2**24


def in_digit(x: np.ndarray, y: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """Whether points in -0.5..0.5 (x to the right, y up, as seen) lie in a digit's strokes."""
    column, row = np.floor((x + 0.5) * 3).astype(int), np.floor((0.5 - y) * 5).astype(int)
    inside = (np.abs(x) < 0.5) & (np.abs(y) < 0.5)
    return inside & _DIGIT_CELLS[digit, np.clip(row, 0, 4) * 3 + np.clip(column, 0, 2)]


def _turned(cloth: Cloth, places: Places) -> tuple[np.ndarray, np.ndarray]:
    """Ways across and along the pattern, in periods; left and right limbs are cut from different pieces."""
    around = places.around + np.where(places.left | (places.along == 0), 0.0, 0.731)
    c, s = np.cos(cloth.angle), np.sin(cloth.angle)
    return (around * c + places.up * s) / cloth.period, (places.up * c - around * s) / cloth.period


def _grid(cloth: Cloth, places: Places, staggered: bool) -> tuple[np.ndarray, ...]:
    """Where points lie in the cells of a turned grid: x, y in -0.5..0.5 of a period, and column and row."""
    across, along = _turned(cloth, places)
    row = np.floor(along)
    across = across + 0.5 * (row % 2) * staggered
    # Front and back are different pieces too.
    column = np.floor(across) + 1000 * places.front
    return across - np.floor(across) - 0.5, along - row - 0.5, column, row


def _plain(cloth: Cloth, places: Places) -> np.ndarray:
    return np.broadcast_to(cloth.colours[0], (len(places), 3))


def _stripes(cloth: Cloth, places: Places) -> np.ndarray:
    across = _turned(cloth, places)[0] % 1
    index = (across < cloth.share).astype(int)
    if cloth.seed % 3 == 0:  # a thin line beside the broad one
        index[np.abs(across - (1 + cloth.share) / 2) < 0.07] = 2
    return cloth.colours[index]


def _checks(cloth: Cloth, places: Places) -> np.ndarray:
    """Gingham: two bands that darken each other where they cross."""
    across, along = ((way % 1 < 0.5) / 2 for way in _turned(cloth, places))
    return cloth.colours[0] + (cloth.colours[1] - cloth.colours[0]) * (across + along)[:, None]


def _tartan(cloth: Cloth, places: Places) -> np.ndarray:
    """The same bands in warp and weft; each point is half one, half the other."""
    share = cloth.share
    edges = np.array([0.5 * share, 0.5 * share + 0.12, 0.5 * share + 0.24, 0.9])
    bands = np.array([0, 1, 0, 2, 1])
    warp, weft = (
        cloth.colours[bands[np.digitize(np.abs(way % 1 - 0.5) * 2, edges)]] for way in _turned(cloth, places)
    )
    return (warp + weft) / 2


def _dots(cloth: Cloth, places: Places) -> np.ndarray:
    x, y, _, _ = _grid(cloth, places, staggered=True)
    return cloth.colours[(np.hypot(x, y) < 0.2 + 0.25 * cloth.share).astype(int)]


def _blobs(cloth: Cloth, places: Places) -> np.ndarray:
    value = wavy(places.point, cloth.waves)
    index = (value > -0.08).astype(int) + (value > 0.12) + (value > 0.3)
    return cloth.colours[index]


def _flowers(cloth: Cloth, places: Places) -> np.ndarray:
    x, y, column, row = _grid(cloth, places, staggered=True)
    turn, petals, size = (cell_chance(column, row, cloth.seed + i) for i in range(3))
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x) + 2 * np.pi * turn
    reach = (0.28 + 0.16 * size) * (0.75 + 0.25 * np.cos((4 + np.floor(3 * petals)) * angle))
    index = np.where(radius < reach, 1 + (turn > 0.5), 0)
    index[radius < 0.1] = 3
    return cloth.colours[index]


def _glyphs(cloth: Cloth, places: Places) -> np.ndarray:
    """Signs like letters, in rows."""
    x, y, column, row = _grid(cloth, places, staggered=False)
    chosen = (10 * cell_chance(column, row, cloth.seed)).astype(int)
    tint = 1 + (cell_chance(column, row, cloth.seed + 1) > 0.7)
    return cloth.colours[np.where(in_digit(x / 0.7, y / 0.8, chosen), tint, 0)]


def _logo(cloth: Cloth, places: Places) -> np.ndarray:
    """One emblem on the chest: a disc, a ring, a field with a bar, a number, or lines as of writing."""
    size = 0.07 + 0.1 * cloth.share
    middle = (cloth.seed % 2) * 0.055 if size < 0.1 else 0.0
    # Seen from behind, the person's left is on the left.
    x, y = (np.where(places.front, 1, -1) * places.around - middle) / size, (places.up - 0.37) / size
    radius, boxed = np.hypot(x, y), np.maximum(np.abs(x), np.abs(y)) < 0.5
    shape = cloth.seed % 5
    if shape == 0:
        index = (radius < 0.5).astype(int) + (radius < 0.28)
    elif shape == 1:
        index = ((radius < 0.5) & (radius > 0.3)).astype(int)
    elif shape == 2:
        index = boxed.astype(int) + (boxed & (np.abs(x - y) < 0.2))
    elif shape == 3:
        tens, ones = (cloth.seed // 5) % 10, (cloth.seed // 50) % 10
        number = in_digit(x / 0.5 + 0.6, y, np.array(tens)) | in_digit(x / 0.5 - 0.6, y, np.array(ones))
        index = number.astype(int)
    else:
        word = cell_chance(np.floor(x * 7) + 50, np.floor(y * 3) + 50, cloth.seed)
        line = (np.abs(y * 3 % 1 - 0.5) < 0.28) & (word > 0.35) & (np.abs(x) < 0.9) & (np.abs(y) < 0.5)
        index = line.astype(int)
    # A number is on the back too.
    there = (places.front | (shape == 3)) & (places.along == 0) & (places.up > 0.2)
    return cloth.colours[np.where(there, index, 0)]


def _blocks(cloth: Cloth, places: Places) -> np.ndarray:
    """Fields of colour: other sleeves, a band across the chest, halves, or panels down the sides."""
    layout = cloth.seed % 4
    index = np.zeros(len(places), dtype=int)
    if layout == 0:
        index[places.region == ARM] = 1
    elif layout == 1:
        index[(np.abs(places.up - 0.3) < 0.03 + 0.06 * cloth.share) & (places.region != ARM)] = 1
        index[np.abs(places.up - 0.3 + 0.1) < 0.015] = 2
    elif layout == 2:
        index[places.up > 0.2 + 0.2 * cloth.share] = 1
        index[(places.region == ARM) & (places.along > 0.5)] = 2
    else:
        index[np.abs(places.angle) > 0.9] = 1
    return cloth.colours[index]


def _denim(cloth: Cloth, places: Places) -> np.ndarray:
    """Blue, worn paler before the thighs and knees."""
    pale = np.exp(-((places.angle / 0.7) ** 2) - ((places.up + 0.22) / 0.16) ** 2)
    worn = np.where(places.front, pale, 0.0) + 0.35 * wavy(places.point, cloth.waves)
    base = np.array([0.13, 0.19, 0.33]) * (0.5 + 1.3 * cloth.share)
    return base * (1 + (0.2 + 0.9 * cloth.share) * worn[:, None]) + 0.05 * worn[:, None]


_MAKERS = (_plain, _stripes, _checks, _tartan, _dots, _blobs, _flowers, _glyphs, _logo, _blocks, _denim)
PATTERNS: dict[str, Callable[[Cloth, Places], np.ndarray]] = {
    maker.__name__.removeprefix("_"): maker for maker in _MAKERS
}
#: Metres that patterns of several details need to be seen.
_LEAST_PERIODS = {"flowers": 0.045, "glyphs": 0.045, "tartan": 0.07}


def random_cloth(rng: np.random.Generator, patterned: float, shares: dict[str, float]) -> Cloth:
    """A cloth at random, with the chance `patterned` not to be plain.

    `shares`: pattern -> its weight among cloths that are not plain.
    """
    weights = np.array(list(shares.values()), dtype=np.float64)
    chosen = str(rng.choice(list(shares), p=weights / weights.sum()))
    turn = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)], p=[0.25, 0.55, 0.2])
    period = np.exp(rng.uniform(np.log(0.028), np.log(0.11)))  # metres
    return Cloth(
        kind=chosen if rng.random() < patterned else "plain",
        colours=garment_colours(rng, 4),
        period=max(float(period), _LEAST_PERIODS.get(chosen, 0.0)),
        angle=float(turn) if chosen == "stripes" else float(rng.choice([0, np.pi / 4], p=[0.85, 0.15])),
        share=float(rng.uniform(0.25, 0.65)),
        waves=random_waves(rng, 8, 0.06, 0.22),
        tone=random_waves(rng, 5, 0.08, 0.5),
        seed=int(rng.integers(2**31)),
    )


def cloth_colour(cloth: Cloth, places: Places) -> np.ndarray:
    """Colours (N, 3) RGB of a cloth at places: its pattern, an uneven dye and the grain of its weave."""
    x, y, _ = np.floor(places.point * 300).T
    weave = cell_chance(x, y, cloth.seed)
    uneven = 0.97 + 0.06 * weave + 0.07 * wavy(places.point, cloth.tone)
    return PATTERNS[cloth.kind](cloth, places) * uneven[:, None]
