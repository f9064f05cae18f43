"""Sweeps in jobs through submitit, here and on a cluster that is made up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_cache.runtime import job_array
from flow_cache.runtime.job_array import JobError
from flow_cache.runtime.lock import held
from slimdp.__main__ import main
from slimdp.studies import HeldError, Study, launch, sweep
from slimdp.studies.executor import run_status
from slimdp.studies.launch import SubmittedSweep, SweepJob, submit_sweep
from slimdp.studies.prepare import alone, prepare
from slimdp.studies.records import LOG, begin_run, begin_training, describe_run, read_failure, write_failure
from tests.forked_jobs import fork_local_jobs
from tests.studies.here import carry_out_here, scores_of
from tests.training.weights import same_weights

ROOT = Path(__file__).resolve().parents[2]
# As the processes of jobs, with whose runs they are compared bit for bit.
pytestmark = pytest.mark.usefixtures("one_thread")
WILD = "base: base.yaml\nstages: {1: {learning_rate: 1e30, warmup: 0.0}}\n"


@pytest.mark.usefixtures("forked_workers")
def test_local_jobs_give_what_one_process_gives_and_a_failed_run_takes_no_other_along(
    make_study: Callable[..., Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fork_local_jobs(monkeypatch)
    rows = {"wild": WILD, "plain": "base: base.yaml\n", "twin": "base: base.yaml\nworkers: 0\n"}
    study, out = make_study(tmp_path / "study", rows, (0,)), tmp_path / "out"
    command = ["sweep", str(study.file), "--out", str(out), "--submit", "local", "--jobs", "2"]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert f"; 2 jobs; logs are in {out / 'jobs' / '0001'}" in said
    assert "3 rows and seeds to do; to train: 3 stages, 36 crops" in said
    assert re.search(r"stage clips of wild, seed 0: FAILED: NonFiniteLossError", said)
    assert "not run, for what they begin with failed: wild/seed_0" in said
    assert [row[0] for row in scores_of(out)] == ["plain", "twin"]
    carry_out_here(study, tmp_path / "alone", rows=["plain", "twin"])
    assert scores_of(out) == scores_of(tmp_path / "alone")
    for end in (tmp_path / "alone").rglob("stage_*.pt"):
        assert same_weights(out / end.relative_to(tmp_path / "alone"), end)


def test_where_nothing_is_missing_no_job_is_started(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,)), tmp_path / "out"
    carry_out_here(study, out)
    assert main(["sweep", str(study.file), "--out", str(out), "--submit", "local", "--jobs", "2"]) == 0
    assert capsys.readouterr().out == f"1 results: {out / 'scores.jsonl'}\n"
    assert not (out / "jobs").exists()


@pytest.mark.parametrize("full", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_slurm_is_asked_for_what_was_said(
    make_study: Callable[..., Study],
    tmp_path: Path,
    slurm: Path,
    capsys: pytest.CaptureFixture[str],
    full: bool,
) -> None:
    study, out = make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,)), tmp_path / "out"
    command = ["sweep", str(study.file), "--out", str(out), "--submit", "slurm", "--jobs", "1"]
    command += ["--slurm", "partition=gpu,timeout_min=90", "--slurm", "cpus_per_task=4"]
    if full:
        (slurm / "full").touch()
        command.append("--no-wait")
    assert main(command) == 0
    asked = set((slurm / "submitted.sh").read_text().splitlines())
    wanted = ["partition=gpu", "time=90", "cpus-per-task=4", "job-name=slimdp_sweep"]
    assert {f"#SBATCH --{line}" for line in wanted} <= asked
    if not full:
        assert [row[:2] for row in scores_of(out)] == [("plain", 0)]
        assert "1 results: " in capsys.readouterr().out


def test_what_can_be_checked_is_checked_before_the_first_job(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = make_study(tmp_path / "study"), tmp_path / "out"
    wrong = make_study(tmp_path / "wrong", {"plain": "base: base.yaml\nsurface: nowhere\n"}, (0,))
    with pytest.raises(ValueError, match="jobs = 0"):
        submit_sweep(study, out, 0)
    with pytest.raises(JobError, match=r"settings of SLURM \(partition\) for local jobs"):
        submit_sweep(study, out, 2, asked={"partition": "gpu"})
    with pytest.raises(ValueError, match="row plain: surface = 'nowhere'"):
        submit_sweep(wrong, out, 2)
    with held(out / ".lock"), pytest.raises(HeldError, match="another sweep is at work"):
        submit_sweep(study, out, 2)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(JobError, match=r"slurm cannot be submitted from here.*srun"):
        submit_sweep(study, out, 2, "slurm")
    assert not (out / "jobs").exists()


def test_while_jobs_are_at_work_there_is_no_other_sweep(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, out = make_study(tmp_path / "study"), tmp_path / "out"
    with alone(out, together=True), alone(out, together=True):
        with pytest.raises(HeldError, match="another sweep is at work"):
            sweep(study, out)
        with pytest.raises(HeldError, match="another sweep is at work"):
            submit_sweep(study, out, 2)


def test_a_job_takes_what_is_free_and_what_others_left_last(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepared = prepare(make_study(tmp_path / "study", seeds=(0,)), out)
    names = {run.name: run for run in prepared.todo}
    stills = names["stage stills of plain, fast, seed 0"]
    other = names["stage stills of other, seed 0"]

    def ready() -> list[str]:
        return [run.name for run in run_status(prepared, set()).ready]

    assert ready() == [stills.name, other.name]  # as much work behind each: in the order of the table
    begin_run(out / stills.folder, describe_run(stills.config))
    begin_training(out / stills.folder, 1.0, "a commit")  # killed there
    assert ready() == [other.name, stills.name]
    with held(out / other.folder / ".lock"):
        look = run_status(prepared, set())
        assert (look.ready, look.busy) == ((stills,), (other,))
        assert len(look.waiting) == len(prepared.todo) - 2
    write_failure(out / stills.folder, ValueError("broken"))
    look = run_status(prepared, set())
    assert (look.failed, look.ready) == ((stills,), (other,))
    assert {run.rows for run in look.blocked} == {("plain",), ("fast",)}
    assert {run.rows for run in look.waiting} == {("other",)}
    other.checkpoint(out).touch()
    assert ready() == ["stage clips of other, seed 0"]
    other.checkpoint(out).unlink()
    assert run_status(prepared, {other.folder}).done == (other,)  # found before, and not looked at again


@pytest.mark.usefixtures("forked_workers")
def test_a_job_takes_up_once_what_cannot_even_begin(make_study: Callable[..., Study], tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared = prepare(make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,)), out)
    stills = prepared.todo[0]
    (out / stills.folder / LOG).mkdir(parents=True)  # so that its process fails before it can write why
    assert SweepJob(prepared)() == 0
    failure = read_failure(out / stills.folder)
    assert failure is not None
    assert failure.error.startswith("IsADirectoryError: ")


def test_a_row_that_failed_is_told_of(make_study: Callable[..., Study], tmp_path: Path) -> None:
    prepared = prepare(make_study(tmp_path / "study", seeds=(0,)), tmp_path / "out")
    row = next(run for run in prepared.todo if not run.trains)
    write_failure(tmp_path / "out" / row.folder, ValueError("broken"))
    said: list[str] = []
    summary = SubmittedSweep(prepared, "local", ()).wait(said.append)
    assert [line.partition("; log: ")[0] for line in said] == [f"{row.name}: FAILED: ValueError: broken"]
    assert list(summary.failures) == [row.name]


def test_scores_are_read_again_only_where_something_ended(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(make_study(tmp_path / "study", seeds=(0,)), tmp_path / "out")
    row = next(run for run in prepared.todo if not run.trains)
    read: list[str] = []
    monkeypatch.setattr(launch, "save_all_results", lambda prepared: read.append("scores") or {})

    def polls(jobs: object, cluster: str, tell: Callable[[], None], *_: object) -> None:
        for poll in range(5):
            if poll == 2:
                write_failure(tmp_path / "out" / row.folder, ValueError("broken"))
            tell()

    monkeypatch.setattr(job_array, "wait_for_jobs", polls)
    SubmittedSweep(prepared, "local", ()).wait(read.append)
    told = f"{row.name}: FAILED: ValueError: broken"
    assert [line.partition("; log: ")[0] for line in read] == ["scores", told, "scores"]


def test_a_job_that_is_displaced_is_queued_again_as_it_was(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    job = SweepJob(prepare(make_study(tmp_path / "study"), tmp_path / "out"))
    again = job.checkpoint()
    assert (again.function, again.args) == (job, ())


@pytest.mark.slow
def test_a_killed_job_leaves_its_run_to_the_next_one(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    """The process of a job, not that of its run, which must not go on without it."""
    study, out = make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,)), tmp_path / "out"
    command = [sys.executable, "-m", "slimdp", "sweep", str(study.file), "--out", str(out)]
    command += ["--submit", "local", "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while not list(out.rglob("last.pt")):
            assert process.poll() is None
            time.sleep(0.01)
        number = int((out / ".lock").read_text().split()[0])  # the job holds it
        os.kill(number, signal.SIGKILL)
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "not done when the jobs ended: " in said
    assert main(command[3:]) == 0
    carry_out_here(study, tmp_path / "alone")
    assert scores_of(out) == scores_of(tmp_path / "alone")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--slurm", "partition=gpu"], "settings of --submit"),
        (["--no-wait"], "settings of --submit"),
        (["--submit", "local"], "--submit needs --jobs N"),
    ],
)
def test_options_that_do_not_go_together(
    make_study: Callable[..., Study],
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = make_study(tmp_path / "study")
    assert main(["sweep", str(study.file), "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
