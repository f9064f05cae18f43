"""Precomputation as an array of jobs: each fills shards of one folder, which reads as one store.

All that can be checked is checked before the first job starts. The same call again goes on where jobs ended,
and is refused while they still write.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, FlowEstimator, settings_hash
from flow_cache.plan import check_steps_stay, checked_steps, plan_fields, steps_leaving, warn_of_steps_leaving
from flow_cache.precompute import (
    PrecomputeSummary,
    Progress,
    ProgressFile,
    precompute,
    read_progress,
    reporting,
    together,
)
from flow_cache.runtime import job_array
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.job_array import JOBS_FOLDER, RequeuedJob
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.machine import usable_cores
from flow_cache.runtime.progress import ProgressDisplay
from flow_cache.runtime.words import quoted
from flow_cache.schema import STEPS
from flow_cache.shards import Shard, assign_shards, known_videos
from flow_cache.store import FlowStore
from flow_cache.video import VideoProbe, VideoSource, name_sources, probe_video

if TYPE_CHECKING:
    from submitit import Job


_POLL_SECONDS = {"local": 0.2, "slurm": 2.0}
#: What jobs.json has of each job.
_RECORDED = ("job", "files", "progress", "log")


class JobFile(NamedTuple):
    """A file that a job fills, and the videos in it."""

    path: Path
    sources: tuple[VideoSource, ...]
    planned: Progress  # before the start, by what the videos announce


@dataclass(frozen=True)
class ShardJob(RequeuedJob):
    """Fills files one after another when it is called in the job's process; called again, it goes on."""

    files: tuple[JobFile, ...]
    settings: Mapping[str, Any]  # keyword arguments of `precompute`
    progress_file: Path
    gpus: str | None = None  # as CUDA_VISIBLE_DEVICES names them; None leaves that as the job finds it
    threads: int | None = None  # for OpenCV and torch; None leaves them to themselves

    def __call__(self) -> PrecomputeSummary:
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
        if self.threads is not None:
            cv2.setNumThreads(self.threads)
            os.environ["OMP_NUM_THREADS"] = str(self.threads)  # torch reads it when it is first imported
        kept = ProgressFile(self.progress_file)
        kept.write("running")
        last = {file.path: file.planned for file in self.files}

        def report(path: Path, progress: Progress) -> None:
            last[path] = progress
            whole = together(list(last.values()))
            kept(whole)
            display(whole.standing)

        try:
            with _stopping_like_an_interrupt(), ProgressDisplay() as display:
                summaries = [
                    precompute(
                        file.sources,
                        file.path,
                        progress=partial(report, file.path),
                        allow_empty=True,  # `submit` has looked at all videos together
                        **self.settings,
                    )
                    for file in self.files
                ]
        except BaseException:
            kept.write("stopped")
            raise
        kept.write("finished")
        return PrecomputeSummary.of(summaries, sum(summary.seconds for summary in summaries))


