from __future__ import annotations

import numpy as np
import pytest

from slimdp.evaluation import kappa_by_part
from slimdp.surface import PEOPLE
from tools.bench_crowd import all_pairs, compare, made_up_surface, make_crowd


@pytest.mark.parametrize("rising", [False, True])
def test_a_crowd_compares_as_all_pairs_do_bit_for_bit(rising: bool) -> None:
    truths, detections = make_crowd(45, np.random.default_rng(1))
    # Equal scores too, around the last that counts.
    scores = np.round(np.linspace(0, 1, 45) if rising else np.random.default_rng(2).random(45), 1)
    for detection, score in zip(detections, scores.tolist()):
        object.__setattr__(detection, "score", score)
    surface, kappa_m = made_up_surface(4), kappa_by_part("per-part", PEOPLE)
    pairs = compare(detections, truths, surface)
    gps, iou = all_pairs(detections, truths, surface, kappa_m)
    assert pairs.gps.shape == (20, 45)
    assert (pairs.gps == gps).all()
    assert (pairs.iou == iou).all()
    assert np.count_nonzero(gps) > 50


def test_the_made_up_surface_is_a_metric() -> None:
    surface = made_up_surface(3)
    pairs = [surface.vertex_distance(np.array([a]), np.array([b]))[0] for a, b in ((0, 1), (1, 0), (0, 2))]
    np.testing.assert_allclose(pairs, [0.25, 0.25, 0.5], atol=1e-6)
