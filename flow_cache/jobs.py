"""One job of an array: what it does, and what it asks a cluster for."""

from __future__ import annotations

import contextlib
import difflib
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import cv2

from flow_cache.choices import CLUSTERS
from flow_cache.errors import FlowCacheError
from flow_cache.naming import VideoSource
from flow_cache.precompute import PrecomputeSummary, precompute
from flow_cache.progress import Progress, ProgressDisplay, ProgressFile, Report, together

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job
    from submitit.helpers import DelayedSubmission

T = TypeVar("T")
#: What a job asks SLURM for unless told otherwise. One that runs out of time is queued again and goes on.
_DEFAULTS = {"name": "flow_cache", "timeout_min": 240}
_TIMES_QUEUED = 50
#: A year: local jobs take the time that they take.
_LOCAL_TIMEOUT_MIN = 366 * 24 * 60
#: Of submitit's settings those that are lists there, and those that a job of one process cannot have.
_LISTS = ("setup", "teardown", "srun_args")
_REFUSED = ("nodes", "tasks_per_node", "ntasks_per_node", "additional_parameters", "map_count")


#: What a user tells sbatch, or SLURM's commands find their cluster by, also within a session. Whatever else
#: begins so was set by the session for its own steps: their binding, memory and tasks.
_FOR_SBATCH = (
    "SBATCH_", "SLURM_CLUSTERS", "SLURM_CONF", "SLURM_DEBUG_FLAGS", "SLURM_EXIT_ERROR", "SLURM_JWT",
    "SLURM_TIME_FORMAT",
)  # fmt: skip
_OF_STEPS = ("SBATCH_CPU_BIND", "SBATCH_MEM_BIND", "PMI_", "PMI2_", "PMIX_")
#: Which GPUs a session has been given; its jobs get others.
_DEVICES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")


@dataclass(frozen=True)
class JobFile:
    """A file that a job fills, and the videos in it."""

    path: Path
    sources: tuple[VideoSource, ...]
    planned: Progress  # before the start, by what the videos announce


@dataclass(frozen=True)
class ShardJob:
    """Fills files one after another when it is called in the job's process; called again, it goes on.

    Args:
        files: what to fill.
        settings: keyword arguments of `precompute`.
        progress_file: where to keep how far it is.
        gpus: the job's GPUs as CUDA_VISIBLE_DEVICES names them; None leaves that as the job finds it.
        threads: for OpenCV and torch; None leaves them to themselves.
    """

    files: tuple[JobFile, ...]
    settings: Mapping[str, Any]
    progress_file: Path
    gpus: str | None = None
    threads: int | None = None

    def __call__(self) -> PrecomputeSummary:
        self._take_devices()
        kept = ProgressFile(self.progress_file)
        kept.write("running")
        try:
            with _stopping_like_an_interrupt(), ProgressDisplay() as display:
                summaries = self._fill(kept, display)
        except BaseException:
            kept.write("stopped")
            raise
        kept.write("finished")
        return PrecomputeSummary(
            videos=tuple(video for summary in summaries for video in summary.videos),
            estimated=sum(summary.estimated for summary in summaries),
            found=sum(summary.found for summary in summaries),
            seconds=sum(summary.seconds for summary in summaries),
        )

    def checkpoint(self) -> DelayedSubmission:
        """What submitit queues when the job runs out of time or is displaced: the same, which goes on."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _fill(self, *reports: Report) -> list[PrecomputeSummary]:
        last = {file.path: file.planned for file in self.files}
        summaries = []
        for file in self.files:

            def report(progress: Progress, path: Path = file.path) -> None:
                last[path] = progress
                whole = together(list(last.values()))
                for each in reports:
                    each(whole)

            summaries.append(precompute(file.sources, file.path, progress=report, **self.settings))
        return summaries

    def _take_devices(self) -> None:
        if self.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
        if self.threads is not None:
            cv2.setNumThreads(self.threads)
            os.environ["OMP_NUM_THREADS"] = str(self.threads)  # torch reads it when it is first imported


def make_executor(cluster: str, folder: Path, asked: Mapping[str, Any], processes: int) -> AutoExecutor:
    """What submits an array of jobs.

    Args:
        cluster: one of `CLUSTERS`.
        folder: for what submitit and the jobs write, each file beginning with the job's number.
        asked: what a SLURM job asks for, by submitit's names, such as partition, timeout_min, mem_gb,
            gpus_per_node or array_parallelism.
        processes: of a job.

    Raises:
        FlowCacheError: no such cluster here, or a setting that it does not have or take.
    """
    from submitit import AutoExecutor

    if cluster not in CLUSTERS:
        raise FlowCacheError(f"cluster {cluster!r}; choices: {', '.join(CLUSTERS)}")
    try:
        executor = AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=_TIMES_QUEUED)
    except RuntimeError as error:  # no srun
        raise FlowCacheError(f"jobs for {cluster} cannot be submitted from here: {error}") from error
    if cluster == "local":
        if asked:
            raise FlowCacheError(f"settings of SLURM ({', '.join(asked)}) for local jobs; leave them out")
        executor.update_parameters(timeout_min=_LOCAL_TIMEOUT_MIN)
        return executor
    try:
        executor.update_parameters(**_slurm_parameters({"cpus_per_task": processes, **_DEFAULTS, **asked}))
    except (AssertionError, TypeError, ValueError) as error:
        raise FlowCacheError(f"settings of SLURM {dict(asked)}: {error}") from error
    return executor


def submit_array(executor: AutoExecutor, cluster: str, works: Sequence[Callable[[], T]]) -> list[Job[T]]:
    """Submit jobs, and pass on nothing of the SLURM session that this runs in, if it runs in one."""
    if cluster == "local":
        return executor.submit_array(works)
    with _outside_of_session():
        return executor.submit_array(works)


@contextlib.contextmanager
def _outside_of_session() -> Iterator[None]:
    """Hide what a SLURM session set for its own steps: sbatch hands on the environment, and its jobs obey it.

    submitit hides what a user says to sbatch as well, such as SBATCH_ACCOUNT: that is put back.
    """
    from submitit.helpers import clean_env

    hidden = _OF_STEPS + (_DEVICES if "SLURM_JOB_ID" in os.environ else ())
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(hidden)}
    told = {name: value for name, value in os.environ.items() if name.startswith(_FOR_SBATCH)}
    try:
        with clean_env():
            os.environ.update(told)
            yield
    finally:
        os.environ.update(before)


def _check_text(name: str, value: object) -> None:
    """Raise FlowCacheError for text that would be more than one line of the script for sbatch."""
    for text in value if isinstance(value, list | tuple) else [value]:
        if isinstance(text, str) and not text.isprintable():
            raise FlowCacheError(
                f"setting {name} of SLURM, {text!r}: holds a new line or another character without a sign"
            )


def _slurm_parameters(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The same under the names that submitit's AutoExecutor has for them."""
    from submitit import AutoExecutor, SlurmExecutor

    shared, own = AutoExecutor._valid_parameters(), SlurmExecutor._valid_parameters()
    known = (shared | own) - set(_REFUSED)
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or sorted(known)
            why = "a job is one process" if name in _REFUSED else "no setting of a SLURM job"
            raise FlowCacheError(f"{name}: {why}; did you mean: {', '.join(near)}")
        _check_text(name, asked[name])
    listed = {name: [value] if name in _LISTS else value for name, value in asked.items()}
    return {name if name in shared else f"slurm_{name}": value for name, value in listed.items()}


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