@contextlib.contextmanager
def _stopping_like_an_interrupt() -> Iterator[None]:
    """Let the signal that warns of a job's end stop the work where Ctrl-C may.

    submitit's own handler would raise in the middle of HDF5's work, where an exception is lost or worse. It
    is called once the store is closed, and queues the job again.
    """
    warned: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}

    def stop(number: int, frame: FrameType | None) -> None:
        if not warned:
            warned.append(number)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, stop)
    try:
        yield
    except (KeyboardInterrupt, FlowCacheError):  # the latter where the signal went to its processes too
        if warned and callable(handler := handlers[signal.Signals(warned[0])]):
            handler(warned[0], None)
        raise
    finally:
        signal.signal(signal.SIGINT, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Submitted(NamedTuple):
    """A job of an array."""

    job: Job[PrecomputeSummary]
    work: ShardJob

    @property
    def files(self) -> str:
        return ", ".join(file.path.name for file in self.work.files)

    def progress(self) -> Progress:
        """How far it is; nothing is found and estimated before it says so."""
        said = read_progress(self.work.progress_file)
        planned = together([file.planned for file in self.work.files])
        return (said and said.progress) or planned


@dataclass(frozen=True)
class Submission:
    """An array of jobs that are under way."""

    out: Path
    cluster: str
    folder: Path  # of their logs
    jobs: tuple[Submitted, ...]

    def wait(self, progress: bool = True) -> PrecomputeSummary:
        """Wait for all jobs, and show how far they are; returns what they did together.

        Raises FlowCacheError that names the jobs that failed, with the end of what they said.
        """
        started = time.monotonic()
        with reporting(progress) as report:
            job_array.wait_for_jobs(
                [each.job for each in self.jobs],
                self.cluster,
                lambda: report(together([each.progress() for each in self.jobs])),
                f"python -m flow_cache jobs {quoted(self.out)}",
                _POLL_SECONDS,
            )
        results = [_result(each) for each in self.jobs]
        failures = [result for result in results if isinstance(result, str)]
        if failures:
            raise FlowCacheError(
                f"{len(failures)} of {len(self.jobs)} jobs failed; what they finished is kept, and the same "
                "command goes on once the cause is mended\n" + "\n".join(failures)
            )
        done = [result for result in results if isinstance(result, PrecomputeSummary)]
        return PrecomputeSummary.of(done, time.monotonic() - started)

    def keep_record(self) -> None:
        """Write down what `tell_jobs` reads."""
        rows = (
            (each.job.job_id, each.files, each.work.progress_file.name, str(each.job.paths.stderr))
            for each in self.jobs
        )
        write_json(self.folder / "jobs.json", [dict(zip(_RECORDED, row)) for row in rows])


def tell_jobs(out: Path) -> list[str]:
    """A line for each job of the last submission to a folder; raises FlowCacheError where there was none."""
    records = sorted((out / JOBS_FOLDER).glob("*/jobs.json"))
    if not records:
        raise FlowCacheError(f"no jobs were submitted to {out}")
    jobs = read_json(records[-1], error=FlowCacheError)
    if not isinstance(jobs, list) or not all(isinstance(j, dict) and {*_RECORDED} <= j.keys() for j in jobs):
        raise FlowCacheError(f"{records[-1]}: no list of jobs; submit them again")
    lines = []
    for job, files, progress, log in ([record[name] for name in _RECORDED] for record in jobs):
        state = read_progress(records[-1].parent / str(progress)) or "waits to start"
        lines.append(f"{files} (job {job}): {state}; log: {log}")
    return lines


def _result(submitted: Submitted) -> PrecomputeSummary | str:
    """What a job that has ended did, or why it failed."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    job, log = submitted.job, submitted.job.paths.stderr
    try:
        if job.paths.result_pickle.exists():
            return job.result()
    except (FailedJobError, UncompletedJobError):
        pass  # its log says it shorter
    killed = "" if job.paths.result_pickle.exists() else " it ended without a result, as when it is killed;"
    return f"{submitted.files} (job {job.job_id}):{killed} the end of {log}:\n{job_array.end_of_log(job)}"


def submit(
    sources: Sequence[Path | str | VideoSource] | Path | str | VideoSource,
    out: Path | str,
    jobs: int,
    cluster: str = "local",
    asked: Mapping[str, Any] | None = None,
    *,
    steps: Sequence[int] = STEPS,
    estimator: FlowEstimator | None = None,
    frames: Mapping[str, Iterable[int]] | None = None,
    processes: int = 1,
    **settings: Any,
) -> Submission:
    """Start jobs that estimate the flow of videos into the files of a folder (`shards.assign_shards`).

    Before that, all videos are opened, though not looked through as the jobs do; the estimator estimates a
    small field, which shows that its weights are there and fit, and downloads them once for all jobs; and
    files that are there must hold this estimator's flow and not be in use. There are fewer jobs where there
    are fewer videos. `cluster` and `asked` are as of `make_executor`, the others as of `precompute`, for each
    job. Raises FlowCacheError for what `precompute` raises, as far as it can be told now, or a bad number of
    jobs, and JobError as `make_executor`.
    """
    out, estimator = Path(out), estimator or DenseInverseSearch()
    if jobs < 1 or processes < 1:
        raise FlowCacheError(f"{jobs} jobs of {processes} processes; wanted 1 or more")
    with tempfile.TemporaryDirectory() as nowhere:
        job_array.make_executor(cluster, Path(nowhere), asked or {}, processes)
    steps = checked_steps(steps)
    videos = [probe_video(source) for source in name_sources(sources, known_videos(out))]
    if unknown := sorted(set(frames or {}) - {video.name for video in videos}):
        raise FlowCacheError(f"frames of videos that are not given: {unknown}")
    planned, leaving = {}, {}
    for video in videos:
        fields = plan_fields(video.frames, steps, _wanted_frames(video, frames))
        planned[video.name] = len(fields)
        leaving[video.name] = steps_leaving(video.frames, steps, fields)
    check_steps_stay(leaving, steps)
    warn_of_steps_leaving(leaving)
    _try_out(estimator)
    shares = [share for share in assign_shards(out, videos, jobs) if share]
    for shard in itertools.chain(*shares):
        _check_shard(shard, estimator)
    folder = job_array.new_jobs_folder(out)
    settings = {**settings, "steps": steps, "estimator": estimator, "processes": processes}
    works = [
        ShardJob(
            files=tuple(_job_file(shard, planned) for shard in share),
            settings={**settings, "frames": _of(share, frames)},
            progress_file=folder / f"progress-{number}.json",
            **(_share_of_machine(number, len(shares), estimator) if cluster == "local" else {}),
        )
        for number, share in enumerate(shares)
    ]
    executor = job_array.make_executor(cluster, folder, asked or {}, processes)
    submitted = job_array.submit_array(executor, cluster, works)
    under_way = Submission(out, cluster, folder, tuple(map(Submitted, submitted, works)))
    under_way.keep_record()
    return under_way


def _wanted_frames(video: VideoProbe, frames: Mapping[str, Iterable[int]] | None) -> list[int] | None:
    """The frames of interest of a video, as many as it announces; None for all, FlowCacheError for none."""
    if frames is None or video.name not in frames:
        return None
    wanted = frames[video.name] if isinstance(frames[video.name], range) else set(frames[video.name])
    there = [frame for frame in range(video.frames) if frame in wanted]
    if not there:
        raise FlowCacheError(f"{video.path}: of its {video.frames} frames none is wanted; see --frames")
    return there


def _job_file(shard: Shard, planned: Mapping[str, int]) -> JobFile:
    total = sum(planned[video.name] for video in shard.videos)
    area = sum(planned[video.name] * video.area for video in shard.videos)
    return JobFile(shard.path, shard.sources, Progress(total, 0, 0, shard.videos[0].name, area))


def _of(share: list[Shard], frames: Mapping[str, Iterable[int]] | None) -> dict[str, Iterable[int]] | None:
    """The frames of interest of a share's videos."""
    names = [video.name for shard in share for video in shard.videos]
    return None if frames is None else {name: frames[name] for name in names if name in frames}


def _try_out(estimator: FlowEstimator) -> None:
    """Raise FlowCacheError unless the estimator works, here on the CPU."""
    if hasattr(estimator, "device"):
        estimator = replace(estimator, device="cpu")  # type: ignore[type-var]
    estimator.settings()
    estimator.estimate(np.zeros((2, 128, 128, 3), np.uint8), [(0, 1)])  # which every network takes


def _check_shard(shard: Shard, estimator: FlowEstimator) -> None:
    """Raise FlowCacheError where a file is in use, or holds flow of these videos from something else."""
    if not shard.path.exists():
        return
    with FlowStore(shard.path) as store:
        for name in {video.name for video in shard.videos} & set(store.videos()):
            record = store.record(name)
            if record.settings_hash != settings_hash(estimator):
                raise FlowCacheError(
                    f"{shard.path} holds flow of {name!r} by {record.estimator} {record.settings}; asked for "
                    f"{estimator.name} {json.dumps(estimator.settings())}; write to another folder"
                )


def _share_of_machine(number: int, jobs: int, estimator: FlowEstimator) -> dict[str, Any]:
    """The threads and the GPU of one of several jobs on this machine; submitit would hide all GPUs."""
    threads = max(usable_cores() // jobs, 1)
    device = getattr(estimator, "device", "cpu")
    if device == "cpu":
        return {"threads": threads}
    gpus = job_array.visible_gpus()
    one_each = device in ("auto", "cuda") and gpus
    return {"threads": threads, "gpus": gpus[number % len(gpus)] if one_each else ",".join(gpus)}
