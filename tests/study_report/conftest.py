"""A little study of which one row lacks a seed and another one failed, and the page of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.__main__ import main
from slimdp.sweep import Study, plan_runs, sweep
from slimdp.sweep.kept import keep_study
from slimdp.sweep.plan import select
from slimdp.sweep.records import describe_evaluation, write_failure
from slimdp.sweep.work import RunTask, carry_out

# Fixtures, by import: pytest gives those of a conftest to its own folder alone.
from tests.sweep.conftest import base_config, labels, make_study  # noqa: F401

ROWS = {
    "plain": "base: base.yaml\n",
    "deep": "base: base.yaml\nmodel: {stacks: 2}\n",
    "other": "base: base.yaml\nstages: {1: {learning_rate: 1e-2}}\n",
    "never": "base: base.yaml\nstages: {0: {learning_rate: 5e-2}}\n",
}
MORE = """
paper: {plain: {5cm: 21.06, 10cm: 42.94, 20cm: 59.54}, deep: {10cm: 45.0}}
figures:
  - title: Stacks & points <of the row>
    x: stacks
    curves: {by stacks: [plain, deep]}
  - title: Missing
    x: clicks
    curves: {all: [plain, other]}
"""
TITLE = 'a <b>little</b> study & its "figures"'


@pytest.fixture(scope="session")
def swept_folder(
    make_study: Callable[..., Study],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a sweep: plain and deep with both seeds, other with one, never failed."""
    folder = tmp_path_factory.mktemp("report")
    study = make_study(folder / "study", ROWS, more=MORE)
    file = study.file
    file.write_text(file.read_text().replace("title: a little study", f"title: {TITLE!r}"))
    from slimdp.sweep import read_study

    study, out = read_study(file), folder / "out"
    evaluated = describe_evaluation(study.evaluate)
    for rows, seeds in ((["plain", "deep"], [0, 1]), (["other"], [0])):
        for run in select(plan_runs(study), rows, seeds):
            if not run.checkpoint(out).exists() or run.row is not None:
                carry_out(RunTask(out, run, evaluated, "cpu", "0123456789abcdef with changes"))
    (out / "never" / "seed_0").mkdir(parents=True)
    write_failure(out / "never" / "seed_0", ValueError("no <script> here & there"))
    # Everything is done that is asked for: this writes results.json and keeps the study.
    sweep(study, out, rows=["plain", "deep"], say=pytest.fail)
    keep_study(study, out)
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
