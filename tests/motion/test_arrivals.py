from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from slimdp.motion.arrivals import Arrivals, shared_place
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation

Annotate = Callable[..., PersonAnnotation]


def test_shared_boxes_and_masks(clip: list[ImageRecord], annotate: Annotate) -> None:
    person = annotate(clip[0], x=20)
    beside = annotate(clip[0], x=28)  # a quarter of the box, half of the mask
    assert shared_place(person, person) == pytest.approx(1)
    assert shared_place(person, beside) == pytest.approx(0.5, abs=0.01)
    assert shared_place(replace(person, coarse=None), beside) == pytest.approx(0.75 / 1.25)
    assert shared_place(person, annotate(clip[0], x=60)) == 0
    assert shared_place(replace(person, coarse=None), annotate(clip[0], x=60)) == 0


def test_what_a_mask_does_not_know_is_not_held_against_it(
    clip: list[ImageRecord], annotate: Annotate
) -> None:
    person = annotate(clip[0], x=20)
    assert person.coarse is not None
    half = person.coarse.copy()
    half[128:] = IGNORE
    assert shared_place(person, replace(person, coarse=half)) == pytest.approx(1)
    assert shared_place(replace(person, coarse=half), person) == pytest.approx(1)
    nothing = replace(person, coarse=np.full_like(half, IGNORE))  # then the boxes count
    assert shared_place(nothing, annotate(clip[0], x=28)) == pytest.approx(0.75 / 1.25)


def test_the_nearest_of_several_is_the_same_person(clip: list[ImageRecord], annotate: Annotate) -> None:
    left, right = (annotate(clip[0], x=x, track=None) for x in (20, 24))
    arrivals = Arrivals()
    assert arrivals.fresh([left, right], clip[0].id) == [True, True]
    arrivals.add(clip[1].id, right)
    assert arrivals.fresh([left, right], clip[0].id) == [True, False]
    assert arrivals.fresh([right, left], clip[0].id) == [False, True]
    assert arrivals.fresh([left], clip[0].id) == [False]
    assert arrivals.fresh([left], clip[3].id) == [True]


def test_two_tracks_are_two_people_wherever_they_are(clip: list[ImageRecord], annotate: Annotate) -> None:
    arrivals = Arrivals()
    arrivals.add(clip[1].id, annotate(clip[0], track=3))
    assert arrivals.tracks(clip[0].id) == {3}
    assert arrivals.fresh([annotate(clip[0], track=4)], clip[0].id) == [True]
    assert arrivals.fresh([annotate(clip[0], track=None)], clip[0].id) == [False]
