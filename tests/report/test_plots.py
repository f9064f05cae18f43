from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.evaluation import PointCurve
from slimdp.report import curve_image, write_curves
from slimdp.report.plots import (
    Curve,
    Plot,
    curve_plot,
    row_plot,
    short_number,
    ticks_apart,
    training_plot,
)


def a_curve(*y: float) -> Curve:
    values = np.array(y, dtype=float)
    return Curve(np.arange(1.0, len(y) + 1), values, values - 1, values + 1)


def texts(chart: Plot) -> list[str]:
    """What is written in it; raises where the SVG is not well formed."""
    return [
        "".join(each.itertext())
        for each in ElementTree.fromstring(chart.svg).iter()
        if each.tag.endswith("text")
    ]


def pixels(chart: Plot) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(chart.png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image[..., ::-1]


def test_names_are_written_and_escaped_and_nothing_is_fetched() -> None:
    chart = curve_plot({"a <b> & c": a_curve(1, 2), "other": a_curve(3, 4)}, "stacks", "points, %")
    written = texts(chart)
    assert {"a <b> & c", "other", "stacks", "points, %", "1", "2"} <= set(written)
    assert chart.svg.startswith(b"<svg")
    references = [part.split(b'"')[0] for part in chart.svg.split(b'href="')[1:]]
    assert all(reference.startswith(b"#") for reference in references)
    assert curve_plot({"a": a_curve(1, 2)}, "x", "y") == curve_plot({"a": a_curve(1, 2)}, "x", "y")


#: A file or a row may be called so, which matplotlib takes for a formula, or leaves out of a legend.
ODD_NAMES = ("price$1_$2.jpg", "x$\\foo$", "_hidden", "a\\b$", "$")


@pytest.mark.parametrize("count", [3, len(ODD_NAMES)])  # beside the curves, and below the plot
def test_names_are_no_formulas_and_none_is_left_out(count: int) -> None:
    names = ODD_NAMES[-count:]
    chart = curve_plot({name: a_curve(1, 2) for name in names}, "x $a_b$", "y $^$")
    assert [text for text in texts(chart) if text in names] == list(names)
    assert {"x $a_b$", "y $^$"} <= set(texts(chart))
    drawn = texts(row_plot([(name, [1.0]) for name in names], "$x$"))
    assert [text for text in drawn if text in names] == list(names)
    assert "$x$" in drawn
    assert "$a_b$" in texts(training_plot(a_curve(1, 2), None, "$a_b$"))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_curve_of_an_odd_name_is_in_the_legend(name: str) -> None:
    cm, ratio = np.array([10.0, 20.0]), np.array([90.0, 95.0])
    image = curve_image({name: PointCurve(cm, ratio, np.stack([ratio - 1, ratio + 1]))}, title="price $1_$2")
    lower_right = image[image.shape[0] // 2 :, image.shape[1] // 2 :].astype(int)  # the curve is not there
    assert (np.abs(lower_right - (31, 95, 168)).sum(axis=2) < 40).any()


def test_higher_values_are_drawn_higher() -> None:
    image = pixels(curve_plot({"low": a_curve(10, 10), "high": a_curve(30, 30)}, "x", "y"))
    half = image[:, : image.shape[1] // 2].astype(int)
    rows = [
        np.nonzero(np.abs(half - colour).sum(axis=2) < 40)[0] for colour in ((31, 95, 168), (200, 80, 30))
    ]
    assert np.median(rows[1]) < np.median(rows[0]) - 100


def test_the_papers_curves_are_thin_dashed_and_once_in_the_legend() -> None:
    curves = {"low": a_curve(10, 20), "high": a_curve(30, 40)}
    alone, beside = (curve_plot(curves, "x", "y", paper=paper) for paper in (None, {"high": a_curve(70, 80)}))
    assert b"stroke-dasharray" not in alone.svg
    assert [text for text in texts(beside) if not text[0].isdigit()] == ["x", "y", "low", "high", "paper"]
    assert beside.svg.count(b"stroke-dasharray") == 2  # the curve and the legend
    assert "80" in texts(beside)  # the axis reaches it
    assert "80" not in texts(alone)


def test_rows_stand_below_each_other_and_empty_ones_keep_their_line() -> None:
    chart = row_plot([("first", [10.0, 12.0]), ("missing", []), ("last", [20.0])], "points, %")
    assert [text for text in texts(chart) if text in ("first", "missing", "last")] == [
        "first",
        "missing",
        "last",
    ]
    image = pixels(chart).astype(int)
    marked = np.nonzero(np.abs(image - (200, 80, 30)).sum(axis=2) < 40)
    top, bottom = marked[0].min(), marked[0].max()
    upper, lower = (marked[1][np.abs(marked[0] - line) < 20].mean() for line in (top + 15, bottom - 15))
    assert upper < lower  # 11 is left of 20
    # Black from left to right: the axis, and a line for a break.
    parted = row_plot([("first", [10.0, 12.0]), ("missing", []), ("last", [20.0])], "points, %", breaks=[2])
    across = [(pixels(each).max(axis=2) < 60).mean(axis=1) > 0.6 for each in (chart, parted)]
    beginnings = [int((line[1:] & ~line[:-1]).sum()) for line in across]
    assert beginnings[1] == beginnings[0] + 1
    assert bottom - top > 60


def test_the_baseline_of_a_training_is_dashed() -> None:
    alone, beside = (training_plot(a_curve(3, 2, 1), other, "loss") for other in (None, a_curve(4, 3, 2)))
    assert b"stroke-dasharray" not in alone.svg
    assert b"stroke-dasharray" in beside.svg


def test_nothing_to_draw_or_too_much() -> None:
    with pytest.raises(ValueError, match="0 curves, but 1 to 7"):
        curve_plot({}, "x", "y")
    with pytest.raises(ValueError, match="8 curves"):
        curve_plot({str(i): a_curve(1) for i in range(8)}, "x", "y")
    with pytest.raises(ValueError, match="none of 2 rows"):
        row_plot([("a", []), ("b", [])], "x")


def test_numbers_of_an_axis_do_not_overlap() -> None:
    clicks = np.array([1232.0, 1615, 2213, 2291, 4206])
    assert ticks_apart(clicks, log=True) == [1232, 1615, 2213, 4206]
    assert ticks_apart(np.array([1.0, 100, 99, 50]), log=False) == [1, 50, 100]
    assert ticks_apart(np.array([1.0, 2]), log=False) == [1, 2]
    assert ticks_apart(np.array([7.0, 7]), log=False) == [7]
    assert [short_number(value) for value in (0.5, 1.8056, 1500, 12345, 2.5e6)] == [
        "0.5", "1.81", "1500", "12.3k", "2.5M",
    ]  # fmt: skip


def accuracy(slope: float) -> PointCurve:
    cm = np.arange(1.0, 31.0)
    ratio = np.minimum(slope * cm, 100)
    return PointCurve(cm, ratio, np.stack([ratio - 1, ratio + 1]))


def test_curves_are_drawn_where_they_are() -> None:
    low, high = (curve_image({"a": accuracy(slope)}) for slope in (0.5, 3.0))
    blue = [(np.abs(p.astype(int) - (31, 95, 168)).sum(axis=2) < 40) for p in (low, high)]
    # A better curve lies higher in the picture.
    assert np.median(np.nonzero(blue[1])[0]) < np.median(np.nonzero(blue[0])[0]) - 50
    with pytest.raises(ValueError, match="0 curves"):
        curve_image({})


def test_curves_as_numbers(tmp_path: Path) -> None:
    unknown = PointCurve(np.arange(1.0, 31.0), np.full(30, 7.0), np.full((2, 30), np.nan))
    write_curves(tmp_path / "c.csv", {"full": accuracy(2), "other": unknown})
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[0] == "cm,full,full_low,full_high,other,other_low,other_high"
    assert lines[3] == "3,6,5,7,7,,"
    shorter = PointCurve(np.arange(1.0, 4.0), np.zeros(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="same distances"):
        write_curves(tmp_path / "c.csv", {"full": accuracy(2), "other": shorter})
