from __future__ import annotations

import pytest

from slimdp.report import instance_table, score_table

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
