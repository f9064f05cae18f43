"""The studies under experiments/; that every run trains is tested from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimdp.sweep.study import read_study

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*/study.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.parent.name)
def test_every_study_has_its_rows_and_no_other(file: Path) -> None:
    study = read_study(file)
    files = {run.stem for run in file.parent.glob("*.yaml") if run != file}
    assert {row.name for row in study.rows} == {name for name in files if not name.startswith("base")}
    assert set(study.paper) <= {row.name for row in study.rows}
