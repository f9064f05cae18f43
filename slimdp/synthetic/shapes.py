"""Which bodies people have: adults of all builds, as tall as people are."""

from __future__ import annotations

import numpy as np

from slimdp.surface.makehuman import BodyShape

#: The shortest and the tallest adult that is drawn, metres.
STATURE = (1.45, 2.0)


def random_shape(rng: np.random.Generator) -> BodyShape:
    """An adult's shape.

    Stature is normal, 1.63 m +- 0.07 m for women and 1.77 m +- 0.075 m for men, within STATURE. Weight is
    drawn nearly evenly above the starved, because MakeHuman's heaviest are not as heavy as people get.
    """
    gender, age = float(rng.beta(0.4, 0.4)), 0.85 * float(rng.beta(1, 3))
    stature = np.clip(rng.normal(1.63 + 0.14 * gender, 0.07), *STATURE)
    return BodyShape(
        gender=gender,
        age=age,
        muscle=float(rng.beta(1.8, 1.8)),
        weight=0.15 + 0.85 * float(rng.beta(1.2, 1.0)),
        height=height_for(float(stature), gender, age),
        race=tuple(rng.dirichlet([0.5] * 3).tolist()),
    )


def height_for(stature: float, gender: float, age: float) -> float:
    """The `height` in 0..1 that makes a body of this gender and age `stature` metres tall.

    MakeHuman's stature is linear in gender and age, and in height below and above 0.5; weight and muscle do
    not change it. The constants were measured on the mesh and hold within 1 cm.
    """
    average = 1.59 + 0.14 * gender - age * (0.014 + 0.016 * gender)
    metres_a_unit = 0.734 if stature < average else 1.445
    return float(np.clip(0.5 + (stature - average) / metres_a_unit, 0, 1))
