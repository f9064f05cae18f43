"""A metric in a file of one's own is a column of a study, beside points, people and time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slimdp.config import ConfigError
from slimdp.evaluation import METRICS
from slimdp.studies import Study
from tests.evaluation.test_scorer import OWN_METRIC
from tests.studies.here import carry_out_here, results_of
from tools.make_table import main

COLUMNS = """
imports: [a_metric_of_a_study]
columns:
  10cm: points.localization.10cm
  AUC: points.full.auc30
  AP: {score: gps.AP50, title: people found}
  covered: coverage
  time: seconds_an_image
"""


@pytest.fixture
def own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "a_metric_of_a_study.py").write_text(OWN_METRIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    METRICS.pop("coverage", None)
    sys.modules.pop("a_metric_of_a_study", None)


@pytest.mark.usefixtures("own_metric")
def test_any_score_is_a_column(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,), more=COLUMNS)
    carry_out_here(study, tmp_path / "out")
    (row,) = results_of(tmp_path / "out")
    scores = row["scores"][""]
    assert set(scores) >= {
        "points.localization.10cm", "points.full.auc30", "gps.AP50", "coverage", "seconds_an_image",
    }  # fmt: skip
    assert 0 < scores["coverage"] <= 100
    assert 0 < scores["seconds_an_image"] < 60
    assert main([str(tmp_path / "out"), "--study", str(study.file)]) == 0
    table = capsys.readouterr().out
    for told in ("10 cm", "AUC30, full", "people found", "crop covered", "s an image"):
        assert told in table
    assert f"{scores['coverage']:.1f}" in table


def test_a_column_of_no_metric_is_an_error(make_study: Callable[..., Study], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"columns.*'coverage'"):
        make_study(tmp_path / "study", more="columns: {covered: coverage}\n")
