"""A little study of which one row lacks a seed and another one failed, and the page of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.__main__ import main
from slimdp.data import Clicks
from slimdp.settings_file import dump_yaml, read_mapping
from slimdp.sweep import Study, plan_runs, read_study, sweep
from slimdp.sweep.plan import select
from slimdp.sweep.records import describe_evaluation, write_failure
from slimdp.sweep.work import RunTask, carry_out

# Fixtures, by import: pytest gives those of a conftest to its own folder alone.
from tests.sweep.conftest import base_config, ellipses, labels, make_study, small_run  # noqa: F401

ROWS = {
    "plain": "base: base.yaml\n",
    "deep": "base: base.yaml\nmodel: {stacks: 2}\n",
    "other": "base: base.yaml\nstages: {1: {learning_rate: 1e-2}}\n",
    "never": "base: base.yaml\nstages: {0: {learning_rate: 5e-2}}\n",
}
CLICKS = {"plain": Clicks(points=100), "deep": Clicks(points=1000)}  # of the others they were not counted
MORE = """
paper: {plain: {5cm: 21.06, 10cm: 42.94, 20cm: 59.54}, deep: {10cm: 45.0}}
about:
  plain: as it comes & <b>no more</b>
  other: a sentence that is far longer than what is wanted here, wider than a phone, and still has to fit
groups:
  - {title: "Known & <others>", baseline: plain, rows: [plain, deep]}
  - {title: Else, baseline: other, rows: [other, never]}
figures:
  - {title: Stacks & points <of the row>, x: stacks, curves: {by stacks: [plain, deep]}, scored_on: again}
  - {title: Clicks, x: clicks, log: true, curves: {all: [plain, deep, other], two: [deep]}}
  - {title: Lost, x: clicks, curves: {none: [other]}}
  - {title: Hours, x: hours, curves: {all: [deep, plain, other]}}
  - {title: Not yet, x: stacks, curves: {none: [never]}}
  - {title: Beside the paper, x: stacks, paper: true, curves: {known: [deep, plain], "not": [plain, other]}}
"""
TITLE = 'a <b>little</b> study & its "figures"'


@pytest.fixture(scope="session")
def swept_folder(
    make_study: Callable[..., Study],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a sweep: plain and deep with both seeds, other with one, never failed."""
    folder = tmp_path_factory.mktemp("report")
    file = folder / "study" / "study.yaml"
    (folder / "study").mkdir()
    make_study(folder / "study", ROWS)
    values = read_mapping(file)
    people = values["evaluate"]
    file.write_text(
        dump_yaml({**values, "title": TITLE, "evaluate": {"first": people, "again": people}}) + MORE
    )
    study, out = read_study(file), folder / "out"
    evaluated = describe_evaluation(study.evaluate, study.others)
    for rows, seeds in ((["plain", "deep"], [0, 1]), (["other"], [0])):
        for run in select(plan_runs(study), rows, seeds):
            clicks = None if run.row is None else CLICKS.get(run.row)
            carry_out(RunTask(out, run, evaluated, "cpu", "0123456789abcdef with changes", clicks))
    (out / "never" / "seed_0").mkdir(parents=True)
    write_failure(out / "never" / "seed_0", ValueError("no <script> here & there"))
    # All that is asked for is done: this writes results.json and keeps the study.
    sweep(study, out, rows=["plain", "deep"], say=pytest.fail)
    return out


@pytest.fixture(scope="session")
def page(swept_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, and its figures in a folder beside it."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    figures = file.parent / "figures"
    assert (
        main(["report", str(swept_folder), "--out", str(file), "--figures", str(figures), "--panels", "2"])
        == 0
    )
    return file
