from __future__ import annotations

import numpy as np
import pytest

from slimdp.evaluation.point_report import PeopleGroups, point_curves, report_points, size_of
from slimdp.evaluation.points import PointErrors, ratio_within, summarize
from slimdp.surface import PEOPLE


def some_errors(people: int = 12, points: int = 20) -> PointErrors:
    rng = np.random.default_rng(3)
    localization_m = rng.exponential(0.08, people * points)
    full_m = np.where(rng.random(localization_m.size) < 0.2, np.inf, localization_m)
    part = rng.integers(1, 25, localization_m.size)
    return PointErrors(full_m, localization_m, part, np.repeat(np.arange(people), points))


@pytest.mark.parametrize(
    ("area", "size"),
    [(0, "small"), (1023.9, "small"), (1024, "medium"), (9215.9, "medium"), (9216, "large"), (1e6, "large")],
)
def test_sizes(area: float, size: str) -> None:
    assert size_of(area) == size


def test_clusters_are_videos_or_else_people() -> None:
    mixed = PeopleGroups.of([1] * 5, ["b", None, "a", "b", None])
    assert mixed.clusters().tolist() == [0, 1, 2, 0, 3]
    assert mixed.drawn == "videos and people"
    assert PeopleGroups.of([1, 1], ["a", "a"]).drawn == "videos"
    stills = PeopleGroups.of([1, 1], [None, None])
    assert (stills.drawn, stills.clusters().tolist()) == ("people", [0, 1])


def test_groups_hold_their_points() -> None:
    errors = some_errors()
    areas = [100] * 3 + [5000] * 4 + [1e5] * 5
    groups = PeopleGroups.of(areas, ["x"] * 6 + ["y"] * 6)
    report = report_points(errors, groups, (2, 7.5))
    assert report.all.scores == summarize(errors, (2, 7.5))
    for name, people in {"small": range(3), "medium": range(3, 7), "large": range(7, 12)}.items():
        own = errors.where(np.isin(errors.person, people))
        assert report.sizes[name].scores == summarize(own, (2, 7.5))
    assert report.videos["y"].scores == summarize(errors.where(errors.person >= 6), (2, 7.5))
    for part in np.unique(errors.part):
        own = errors.where(errors.part == part)
        assert report.parts[PEOPLE.part_names[part]].scores == summarize(own, (2, 7.5))
    told = report.as_json()
    assert list(told) == [
        "full", "localization", "intervals", "count", "resampled", "parts", "sizes", "videos",
    ]  # fmt: skip
    assert list(told["full"]) == ["2cm", "7.5cm", "auc10", "auc30"]
    assert told["videos"]["x"]["intervals"] is None
    low, high = told["intervals"]["localization"]["7.5cm"]
    assert low <= told["localization"]["7.5cm"] <= high


def test_perfect_points_score_100_with_certainty() -> None:
    zero = np.zeros(60)
    errors = PointErrors(zero, zero, np.ones(60, dtype=int), np.repeat(np.arange(3), 20))
    told = report_points(errors, PeopleGroups.of([1] * 3, [None] * 3)).as_json()
    assert set(told["full"].values()) == {100.0}
    assert set(told["intervals"]["full"].values()) == {(100.0, 100.0)}


def test_the_same_seed_gives_the_same_intervals() -> None:
    errors, groups = some_errors(), PeopleGroups.of([1] * 12, [None] * 12)
    first, again, other = (report_points(errors, groups, seed=seed).all.intervals for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_intervals_of_a_part_come_from_the_same_people() -> None:
    errors, groups = some_errors(), PeopleGroups.of([1] * 12, [None] * 12)
    everything = report_points(errors, groups)
    alone = report_points(errors.where(errors.localization_m >= 0), groups)
    assert everything.all.intervals == alone.all.intervals


def test_curve() -> None:
    errors, groups = some_errors(), PeopleGroups.of([1] * 12, [None] * 12)
    curves = point_curves(errors, groups)
    assert list(curves) == ["full", "localization"]
    for form, errors_m in (("full", errors.full_m), ("localization", errors.localization_m)):
        curve = curves[form]
        assert curve.thresholds_cm[-1] == 30
        expected = [100 * ratio_within(errors_m, t / 100) for t in curve.thresholds_cm]
        assert curve.ratio == pytest.approx(expected)
        assert (curve.interval[0] <= curve.ratio).all()
        assert (curve.ratio <= curve.interval[1]).all()
        assert (np.diff(curve.ratio) >= 0).all()


@pytest.mark.parametrize("bad", [(), (0,), (-1, 5), (np.nan,), (np.inf,), (5, 5.0)])
def test_bad_thresholds(bad: tuple[float, ...]) -> None:
    errors, groups = some_errors(), PeopleGroups.of([1] * 12, [None] * 12)
    with pytest.raises(ValueError, match=r"positive numbers are wanted|there twice"):
        report_points(errors, groups, bad)
