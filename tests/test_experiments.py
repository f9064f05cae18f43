"""The studies under experiments/; that every run trains is tested from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimdp.studies import plan_runs, read_study

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*/study.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.parent.name)
def test_every_study_has_its_rows_and_no_other(file: Path) -> None:
    study = read_study(file)
    files = {run.stem for run in file.parent.glob("*.yaml") if run != file}
    own = {row.name for row in study.rows if Path(row.where).parent == file.parent}
    assert own == {name for name in files if not name.startswith("base")}
    assert set(study.paper()) <= {row.name for row in study.rows}
    titles = [row.title for row in study.rows]
    assert all(titles), "a row without a title"
    assert len(set(titles)) == len(titles)
    assert len(list(study.configs())) == len(study.rows) * len(study.seeds)  # rows of grids too


def test_tables_have_rows_in_common_and_these_are_trained_once() -> None:
    """What `sweep` of all of them with one --shared comes to."""
    folders = ("table2", "table3", "table4", "table5", "figure5")
    stages, rows = {}, 0
    for folder in folders:
        study = read_study(EXPERIMENTS / folder / "study.yaml")
        for run in plan_runs(study.replace(seeds=(0,))):
            rows += not run.trains
            if run.trains:
                stages[run.folder] = run
    assert rows == 37
    assert len(stages) == 3 + 10 + 2 + 6 + 3  # beside the row that several have: all labels of the stills
    core_hours = 3 * sum(run.work for run in stages.values()) * 3.3e-3 / 3600
    assert core_hours < 5  # of the 6 that 2 cores have in 3 hours
