"""A row may learn from what the network of another row says of its people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flow_cache.runtime.checksums import file_sha256
from slimdp.config import ConfigError
from slimdp.evaluation import PredictionFile
from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.studies import Study, plan_runs, read_study
from slimdp.studies.executor import run_status, work_ahead
from slimdp.studies.plan import PlannedRun, select
from slimdp.studies.prepare import prepare
from slimdp.training import load_checkpoint
from tests.studies.here import carry_out_here, results_of

TAUGHT = """base: base.yaml
stages: {1: {teacher: {weights: nowhere.pt}, loss: {taught_part: 1, taught_uv: 10}}}
"""


@pytest.fixture
def make(make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., Study]:
    """Makes a study of rows; `taught` learns from `grey`, if nothing else is told."""

    def make(seeds: tuple[int, ...] = (0,), of_grey: str = "background: grey", **teachers: str) -> Study:
        rows = {
            "taught": TAUGHT,
            "plain": "base: base.yaml\n",
            "grey": f"base: base.yaml\ncrop: {{{of_grey}}}\n",
        }
        file = make_study(tmp_path / "study", rows, seeds).file
        content = parse_yaml(file.read_text())
        for row, teacher in (teachers or {"taught": "grey"}).items():
            content["rows"][row] = {"settings": f"{row}.yaml", "taught_by": teacher}
        file.write_text(dump_yaml(content))
        return read_study(file)

    return make


def test_the_teacher_comes_first_and_counts_for_both(make: Callable[..., Study]) -> None:
    plan = plan_runs(make())
    by_row = {run.row: run for run in plan if run.row}
    first, teacher = by_row["grey"].upstream
    stills, clips = by_row["taught"].upstream
    assert plan.index(teacher) < plan.index(clips)
    assert (clips.teacher, stills.teacher) == (teacher, None)  # the first stage has no teacher
    assert stills == by_row["plain"].upstream[0]
    assert clips.needs == (stills, first, teacher)
    assert by_row["taught"].needs == (stills, first, teacher, clips)
    assert (teacher.rows, clips.rows) == (("taught", "grey"), ("taught",))
    assert (stills.rows, first.rows) == (("taught", "plain"), ("taught", "grey"))
    chosen = {run.folder for run in select(plan, ["taught"], [0])}
    assert chosen == {run.folder for run in (first, teacher, stills, clips, by_row["taught"])}
    assert work_ahead(plan)[teacher.folder] >= teacher.work + clips.work


def test_a_stage_is_known_by_what_its_teacher_learned(make: Callable[..., Study]) -> None:
    def taught(study: Study) -> list[PlannedRun]:
        return [run for run in plan_runs(study) if run.teacher is not None]

    zero, one = taught(make((0, 1)))
    assert zero.folder.parent == one.folder.parent
    assert (zero.teacher.seed, one.teacher.seed) == (0, 1)  # type: ignore[union-attr]
    out = Path("out")
    weights = [run.config_in(out).stages[1].teacher.weights for run in (zero, one)]  # type: ignore[union-attr]
    assert weights == [str(run.teacher.checkpoint(out)) for run in (zero, one)]  # type: ignore[union-attr]
    (other,) = taught(make(of_grey="margin: 0.2"))
    assert other.folder.parent != zero.folder.parent


def test_it_learns_from_the_row_of_its_seed(make: Callable[..., Study], tmp_path: Path) -> None:
    study, out = make(), tmp_path / "out"
    prepared = prepare(study, out, ["taught"], device="cpu")
    assert [run.row for run in prepared.todo] == [None, None, None, None, "taught"]
    carry_out_here(study, out, ["taught"])
    (scored,) = results_of(out)
    assert scored["row"] == "taught"
    (clips,) = [run for run in prepared.todo if run.teacher is not None]
    assert clips.teacher is not None
    with PredictionFile(clips.folder_in(out) / "taught" / "clips_0" / "people_000000.h5") as said:
        assert said.origin.checkpoint_sha256 == file_sha256(clips.teacher.checkpoint(out)).hex()
    assert load_checkpoint(clips.checkpoint(out)).config.crop.background == "kept"
    assert not prepare(study, out, ["taught"], device="cpu").todo
    # The row that teaches needs only be scored.
    assert [run.row for run in prepare(study, out, ["grey"], device="cpu").todo] == ["grey"]


def test_a_teacher_that_fails_blocks_the_row(make: Callable[..., Study], tmp_path: Path) -> None:
    prepared = prepare(make(), tmp_path / "out", ["taught"], device="cpu")
    (clips,) = [run for run in prepared.todo if run.teacher is not None]
    assert clips.teacher is not None
    done = [run for run in clips.needs if run is not clips.teacher]
    for run in done:
        run.checkpoint(prepared.out).parent.mkdir(parents=True)
        run.checkpoint(prepared.out).touch()
    folders = {run.folder for run in done}
    status = run_status(prepared, set(folders))
    assert (status.ready, status.waiting) == ((clips.teacher,), (clips, prepared.todo[-1]))
    assert clips in run_status(prepared, set(folders), failures=[clips.teacher.folder]).blocked


def test_wrong_teachers_are_refused(make: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError, match=r"unknown key rows\.taught\.taught_by\.gray; there are: taught"):
        make(taught="gray")
    with pytest.raises(ConfigError, match=r"taught_by = 'grey', which is taught by 'plain'; name a row"):
        make(taught="grey", grey="plain")
    with pytest.raises(
        ConfigError, match=r"rows\.plain\.taught_by = 'grey', but none of its stages has a teacher"
    ):
        plan_runs(make(plain="grey"))
