"""Shares of pictures and points: exact, nested, by ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.data.budget import share_of
from tests.data.small_sets import kept, stills_with, with_uv

SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 5)


@settings(deadline=None)
@given(total=st.integers(0, 10**7), share=SHARES)
def test_a_share_is_the_nearest_whole_number_and_one_at_least(total: int, share: float) -> None:
    count = share_of(total, share)
    assert 0 <= count <= total
    if share * total >= 0.5:
        assert abs(count - share * total) <= 0.5 + 1e-6
    else:
        assert count == (share > 0 and total > 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), SHARES, SHARES, SEEDS)
def test_shares_are_exact_and_nested(points: list[int], first: float, second: float, seed: int) -> None:
    everyone, (low, high) = stills_with(points), sorted((first, second))
    less, more = (kept(everyone, points=share, seed=seed) for share in (low, high))
    assert with_uv(less) <= with_uv(more) <= with_uv(everyone)
    assert len(with_uv(less)) == share_of(sum(points), low)
    assert all(person.coarse is not None for person in less.people)
    less, more = (kept(everyone, images=share, seed=seed) for share in (low, high))
    assert with_uv(less) <= with_uv(more)
    for budgeted, share in ((less, low), (more, high)):
        labelled = [person.image.id for person in budgeted.people if person.has_labels]
        assert len(labelled) == share_of(len(points), share)
        assert labelled == [image.id for image in budgeted.images if image.labelled]


@settings(deadline=None)
@given(st.permutations(range(8)), SHARES, SHARES, SEEDS)
def test_the_order_of_the_file_does_not_matter(
    order: list[int], images: float, points: float, seed: int
) -> None:
    everyone = stills_with([3, 5, 1, 8, 2, 2, 7, 4])
    shuffled = replace(
        everyone,
        images=tuple(everyone.images[place] for place in reversed(order)),
        people=tuple(everyone.people[place] for place in order),
    )
    budget = {"images": images, "points": points, "seed": seed}
    assert with_uv(kept(everyone, **budget)) == with_uv(kept(shuffled, **budget))


@settings(deadline=None)
@given(SEEDS)
def test_shares_of_one_and_a_default_budget_change_nothing(seed: int) -> None:
    everyone = stills_with([3, 0, 2])
    for person, same in zip(everyone.people, kept(everyone, images=1.0, points=1.0, seed=seed).people):
        assert same.points is person.points
        assert same.uv is person.uv
        assert same.coarse is person.coarse
        assert same.image == person.image


def test_seeds_and_pictures_draw_differently_and_every_point_is_as_likely() -> None:
    everyone = stills_with([40] * 25)
    draws = [with_uv(kept(everyone, points=0.3, seed=seed)) for seed in range(40)]
    assert len({frozenset(draw) for draw in draws}) == 40
    times = np.array([sum(point in draw for draw in draws) for point in sorted(with_uv(everyone))])
    # Binomial(40, 0.3): mean 12, variance 8.4; of 1000 points the variance is within some 15 % of that.
    assert times.mean() == pytest.approx(12)
    assert 0.8 * 8.4 < times.var() < 1.2 * 8.4
    places = [
        {place for place, keeps in enumerate(person.has_uv) if keeps}
        for person in kept(everyone, points=0.3, parts="kept").people
    ]
    assert len({frozenset(each) for each in places}) == 25


def test_a_percent_of_the_points_is_a_percent_of_all_and_not_of_each_person() -> None:
    few = kept(stills_with([114] * 50), points=0.01)
    counts = [len(person.points) for person in few.people]
    assert sum(counts) == 57
    assert 0 in counts
