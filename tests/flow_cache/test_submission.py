from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.__main__ import main
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, Pair, RaftSmall
from flow_cache.journal import JournaledFile
from flow_cache.precompute import Progress, precompute, read_progress
from flow_cache.runtime.job_array import JobError, make_executor, submit_array
from flow_cache.store import FlowStore
from flow_cache.submission import JobFile, ShardJob, submit, tell_jobs
from tests.flow_cache.contents import contents

MakeFolder = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]
FAST = DenseInverseSearch("ultrafast")


@pytest.fixture
def videos(tmp_path: Path, make_folder: MakeFolder) -> list[Path]:
    """Six videos of 3 to 8 frames, each with a move of its own."""
    folders = []
    for index, count in enumerate((8, 3, 5, 4, 7, 6)):
        folders.append(make_folder(f"clip{index}", count))
        for frame, file in enumerate(sorted(folders[-1].iterdir())):
            image = cv2.imread(str(file))
            cv2.imwrite(str(file), np.roll(image, -index * frame, axis=1))
    return folders


def test_local_jobs_give_what_one_process_gives_and_go_on_where_one_failed(
    tmp_path: Path, videos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    precompute(videos, tmp_path / "one.h5", estimator=FAST, progress=False)
    broken = videos[4] / "0005.png"
    intact = broken.read_bytes()
    broken.write_bytes(b"no picture")  # a look at the first frame does not show that
    out = tmp_path / "flow"
    command = ["precompute", *map(str, videos), "--preset", "ultrafast", "--out", str(out)]
    command += ["--submit", "local", "--jobs", "3"]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == f"{out}: 3 jobs; logs are in {out / 'jobs' / '0001'}\n"
    assert "1 of 3 jobs failed; what they finished is kept, and the same command goes on" in said.err
    assert re.search(r"shard-2-of-3\.h5 \(job \d+\): the end of .*_log\.err:\n", said.err)
    assert "0005.png is no picture" in said.err
    begun = contents(out)
    assert main(["jobs", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0].split(": ")[1] for line in lines] == ["finished", "stopped", "finished"]

    broken.write_bytes(intact)
    assert main(command) == 0
    whole = contents(out)
    assert whole == contents(tmp_path / "one.h5")
    assert 0 < len(begun) < len(whole)
    summary = capsys.readouterr().out.splitlines()[-1]
    assert f" estimated, {len(begun)} found, " in summary
    assert f"{out}: {len(whole) - len(begun)} fields of " in summary
    with FlowStore(out) as shards, FlowStore(tmp_path / "one.h5") as one:
        for video in one.videos():
            assert shards.record(video) == one.record(video)


def test_a_job_of_short_videos_alone_stops_no_other(
    tmp_path: Path, videos: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = submit(videos[:2], tmp_path / "flow", 2, steps=(7,), estimator=FAST).wait(progress=False)
    assert (done.videos, done.estimated) == (("clip0", "clip1"), 1)
    assert caplog.messages == ["no flow over steps that lead out of the video: 'clip1' of 3 frames (+7)"]


def test_slurm_is_asked_for_an_array_of_what_was_said(
    tmp_path: Path, videos: list[Path], slurm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precompute(videos[:2], tmp_path / "one.h5", (-1, 1), FAST, progress=False)
    out = tmp_path / "flow"
    arguments = ["precompute", *map(str, videos[:2]), "--preset", "ultrafast", "--steps", "-1,1"]
    arguments += ["--out", str(out), "--submit", "slurm", "--jobs", "5"]
    arguments += [
        "--slurm",
        "partition=gpu,timeout_min=90,gpus_per_node=1",
        "--slurm",
        "exclude=n1,n2,mem_gb=7.5",
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{out}: 2 jobs, not 5: there is no more to share out; logs are in {out}")
    assert contents(out) == contents(tmp_path / "one.h5")
    asked = (slurm / "submitted.sh").read_text().splitlines()
    wanted = [
        "array=0-1%2",
        "partition=gpu",
        "time=90",
        "gpus-per-node=1",
        "mem=7680MB",
        "job-name=flow_cache",
    ]
    wanted += ["cpus-per-task=1", "exclude=n1,n2"]
    assert {f"#SBATCH --{line}" for line in wanted} <= set(asked)
    assert {job["job"] for job in json.loads((out / "jobs/0001/jobs.json").read_bytes())} == {"70_0", "70_1"}


def test_what_can_be_checked_is_checked_before_the_first_job(
    tmp_path: Path, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "flow"
    with pytest.raises(FlowCacheError, match="0 jobs"):
        submit(videos, out, 0)
    with pytest.raises(FlowCacheError, match="no video at nowhere"):
        submit([*videos, "nowhere"], out, 2)
    with pytest.raises(FlowCacheError, match="none of them 0"):
        submit(videos, out, 2, steps=(0, 1))
    with pytest.raises(FlowCacheError, match=r"frames of videos that are not given: \['walk'\]"):
        submit(videos, out, 2, frames={"walk": [1]})
    with pytest.raises(FlowCacheError, match=r"clip1: of its 3 frames none is wanted"):
        submit(videos, out, 2, frames={"clip1": [4]})
    with pytest.raises(FlowCacheError, match=r"every step leads out: 'clip0' of 8 .* and 3 more; wanted"):
        submit(videos, out, 2, steps=(8,))
    with pytest.raises(FlowCacheError, match=r"'none\.pth' of raft_small: no such file"):
        submit(videos, out, 2, estimator=RaftSmall("none.pth"))
    (tmp_path / "text.pth").write_text("text")
    with pytest.raises(FlowCacheError, match=r"text\.pth is no checkpoint"):
        submit(videos, out, 2, estimator=RaftSmall(str(tmp_path / "text.pth"), device="cuda"))
    with pytest.raises(JobError, match="cluster 'pbs'; choices: local, slurm"):
        submit(videos, out, 2, "pbs")
    with pytest.raises(JobError, match=r"settings of SLURM \(partition\) for local jobs"):
        submit(videos, out, 2, asked={"partition": "gpu"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(JobError, match=r"slurm cannot be submitted from here.*srun"):
        submit(videos, out, 2, "slurm")
    assert not out.exists()


def test_files_in_use_or_of_another_estimator_are_refused(tmp_path: Path, videos: list[Path]) -> None:
    out = tmp_path / "flow"
    precompute(videos[:1], out / "shard-1-of-2.h5", (1,), FAST, progress=False)
    with pytest.raises(
        FlowCacheError, match=r"holds flow of 'clip0' by dis .*ultrafast.*; asked for dis .*medi"
    ):
        submit(videos, out, 2, steps=(1,))
    writer = JournaledFile(out / "shard-1-of-2.h5")
    with pytest.raises(FlowCacheError, match=r"shard-1-of-2\.h5 is being written by another process; wait"):
        submit(videos, out, 2, steps=(1,), estimator=FAST)
    writer.close()
    assert not (out / "jobs" / "0001").exists()
    with pytest.raises(FlowCacheError, match="no jobs were submitted"):
        tell_jobs(out)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"partitoin": "gpu"}, "partitoin: no setting of a SLURM job; did you mean: partition"),
        ({"nodes": 2}, "nodes: a job is one process"),
        ({"timeout_min": "soon"}, '"timeout_min" expected type'),
    ],
)
def test_settings_that_slurm_does_not_have_are_refused(
    tmp_path: Path, slurm: Path, asked: dict, message: str
) -> None:
    with pytest.raises(JobError, match=message):
        make_executor("slurm", tmp_path, asked, 1)


class SeenEnvironment:
    """Stands for an executor: sbatch gets the environment of the moment."""

    def submit_array(self, works: Sequence[object]) -> list[object]:
        self.seen = dict(os.environ)
        return list(works)


SESSION = {
    "SLURM_JOB_ID": "42", "SLURM_CPU_BIND": "quiet,mask_cpu:0x1", "SLURM_CPU_BIND_LIST": "0x1",
    "SLURM_CPUS_PER_TASK": "1", "SLURM_MEM_PER_CPU": "1000", "SLURM_NTASKS": "3", "SLURM_EXPORT_ENV": "NONE",
    "SLURMD_NODENAME": "n1", "SRUN_CPUS_PER_TASK": "1", "SBATCH_MEM_BIND_TYPE": "local", "PMI_RANK": "0",
    "PMIX_RANK": "0", "CUDA_VISIBLE_DEVICES": "3", "SUBMITIT_EXECUTOR": "slurm", "LOCAL_RANK": "0",
}  # fmt: skip
TOLD = {
    "SBATCH_ACCOUNT": "lab", "SLURM_CONF": "/etc/s.conf", "SLURM_CLUSTERS": "big", "SLURM_JWT": "key",
    "HOME": "/h",
}  # fmt: skip


def test_nothing_of_a_slurm_session_reaches_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SESSION, **TOLD}.items():
        monkeypatch.setenv(name, value)
    before, executor = dict(os.environ), SeenEnvironment()
    assert submit_array(executor, "slurm", [1, 2]) == [1, 2]  # type: ignore[arg-type]
    assert not SESSION.keys() & executor.seen.keys()
    assert TOLD.items() <= executor.seen.items()
    assert dict(os.environ) == before
    submit_array(executor, "local", [])  # type: ignore[arg-type]
    assert executor.seen == before


def test_gpus_that_a_user_chose_outside_of_a_session_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    executor = SeenEnvironment()
    submit_array(executor, "slurm", [])  # type: ignore[arg-type]
    assert executor.seen["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize("text", ["partition=gpu\n#SBATCH --account=other", "comment=a\rb", "name=\x1b[31m"])
def test_a_setting_of_several_lines_is_refused(
    tmp_path: Path, slurm: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["precompute", "walk", "--out", "flow", "--submit", "slurm", "--jobs", "1", "--slurm", text])
    assert "without new lines or control characters" in capsys.readouterr().err
    name, _, value = text.partition("=")
    for asked in ({name: value}, {"setup": [value]}):
        with pytest.raises(JobError, match=r"of SLURM, .*: holds a new line or another character"):
            make_executor("slurm", tmp_path, asked, 1)
    assert not (slurm / "submitted.sh").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "2"], "settings of --submit, which was not given"),
        (["--no-wait"], "settings of --submit, which was not given"),
        (["--submit", "local"], "--submit needs --jobs N"),
        (["--submit", "local", "--jobs", "2", "--shard", "1/2"], "does not go with --shard"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, videos: list[Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["precompute", str(videos[0]), "--out", str(tmp_path / "flow"), *arguments]) == 2
    assert message in capsys.readouterr().err


class Warned(DenseInverseSearch):
    """Sends its own process the signal that a cluster sends before a job's time is over."""

    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        if len(frames) == 4:
            os.kill(os.getpid(), signal.SIGUSR2)
        return super().estimate(frames, pairs)


def test_a_job_that_is_warned_of_its_end_closes_its_file_and_then_queues_again(
    tmp_path: Path, videos: list[Path]
) -> None:
    path = tmp_path / "flow.h5"
    settings = {"estimator": Warned("ultrafast"), "steps": (1,), "commit_seconds": 1e9}
    planned = Progress(5, 0, 0, "clip0", 5 * 96 * 128)
    files = (JobFile(path, tuple(videos[:1]), planned),)
    job = ShardJob(files, {**settings, "steps": (1, 2, 3)}, tmp_path / "progress.json")
    open_then = []

    def requeue(number: int, _: object) -> None:
        JournaledFile(path).close()  # refused while the writer has it
        open_then.append(number)
        sys.exit(144)

    before = signal.signal(signal.SIGUSR2, requeue)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit, match="144"):
            job()
        assert signal.getsignal(signal.SIGUSR2) is requeue
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert open_then == [signal.SIGUSR2]
    said = read_progress(tmp_path / "progress.json")
    assert said is not None
    assert said.state == "stopped"
    found = len(contents(path))
    assert 0 < found < 18
    again = job.checkpoint().function
    assert again == job
    calm = ShardJob(files, {"estimator": FAST, "steps": (1, 2, 3)}, tmp_path / "progress.json")
    summary = calm()
    assert (summary.found, summary.estimated) == (found, 18 - found)


def test_ctrl_c_ends_local_jobs(tmp_path: Path, make_folder: MakeFolder) -> None:
    folders = [make_folder("walk", 400), make_folder("run", 400)]
    out = tmp_path / "flow"
    command = ["precompute", *map(str, folders), "--out", str(out), "--submit", "local", "--jobs", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "flow_cache", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while len(list(out.glob("*.h5"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said.endswith("flow_cache: interrupted; the same command goes on from here\n")
    for number in (1, 2):
        JournaledFile(out / f"shard-{number}-of-2.h5").close()  # nobody is at them any more
