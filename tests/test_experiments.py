"""The files under experiments/."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimdp.config import load_config
from slimdp.sweep.study import read_study

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*/study.yaml"))
RUNS = sorted(set(EXPERIMENTS.rglob("*.yaml")) - set(STUDIES))


@pytest.mark.parametrize("file", RUNS, ids=lambda file: str(file.relative_to(EXPERIMENTS)))
def test_every_run_can_be_read(file: Path) -> None:
    assert load_config(file).stages


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.parent.name)
def test_every_study_has_its_rows_and_no_other(file: Path) -> None:
    study = read_study(file)
    files = {run.stem for run in file.parent.glob("*.yaml") if run != file}
    assert {row.name for row in study.rows} == {name for name in files if not name.startswith("base")}
    assert set(study.paper) <= {row.name for row in study.rows}
