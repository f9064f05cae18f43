from __future__ import annotations

import json
from pathlib import Path

import pytest

from slimdp.evaluation import write_scores


def test_scores_round_trip(tmp_path: Path) -> None:
    scores = {"points": {"full": {"5cm": 12.5}}}
    write_scores(tmp_path / "out" / "scores.json", scores)
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == scores


def test_a_score_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finite"):
        write_scores(tmp_path / "scores.json", {"5cm": float("nan")})
    assert list(tmp_path.iterdir()) == []
    scores = {"all": {"5cm": 1.0, "mean": float("inf")}, "parts": [1.0, float("nan")], "count": 2}
    with pytest.raises(ValueError, match=r"not finite: all\.mean, parts\.1$"):
        write_scores(tmp_path / "scores.json", scores)
