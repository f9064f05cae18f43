"""The look of one person: everything that is worn, and skin and hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.accessories import (
    Accessories,
    Footwear,
    Hair,
    random_accessories,
    random_footwear,
    random_hair,
)
from slimdp.synthetic.looks.garments import Bottom, Top, random_bottom, random_top
from slimdp.synthetic.looks.skin import Skin, random_skin

#: Garment -> its weight among men and among women.
_TOP_SHARES = {
    "t-shirt": (6.0, 4.5), "shirt": (3.0, 1.5), "tank": (0.7, 1.7), "sweater": (2.0, 2.0),
    "hoodie": (2.0, 1.2), "jacket": (2.5, 2.2), "dress": (0.0, 2.2),
}  # fmt: skip
_BOTTOM_SHARES = {
    "trousers": (3.0, 2.0), "jeans": (4.0, 3.0), "joggers": (1.8, 0.8), "shorts": (2.5, 1.5),
    "leggings": (0.15, 2.5), "skirt": (0.0, 1.8),
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What one person looks like, whatever the pose."""

    top: Top
    bottom: Bottom
    shoes: Footwear
    skin: Skin
    hair: Hair
    wear: Accessories
    tucked: bool  # the top is worn inside the bottom


def random_look(
    rng: np.random.Generator, patterned: float = 0.7, gender: float = 0.5, age: float = 0.2
) -> Look:
    """Dress a person at random; `patterned` is the share of garments that are not plain, 0..1.

    Gender (0 female .. 1 male) and age (0 young .. 1 old), as of a `BodyShape`, weigh garments and hair.
    """
    hair = random_hair(rng, gender, age)
    top_kind, bottom_kind = (_choose(rng, shares, gender) for shares in (_TOP_SHARES, _BOTTOM_SHARES))
    if top_kind == "dress":
        bottom_kind = "leggings" if rng.random() < 0.4 else "shorts"
    return Look(
        top=random_top(rng, patterned, top_kind),
        bottom=random_bottom(rng, patterned, bottom_kind),
        shoes=random_footwear(rng),
        skin=random_skin(rng, hair.tone, gender),
        hair=hair,
        wear=random_accessories(rng),
        tucked=bool(top_kind in ("shirt", "tank", "t-shirt") and rng.random() < 0.3),
    )


def _choose(rng: np.random.Generator, shares: dict[str, tuple[float, float]], gender: float) -> str:
    weights = np.array([gender * man + (1 - gender) * woman for man, woman in shares.values()])
    return str(rng.choice(list(shares), p=weights / weights.sum()))
