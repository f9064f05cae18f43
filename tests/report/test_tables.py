from __future__ import annotations

import numpy as np
import pytest

from slimdp.evaluation import PeopleGroups, PointErrors, StabilityCount, report_points
from slimdp.report import instance_table, interval_table, score_table, stability_table

SEED_0 = {"5cm": 10.0, "10cm": 40.0, "auc10": 7.25}
SEED_1 = {"5cm": 20.0, "10cm": 40.0, "auc10": 8.25}


def test_plain_table_by_hand() -> None:
    assert score_table({"without": [SEED_0], "with flow": [SEED_1]}).splitlines() == [
        "           5 cm  10 cm  AUC10",
        "-----------------------------",
        "without    10.0   40.0    7.2",
        "with flow  20.0   40.0    8.2",
    ]


def test_markdown_table_with_seeds_by_hand() -> None:
    table = score_table({"without": [SEED_0, SEED_1], "with": [SEED_0]}, markdown=True)
    assert table.splitlines() == [
        "|         |       5 cm |      10 cm |     AUC10 | seeds |",
        "|---------|-----------:|-----------:|----------:|------:|",
        "| without | 15.0 ± 7.1 | 40.0 ± 0.0 | 7.8 ± 0.7 |     2 |",
        "| with    |       10.0 |       40.0 |       7.2 |     1 |",
    ]


def test_rows_must_agree() -> None:
    with pytest.raises(ValueError, match=r"row 'b' has the columns \['5cm'\]"):
        score_table({"a": [SEED_0], "b": [{"5cm": 1.0}]})
    with pytest.raises(ValueError, match=r"\{'a': 1, 'b': 0\}"):
        score_table({"a": [SEED_0], "b": []})
    with pytest.raises(ValueError, match="needs scores"):
        score_table({})


def test_table_of_instances_by_hand() -> None:
    scores = {"gps": {"AP": 51.25, "APm": None}, "iou": {"AP": 100.0, "APm": 3.0}}
    assert instance_table(scores).splitlines() == [
        "                 AP  APm",
        "------------------------",
        "GPS            51.2    -",
        "IoU of masks  100.0  3.0",
    ]
    with pytest.raises(ValueError, match="at least one similarity"):
        instance_table({})


def test_table_with_intervals_and_annotators() -> None:
    rng = np.random.default_rng(0)
    errors_m = rng.exponential(0.1, 300)
    errors = PointErrors(errors_m, errors_m, np.ones(300, dtype=int), np.repeat(np.arange(10), 30))
    report = report_points(errors, PeopleGroups.of([5000] * 10, ["a"] * 5 + ["b"] * 5))
    rows = {"all": (report.all, "full"), "video a": (report.videos["a"], "full")}
    lines = interval_table(rows, {"Annotators": {"5cm": 65, "10cm": 92.0, "20cm": 98}}).splitlines()
    assert lines[0].split() == ["5", "cm", "10", "cm", "20", "cm", "AUC10", "AUC30", "points"]
    low, high = report.all.as_json()["intervals"]["full"]["5cm"]
    assert f"{report.all.as_json()['full']['5cm']:.1f} ({low:.1f}-{high:.1f})" in lines[2]
    assert "(" not in lines[3]  # one video alone says nothing of other videos
    assert lines[4].split() == ["Annotators", "65.0", "92.0", "98.0", "-", "-"]
    with pytest.raises(ValueError, match="at least one row"):
        interval_table({})


def test_stability_table() -> None:
    counts = {"a": StabilityCount(3, 200, 20, 9), "b": StabilityCount(1, 0, 0, 0)}
    lines = stability_table(counts).splitlines()
    assert lines[2].split() == ["a", "5.00", "10.00", "3", "200"]
    assert lines[3].split() == ["b", "-", "-", "1", "0"]
