from __future__ import annotations

import numpy as np
import pytest

from slimdp.suggest.points import suggest_points


def test_far_places_come_after_one_another() -> None:
    places = np.array([[0.0, 0], [1, 0], [2, 0], [100, 0], [101, 0]])
    found = suggest_points(places, np.ones(5), 3, sigma_px=3.0)
    # The middle of the three tells most of them; then one of the two far away.
    assert found[0] == 1
    assert found[1] in (3, 4)
    assert len(set(found.tolist())) == 3


def test_weights_and_known_labels_count() -> None:
    places = np.array([[0.0, 0], [50, 0], [100, 0]])
    assert suggest_points(places, np.array([1.0, 3, 2]), 3, sigma_px=2.0).tolist() == [1, 2, 0]
    known = np.array([[50.0, 0]])
    assert suggest_points(places, np.array([1.0, 3, 2]), 1, known, sigma_px=2.0).tolist() == [2]


def test_the_value_of_a_place_by_hand() -> None:
    # Two places one sigma apart tell exp(-1/2) of each other: whichever weighs more is labelled first.
    places = np.array([[0.0, 0], [2, 0]])
    assert suggest_points(places, np.array([1.0, 1.01]), 1, sigma_px=2.0).tolist() == [1]


def test_few_or_no_places() -> None:
    assert suggest_points(np.zeros((0, 2)), np.zeros(0), 3).tolist() == []
    assert suggest_points(np.zeros((1, 2)), np.ones(1), 3).tolist() == [0]


def test_bad_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="a weight is negative"):
        suggest_points(np.zeros((2, 2)), np.array([1.0, -1]), 1)
    with pytest.raises(ValueError, match=r"places \(2, 2\) and weights \(3,\)"):
        suggest_points(np.zeros((2, 2)), np.ones(3), 1)
