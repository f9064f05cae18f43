"""Greedy matching and accumulation: each rule by hand, and all of them against a slow reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.evaluation.average_precision import accumulate, match
from slimdp.evaluation.similarity import ImageSimilarities
from tests.evaluation.slow_average_precision import (
    SlowDetection,
    SlowImage,
    SlowTruth,
    slow_scores,
)

MEDIUM_PX2, LARGE_PX2 = 50.0**2, 150.0**2


def image(
    gps: list[list[float]],
    score: list[float] | None = None,
    iou: list[list[float]] | None = None,
    box_iou: list[list[float]] | None = None,
    truths: int | None = None,
    **fields: Any,
) -> ImageSimilarities:
    """Detections (rows) of one image, best first, with their similarity to each truth (columns)."""
    table = np.array(gps, dtype=float).reshape(len(gps), -1 if truths is None else truths)
    d, g = table.shape
    defaults = {
        "score": np.array(score if score is not None else np.linspace(0.9, 0.1, d)),
        "detection_area": np.full(d, MEDIUM_PX2),
        "truth_area": np.full(g, MEDIUM_PX2),
        "ignored": np.zeros(g, dtype=bool),
        "crowd": np.zeros(g, dtype=bool),
        "iou": np.array(iou, dtype=float).reshape(d, g) if iou is not None else table,
        "box_iou": np.array(box_iou, dtype=float).reshape(d, g) if box_iou is not None else np.zeros((d, g)),
    }
    return ImageSimilarities(
        gps=table, **(defaults | {name: np.array(value) for name, value in fields.items()})
    )


def scores(*images: ImageSimilarities) -> dict[str, dict[str, float | None]]:
    return accumulate([match(pairs) for pairs in images]).in_percent()


def test_a_perfect_detection() -> None:
    found = scores(image([[1.0]]))
    expected = dict.fromkeys(("AP", "AP50", "AP75", "APm", "AR", "AR50", "AR75", "ARm"), 100.0)
    assert found == dict.fromkeys(("gps", "gpsm", "iou"), expected | {"APl": None, "ARl": None})


def test_similarity_just_reaches_four_thresholds() -> None:
    # 0.65 is enough for .50, .55, .60 and .65 of ten thresholds.
    found = scores(image([[0.65]]))["gps"]
    assert found["AP"] == pytest.approx(40)
    assert found["AR"] == pytest.approx(40)
    assert (found["AP50"], found["AP75"]) == (100, 0)


def test_gpsm_is_the_root_of_both() -> None:
    found = scores(image([[1.0]], iou=[[0.25]]))
    assert (found["gps"]["AP"], found["iou"]["AP"]) == (100, 0)
    assert found["gpsm"]["AP"] == pytest.approx(10)  # the root of 0.25 reaches .50 alone


def test_a_false_detection_before_the_right_one_halves_precision() -> None:
    assert scores(image([[0.0], [1.0]]))["gps"]["AP50"] == pytest.approx(50)
    assert scores(image([[1.0], [0.0]]))["gps"]["AP50"] == pytest.approx(100)


def test_precision_is_read_at_101_recalls() -> None:
    # One of two truths is found: recalls 0, .01, ..., .50 of the 101 have precision 1.
    found = scores(image([[1.0, 0.0]]))["gps"]
    assert found["AP"] == pytest.approx(100 * 51 / 101)
    assert found["AR"] == pytest.approx(50)


def test_the_second_detection_of_a_truth_is_wrong_but_in_a_crowd_right() -> None:
    assert scores(image([[0.9], [1.0]], score=[0.9, 0.8]))["gps"]["AP50"] == pytest.approx(100)
    kept = match(image([[0.9], [1.0]]))
    assert kept.matched[0, 0, 0].tolist() == [True, False]
    crowd = match(image([[0.9], [1.0]], crowd=[True]))
    assert crowd.matched[0, 0, 0].tolist() == [True, True]


def test_zero_similarity_never_matches() -> None:
    kept = match(image([[0.0]]))
    assert not kept.matched.any()
    assert not kept.ignored[:, 0].any()


def test_of_equally_similar_truths_the_last_is_taken() -> None:
    # The second detection is like the first truth alone: it finds it free.
    kept = match(image([[0.8, 0.8], [0.8, 0.0]]))
    assert kept.matched[0, 0, 0].tolist() == [True, True]
    assert match(image([[0.8, 0.8], [0.0, 0.8]])).matched[0, 0, 0].tolist() == [True, False]


def test_an_ignored_truth_is_taken_only_if_no_other_is_similar_enough() -> None:
    # By area: the first truth is ignored. Up to .70 the second is similar enough, then the first up to .90.
    pairs = image([[0.92, 0.72]], truth_area=[500, MEDIUM_PX2])
    kept = match(pairs)
    medium = 1
    assert kept.matched[0, medium, :, 0].tolist() == [True] * 9 + [False]
    assert kept.ignored[0, medium, :, 0].tolist() == [False] * 5 + [True] * 4 + [False]


def test_nobody_to_find_makes_detections_neither_right_nor_wrong() -> None:
    for nobody in (image([[0.0]], ignored=[True]), image([[]], truths=0)):
        assert match(nobody).ignored.all()
        both = scores(image([[1.0]], score=[0.5]), nobody)["gps"]
        assert both["AP"] == pytest.approx(100)
    # Beside a truth that counts, the same detection is wrong.
    assert scores(image([[0.0, 0.0], [0.0, 1.0]], ignored=[True, False]))["gps"]["AP"] == pytest.approx(50)


def test_nothing_detected_and_nothing_to_find() -> None:
    found = scores(image([], truths=2))["gps"]
    assert (found["AP"], found["AR"], found["APl"]) == (0, 0, None)
    assert set(scores(image([], truths=0))["gps"].values()) == {None}
    assert set(scores()["iou"].values()) == {None}


def test_areas_count_truths_of_their_size_and_leave_out_other_detections() -> None:
    # A large truth is found, a medium one is not; the second detection is medium and wrong.
    pairs = image(
        [[1.0, 0.0], [0.0, 0.0]],
        truth_area=[LARGE_PX2, MEDIUM_PX2],
        detection_area=[LARGE_PX2, MEDIUM_PX2],
        score=[0.5, 0.9],
    )
    found = scores(pairs)["gps"]
    assert found["APl"] == pytest.approx(100)  # the medium one does not disturb it
    assert found["APm"] == 0
    assert found["AP"] == pytest.approx(100 * 0.5 * 51 / 101)
    for area, ranges in ((32.0**2, "m"), (96.0**2, "ml"), (32.0**2 - 1, "")):  # both ends are included
        found = scores(image([[1.0]], truth_area=[area]))["gps"]
        assert [found[f"AP{size}"] is not None for size in "ml"] == [size in ranges for size in "ml"]


def test_second_pass_gives_over_what_its_truth_is() -> None:
    # The detection is like nobody, but its box is that of a truth without dense pose: it is left out.
    pairs = image([[0.0, 0.0]], box_iou=[[0.8, 0.0]], ignored=[True, False])
    assert match(pairs).ignored[0, 0].all()
    apart = image([[0.0, 0.0]], box_iou=[[0.79, 0.0]], ignored=[True, False])
    assert not match(apart).ignored[0, 0].any()


def test_second_pass_undoes_matches_at_lower_thresholds() -> None:
    # Right at .50 to .60 with the second truth; at .95 unmatched, and its box is that of an ignored one.
    pairs = image([[0.0, 0.62]], box_iou=[[0.9, 0.1]], ignored=[True, False])
    kept = match(pairs)
    assert kept.matched[0, 0, :, 0].tolist() == [True] * 3 + [False] * 6 + [True]
    assert kept.ignored[0, 0].all()
    assert scores(pairs)["gps"]["AP50"] == 0


def test_second_pass_takes_an_ignored_truth_once_and_others_more_often() -> None:
    one = image([[0.0, 0.0], [0.0, 0.0]], box_iou=[[0.9, 0.0], [0.9, 0.0]], ignored=[True, False])
    assert match(one).ignored[0, 0, 0].tolist() == [True, False]
    # Of equal boxes the ignored one counts as the last, and so it is taken.
    both = image([[0.0, 0.0]], box_iou=[[0.9, 0.9]], ignored=[True, False])
    assert match(both).ignored[0, 0, 0].tolist() == [True]
    better = image([[0.0, 0.0]], box_iou=[[0.9, 0.91]], ignored=[True, False])
    assert match(better).ignored[0, 0, 0].tolist() == [False]


def test_a_match_of_nearly_one_is_enough_however_it_rounds() -> None:
    assert scores(image([[1 - 1e-12]]))["gps"]["AP"] == pytest.approx(100)


def test_of_equal_scores_the_earlier_image_comes_first() -> None:
    right, wrong = image([[1.0]], score=[0.5]), image([[0.0]], score=[0.5])
    assert scores(right, wrong)["gps"]["AP50"] == pytest.approx(100 * 51 / 101)
    assert scores(wrong, right)["gps"]["AP50"] == pytest.approx(100 * 51 / 101 / 2)


def random_image(rng: np.random.Generator) -> ImageSimilarities:
    """An image in which ties, ignored truths, crowds, equal boxes and zeros are common."""
    d, g = int(rng.choice([0, 1, 2, 3, 5, 20])), int(rng.choice([0, 1, 1, 2, 3, 6]))
    likely = np.array([0, 0, 0.3, 0.5, 0.62, 0.65, 0.8, 0.85, 0.95, 1.0])
    exact = rng.random() < 0.5

    def similarity() -> np.ndarray:
        return rng.choice(likely, (d, g)) if exact else rng.uniform(0, 1, (d, g)) ** 0.5

    ignored = rng.random(g) < 0.3
    return ImageSimilarities(
        score=np.sort(rng.choice([0.1, 0.3, 0.5, 0.9], d) if exact else rng.uniform(size=d))[::-1],
        detection_area=rng.choice([500, 32.0**2, 4000, 96.0**2, 20000], d),
        truth_area=rng.choice([500, 32.0**2, 4000, 96.0**2, 20000], g),
        ignored=ignored,
        crowd=rng.random(g) < 0.2,
        gps=similarity() * ~ignored,
        iou=similarity(),
        box_iou=rng.choice([0, 0.5, 0.8, 0.9, 0.9, 1.0], (d, g)),
    )


def as_slow(pairs: ImageSimilarities) -> SlowImage:
    rows = [
        SlowDetection(float(s), float(a), list(gps), list(iou), list(box))
        for s, a, gps, iou, box in zip(pairs.score, pairs.detection_area, pairs.gps, pairs.iou, pairs.box_iou)
    ]
    truths = [
        SlowTruth(float(a), bool(i), bool(c)) for a, i, c in zip(pairs.truth_area, pairs.ignored, pairs.crowd)
    ]
    return SlowImage(truths, rows)


def assert_same(images: list[ImageSimilarities]) -> None:
    fast, slow = scores(*images), slow_scores([as_slow(pairs) for pairs in images])
    for name, expected in slow.items():
        for score, value in expected.items():
            assert fast[name][score] == (None if value is None else pytest.approx(value, abs=1e-9)), (
                name,
                score,
            )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 5))
def test_agrees_with_the_slow_reference(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    assert_same([random_image(rng) for _ in range(images)])


@pytest.mark.slow
def test_agrees_with_the_slow_reference_in_thousands_of_cases() -> None:
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        assert_same([random_image(rng) for _ in range(int(rng.integers(1, 4)))])
