"""Precomputation as an array of jobs through submitit: on this machine, or on a cluster under SLURM.

Each job fills shards of one folder, which reads as one store. All that can be checked is checked before the
first job starts. The same call again goes on where jobs ended, and is refused while they still write.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, FlowEstimator, settings_hash
from flow_cache.jobs import JobFile, ShardJob, make_executor, submit_array
from flow_cache.naming import VideoSource, name_sources
from flow_cache.plan import checked_steps, plan_fields
from flow_cache.progress import Progress
from flow_cache.runtime.workers import usable_cores
from flow_cache.schema import STEPS
from flow_cache.shards import JOBS_FOLDER, Shard, assign_shards, known_videos
from flow_cache.store import FlowStore
from flow_cache.video import VideoProbe, probe_video
from flow_cache.waiting import Submission, Submitted

#: Estimated here before anything is submitted; every network takes it.
_TRIAL = np.zeros((2, 128, 128, 3), np.uint8)


def submit(
    sources: Sequence[Path | str | VideoSource],
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
    """Start jobs that estimate the flow of videos into the files of a folder.

    Before that, all videos are opened, though not looked through as the jobs do; the estimator estimates a
    small field, which shows that its weights are there and fit, and downloads them once for all jobs; and
    files that are there must hold this estimator's flow and not be in use.

    Args:
        sources: as of `precompute`.
        out: the folder; see `shards.assign_shards` for what goes where.
        jobs: how many; fewer where there are fewer videos.
        cluster: local or slurm.
        asked: what a job asks SLURM for, see `jobs.make_executor`.
        steps, estimator, frames, processes: as of `precompute`, for each job.
        settings: more keyword arguments of `precompute`.

    Raises:
        FlowCacheError: what `precompute` raises, as far as it can be told now, a bad number of jobs, or a
            cluster or settings that do not serve.
    """
    out, estimator = Path(out), estimator or DenseInverseSearch()
    if jobs < 1 or processes < 1:
        raise FlowCacheError(f"{jobs} jobs of {processes} processes; wanted 1 or more")
    with tempfile.TemporaryDirectory() as nowhere:
        make_executor(cluster, Path(nowhere), asked or {}, processes)
    steps = checked_steps(steps)
    videos = [probe_video(source) for source in name_sources(sources, known_videos(out))]
    if unknown := sorted(set(frames or {}) - {video.name for video in videos}):
        raise FlowCacheError(f"frames of videos that are not given: {unknown}")
    planned = {video.name: _planned(video, steps, frames) for video in videos}
    _try_out(estimator)
    shares = [share for share in assign_shards(out, videos, jobs) if share]
    for shard in itertools.chain(*shares):
        _check_shard(shard, estimator)
    folder = new_jobs_folder(out)
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
    submitted = submit_array(make_executor(cluster, folder, asked or {}, processes), cluster, works)
    under_way = Submission(out, cluster, folder, tuple(map(Submitted, submitted, works)))
    under_way.keep_record()
    return under_way


def _planned(video: VideoProbe, steps: Sequence[int], frames: Mapping[str, Iterable[int]] | None) -> int:
    fields = len(plan_fields(video.frames, steps, (frames or {}).get(video.name)))
    if not fields:
        raise FlowCacheError(f"{video.path}: of its {video.frames} frames none is wanted; see --frames")
    return fields


def _job_file(shard: Shard, planned: Mapping[str, int]) -> JobFile:
    area = sum(planned[video.name] * video.area for video in shard.videos)
    fields = sum(planned[video.name] for video in shard.videos)
    before = Progress(fields, 0, 0, shard.videos[0].name, area)
    return JobFile(shard.path, shard.sources, before)


def _of(share: list[Shard], frames: Mapping[str, Iterable[int]] | None) -> dict[str, Iterable[int]] | None:
    """The frames of interest of a share's videos."""
    if frames is None:
        return None
    names = [video.name for shard in share for video in shard.videos]
    return {name: frames[name] for name in names if name in frames}


def _try_out(estimator: FlowEstimator) -> None:
    """Raise FlowCacheError unless the estimator works, here on the CPU."""
    if hasattr(estimator, "device"):
        estimator = dataclasses.replace(estimator, device="cpu")  # type: ignore[type-var]
    estimator.settings()
    estimator.estimate(_TRIAL, [(0, 1)])


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


def new_jobs_folder(out: Path) -> Path:
    """A folder for what submitit and the jobs of one submission write: out/jobs/0001, 0002, ..."""
    for number in itertools.count(1):
        folder = out / JOBS_FOLDER / f"{number:04d}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError  # numbers do not end


def _share_of_machine(number: int, jobs: int, estimator: FlowEstimator) -> dict[str, Any]:
    """The threads and the GPU of one of several jobs on this machine; submitit would hide all GPUs."""
    threads = max(usable_cores() // jobs, 1)
    device = getattr(estimator, "device", "cpu")
    if device == "cpu":
        return {"threads": threads}
    gpus = visible_gpus()
    one_each = device in ("auto", "cuda") and gpus
    return {"threads": threads, "gpus": gpus[number % len(gpus)] if one_each else ",".join(gpus)}


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(index) for index in range(torch.cuda.device_count())]
    return [name for name in given.split(",") if name]
