"""The order of training samples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from slimdp.data import SampleIndex, WeightedSampler


def test_entering_later_gives_the_same_draws() -> None:
    whole = list(WeightedSampler([5, 7], [1, 2], 300, seed=4))
    assert [draw.number for draw in whole] == list(range(300))
    assert list(WeightedSampler([5, 7], [1, 2], 300, seed=4, start=120)) == whole[120:]
    assert list(WeightedSampler([5, 7], [1, 2], 200, seed=4)) == whole[:200]
    assert list(WeightedSampler([5, 7], [1, 2], 300, seed=5)) != whole
    assert len(WeightedSampler([5, 7], [1, 2], 300, seed=4, start=120)) == 180


def test_shares_follow_the_weights_not_the_sizes() -> None:
    people = np.array([draw.person for draw in WeightedSampler([3, 900], [3, 1], 4000, seed=0)])
    assert np.mean(people < 3) == pytest.approx(0.75, abs=0.03)
    assert people.max() < 903


def test_everybody_comes_once_a_round() -> None:
    people = [draw.person for draw in WeightedSampler([10], [1], 35, seed=0)]
    for start in (0, 10, 20):
        assert sorted(people[start : start + 10]) == list(range(10))
    assert people[:10] != people[10:20]
    assert max(Counter(people).values()) == 4


def test_second_source_starts_behind_the_first() -> None:
    draws = list(WeightedSampler([2, 4], [1, 1], 100, seed=1))
    assert {draw.person for draw in draws} == set(range(6))
    assert isinstance(draws[0], SampleIndex)


@pytest.mark.parametrize(
    "arguments",
    [([], [], 1, 0), ([0], [1], 1, 0), ([1], [0], 1, 0), ([1], [1, 2], 1, 0), ([1], [1], 1, 0, 2)],
)
def test_impossible(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"sources|start"):
        WeightedSampler(*arguments)
