"""What shows where a label lands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from slimdp.config import ConfigError
from slimdp.motion import RegionSettings
from slimdp.motion.label_transfer import at_pixels, comes_from_its_region, region_at, shows_somebody
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation

Annotate = Callable[..., PersonAnnotation]


@pytest.fixture
def person(clip: list[ImageRecord], annotate: Annotate) -> PersonAnnotation:
    """Box x 30..62, y 20..60: torso at x 38..54, y 25..55, its upper 10 px the head; one row not known."""
    person = annotate(clip[2])
    assert person.coarse is not None
    coarse = person.coarse.copy()
    coarse[:16] = IGNORE
    points = np.array([[46.0, 40], [46, 30], [32, 50], [46, 21]])  # torso, head, background, not known
    return replace(person, coarse=coarse, points=points)


def test_region_at(person: PersonAnnotation) -> None:
    points = np.array([[46.0, 40], [46, 30], [32, 50], [46, 21], [5, 5]])
    assert region_at(person, (), points, "part").tolist() == [1, 14, 0, IGNORE, 0]
    assert region_at(person, (), points, "person").tolist() == [1, 1, 0, IGNORE, 0]


def test_same_region(person: PersonAnnotation) -> None:
    def same(by: str, returned: list[list[float]], tolerance_px: float = 0.0) -> list[bool]:
        return comes_from_its_region(person, (), person.points, np.array(returned), by, tolerance_px).tolist()

    assert same("part", [[47, 41], [45, 29], [32, 50], [46, 21]]) == [True] * 4
    # On the head, on the torso; where the label lay on no region, nothing is judged.
    head_and_torso = [[46.0, 30], [46, 40], [46, 40], [46, 40]]
    assert same("part", head_and_torso) == [False, False, True, True]
    assert same("person", head_and_torso) == [True] * 4
    wall = [[34.0, 40], [36, 30], [90, 5], [90, 5]]
    assert same("person", wall) == same("part", wall) == [False, False, True, True]
    # Back on a place that is not known; and without flow.
    assert same("part", [[46, 21], [np.nan, np.nan], [1, 1], [1, 1]]) == [True] * 4


def test_tolerance(person: PersonAnnotation) -> None:
    beside = np.array(
        [[36.5, 40.0], [46, 40], [1, 1], [1, 1]]
    )  # 1.5 px left of the torso, 5 px below the head
    for tolerance_px, expected in ((1.4, [False, False]), (1.6, [True, False]), (6, [True, True])):
        assert (
            comes_from_its_region(person, (), person.points, beside, "part", tolerance_px).tolist()[:2]
            == expected
        )


def test_outline_stands_in_for_coarse_masks(person: PersonAnnotation) -> None:
    mask = np.zeros((80, 96), dtype=bool)
    mask[25:55, 38:54] = True
    outlined = replace(person, coarse=None, mask=mask)
    back = np.array([[45.0, 30], [36, 30], [1, 1], [46, 40]])
    # The third and fourth label lie beside the outline.
    assert comes_from_its_region(outlined, (), outlined.points, back, "part", 0).tolist() == [
        True,
        False,
        True,
        True,
    ]


def test_others_tell_of_somebody_without_masks(
    person: PersonAnnotation, clip: list[ImageRecord], annotate: Annotate
) -> None:
    bare = replace(person, coarse=None)
    other = annotate(clip[2], x=50, id=6, track=3)  # its torso at x 58..74
    back = np.array([[60.0, 40], [46, 30], [32, 50], [73, 50]])
    assert comes_from_its_region(bare, [other], bare.points, back, "part", 0).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert comes_from_its_region(bare, (), bare.points, back, "part", 0).all()
    assert shows_somebody([other, bare], back).tolist() == [True, False, False, True]


def test_at_pixels() -> None:
    mask = np.array([[True, False], [False, True]])
    points = np.array([[0.4, -0.4], [0.6, 0], [1, 1.49], [-0.6, 0], [1, 1.6]])
    assert at_pixels(mask, points).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "limb"}, "one of none, person, part"),
        ({"tolerance_px": -1.0}, "0 or more"),
        ({"tolerance_px": float("nan")}, "finite number"),
    ],
)
def test_impossible_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RegionSettings(**settings)
