"""A little study of which one row lacks a seed and another one failed, and the page of it.

Nothing is trained: weights are those that a network begins with, and losses and scores are written down here,
so that what the page must say is known beforehand.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from slimdp.__main__ import main
from slimdp.config import TrainConfig
from slimdp.data import Clicks
from slimdp.settings_file import dump_yaml, read_mapping
from slimdp.studies import Study, plan_runs, read_study, sweep
from slimdp.studies import executor as sweep_work
from slimdp.studies.executor import RunTask, carry_out
from slimdp.studies.plan import select
from slimdp.studies.records import RunResult, describe_evaluation, write_failure, write_result
from slimdp.training import Checkpoint, stage_file
from slimdp.training.checkpoint import build_model, save_checkpoint
from slimdp.training.distributed import DistributedContext
from slimdp.training.run_folder import RunFolder
from tests.made_once import made_once

# Fixtures, by import: pytest gives those of a conftest to its own folder alone.
from tests.studies.conftest import base_config, ellipses, labels, make_study, small_run  # noqa: F401

ROWS = {
    "plain": "base: base.yaml\n",
    "deep": "base: base.yaml\nmodel: {stacks: 2}\n",
    "other": "base: base.yaml\nstages: {1: {learning_rate: 1e-2}}\n",
    "never": "base: base.yaml\nstages: {0: {learning_rate: 5e-2}}\n",
}
CLICKS = {"plain": Clicks(points=100), "deep": Clicks(points=1000)}  # of the others they were not counted
MORE = """
paper: {plain: {5cm: 21.06, 10cm: 42.94, 20cm: 59.54}, deep: {10cm: 45.0}}
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
#: Titles of rows; the others have their names alone.
PLAIN = "as it comes & <b>no more</b>"
OTHER = "a sentence that is far longer than what is wanted here, wider than a phone, and still has to fit"
TITLE = 'a <b>little</b> study & its "figures"'


#: Percent within 10 cm on the first set, by row and seed. On average deep is best; other prints alike.
WITHIN_10CM = {
    ("plain", 0): 12.1, ("plain", 1): 13.1, ("deep", 0): 13.54, ("deep", 1): 13.6, ("other", 0): 13.56,
}  # fmt: skip


def _scores(within_10cm: float) -> dict[str, float]:
    percent = {"5cm": within_10cm / 2, "10cm": within_10cm, "20cm": within_10cm + 20}
    scores = {f"points.localization.{name}": value for name, value in percent.items()}
    return {**scores, **{f"points.full.{name}": value - 1 for name, value in percent.items()}}


def written_scores(result: RunResult) -> RunResult:
    """A result with the scores that are written here; on the second set all are 1 lower."""
    within_10cm = WITHIN_10CM[result.row, result.seed]
    return result.replace(scores={"first": _scores(within_10cm), "again": _scores(within_10cm - 1)})


def untrained(config: TrainConfig, out: Path, **_: object) -> Path:
    """In place of `train`: the end of a stage with the weights that a network begins with, and its log."""
    done, stage = sum(stage.steps for stage in config.stages[:-1]), config.stages[-1]
    folder = RunFolder(out)
    folder.begin(config, torch.device("cpu"), DistributedContext())
    for step in range(done + 1, done + stage.steps + 1):
        loss = {"loss/total": 9 / step, "loss/stack0/part": (3 + config.seed) / step}
        more = {"loss/stack1/part": 2 / step} if config.model.stacks > 1 else {}
        folder.measure(step, stage.name, {**loss, **more})
    torch.manual_seed(config.seed)
    model, end = build_model(config), stage_file(out, stage.name)
    save_checkpoint(end, Checkpoint(config, len(config.stages), 0, model.state_dict()))
    return end


@pytest.fixture(scope="session")
def swept_folder(
    make_study: Callable[..., Study],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a sweep: plain and deep with both seeds, other with one, never failed. Only read it."""
    return made_once(tmp_path_factory, "swept_study", lambda folder: _sweep_into(folder, make_study)) / "out"


def _sweep_into(folder: Path, make_study: Callable[..., Study]) -> None:  # noqa: F811
    folder.mkdir()
    file = folder / "study" / "study.yaml"
    (folder / "study").mkdir()
    make_study(folder / "study", ROWS)
    values = read_mapping(file)
    people = values["evaluate"]
    for name, title in (("plain", PLAIN), ("other", OTHER)):
        values["rows"][name] = {"settings": f"{name}.yaml", "title": title}
    file.write_text(
        dump_yaml({**values, "title": TITLE, "evaluate": {"first": people, "again": people}}) + MORE
    )
    study, out = read_study(file), folder / "out"
    evaluated = describe_evaluation(study)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_work, "train", untrained)
        for rows, seeds in ((["plain", "deep"], [0, 1]), (["other"], [0])):
            for run in select(plan_runs(study), rows, seeds):
                clicks = None if run.row is None else CLICKS.get(run.row)
                task = RunTask(out, run, evaluated, "cpu", "0123456789abcdef with changes", clicks)
                if (result := carry_out(task)) is not None:
                    write_result(run.folder_in(out), written_scores(result), evaluated)
    (out / "never" / "seed_0").mkdir(parents=True)
    write_failure(out / "never" / "seed_0", ValueError("no <script> here & there"))
    # All that is asked for is done: this writes scores.jsonl and a snapshot of the study.
    sweep(study, out, rows=["plain", "deep"], log=pytest.fail)


@pytest.fixture(scope="session")
def page(swept_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, and its figures in a folder beside it; do not change them."""

    def make(folder: Path) -> None:
        folder.mkdir()
        given = ["report", str(swept_folder), "--out", str(folder / "report.html"), "--panels", "2"]
        assert main([*given, "--figures", str(folder / "figures")]) == 0

    return made_once(tmp_path_factory, "page", make) / "report.html"


@pytest.fixture
def without_figures(swept_folder: Path, tmp_path: Path) -> Path:
    """A copy of the study that draws no figures, which take most of a page's time."""
    copied = Path(shutil.copytree(swept_folder.parent / "study", tmp_path / "without_figures" / "study"))
    values = read_mapping(copied / "study.yaml")
    (copied / "study.yaml").write_text(dump_yaml({**values, "figures": []}))
    return copied / "study.yaml"
