from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slimdp.evaluation import PeopleGroups, PointCurve, PointErrors, StabilityCount, report_points
from slimdp.report import curve_picture, error_picture, interval_table, stability_table, write_curves
from slimdp.surface import load_surface
from slimdp.surface.body import BodySurface


def a_curve(slope: float) -> PointCurve:
    cm = np.arange(1.0, 31.0)
    ratio = np.minimum(slope * cm, 100)
    return PointCurve(cm, ratio, np.stack([ratio - 1, ratio + 1]))


def test_curves_are_drawn_where_they_are() -> None:
    low, high = (curve_picture({"a": a_curve(slope)}) for slope in (0.5, 3.0))
    blue = [(np.abs(p.astype(int) - (31, 95, 168)).sum(axis=2) < 40) for p in (low, high)]
    # A better curve lies higher in the picture.
    assert np.median(np.nonzero(blue[1])[0]) < np.median(np.nonzero(blue[0])[0]) - 50
    with pytest.raises(ValueError, match="0 curves"):
        curve_picture({})


def test_curves_as_numbers(tmp_path: Path) -> None:
    unknown = PointCurve(np.arange(1.0, 31.0), np.full(30, 7.0), np.full((2, 30), np.nan))
    write_curves(tmp_path / "c.csv", {"full": a_curve(2), "other": unknown})
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[0] == "cm,full,full_low,full_high,other,other_low,other_high"
    assert lines[3] == "3,6,5,7,7,,"
    shorter = PointCurve(np.arange(1.0, 4.0), np.zeros(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="same distances"):
        write_curves(tmp_path / "c.csv", {"full": a_curve(2), "other": shorter})


def test_table_with_intervals_and_annotators() -> None:
    rng = np.random.default_rng(0)
    errors_m = rng.exponential(0.1, 300)
    errors = PointErrors(errors_m, errors_m, np.ones(300, dtype=int), np.repeat(np.arange(10), 30))
    report = report_points(errors, PeopleGroups.of([5000] * 10, ["a"] * 5 + ["b"] * 5))
    rows = {"all": (report.all, "full"), "video a": (report.videos["a"], "full")}
    lines = interval_table(rows, {"Annotators": {"5cm": 65, "10cm": 92.0, "20cm": 98}}).splitlines()
    assert lines[0].split() == ["5", "cm", "10", "cm", "20", "cm", "AUC10", "AUC30", "points"]
    low, high = report.all.in_percent()["intervals"]["full"]["5cm"]
    assert f"{report.all.in_percent()['full']['5cm']:.1f} ({low:.1f}-{high:.1f})" in lines[2]
    assert "(" not in lines[3]  # one video alone says nothing of other videos
    assert lines[4].split() == ["Annotators", "65.0", "92.0", "98.0", "-", "-"]
    with pytest.raises(ValueError, match="at least one row"):
        interval_table({})


def test_stability_table() -> None:
    counts = {"a": StabilityCount(3, 200, 20, 9), "b": StabilityCount(1, 0, 0, 0)}
    lines = stability_table(counts).splitlines()
    assert lines[2].split() == ["a", "5.00", "10.00", "3", "200"]
    assert lines[3].split() == ["b", "-", "-", "1", "0"]


def test_errors_on_the_body() -> None:
    surface = load_surface("open")
    assert isinstance(surface, BodySurface)
    left = surface.vertices[:, 0] > 0
    picture = error_picture(surface, np.where(left, 0.1, 0.0), height=300)
    front = picture[40:290, : picture.shape[1] // 3]
    # The person's left is on the right of the front view: bright yellow there, dark blue on the other side.
    yellow, blue = ((np.abs(front.astype(int) - c).sum(axis=2) < 150) for c in ((240, 249, 33), (13, 8, 135)))
    assert np.nonzero(yellow)[1].mean() > np.nonzero(blue)[1].mean() + 10
    unknown = error_picture(surface, np.where(left, np.nan, 0.05), height=300)
    grey = (np.ptp(unknown.astype(int), axis=2) == 0) & (unknown[..., 0] < 200) & (unknown[..., 0] > 90)
    assert grey.sum() > 1000
    with pytest.raises(ValueError, match="wanted one for each of"):
        error_picture(surface, np.full(len(left), np.nan))
    with pytest.raises(ValueError, match="200 or more"):
        error_picture(surface, np.zeros(len(left)), height=100)
