"""Arrays of jobs through submitit: on this machine, or on a cluster under SLURM."""

from __future__ import annotations

import contextlib
import difflib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job
    from submitit.helpers import DelayedSubmission

T = TypeVar("T")
CLUSTERS = ("local", "slurm")
#: Beside what jobs make: what is kept about them, and what they say.
JOBS_FOLDER = "jobs"
#: What a job asks SLURM for unless told otherwise. One that runs out of time is queued again and goes on.
_DEFAULTS = {"name": "flow_cache", "timeout_min": 240}
_TIMES_QUEUED = 50
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


class JobError(ValueError):
    """A cluster that is not here, or a setting of jobs that it does not have or take."""


class RequeuedJob:
    """What submitit queues again as it is when it runs out of time or is displaced."""

    def checkpoint(self) -> DelayedSubmission:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)  # type: ignore[arg-type]


def make_executor(cluster: str, folder: Path, asked: Mapping[str, Any], processes: int) -> AutoExecutor:
    """What submits an array of jobs to one of `CLUSTERS`.

    In `folder` submitit and the jobs write, each file beginning with the job's number. `asked` is what a
    SLURM job, of so many processes, asks for, by submitit's names, such as partition, timeout_min, mem_gb,
    gpus_per_node or array_parallelism. Raises JobError for no such cluster here, or no setting of it.
    """
    from submitit import AutoExecutor

    if cluster not in CLUSTERS:
        raise JobError(f"cluster {cluster!r}; choices: {', '.join(CLUSTERS)}")
    try:
        executor = AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=_TIMES_QUEUED)
    except RuntimeError as error:  # no srun
        raise JobError(f"jobs for {cluster} cannot be submitted from here: {error}") from error
    if cluster == "local":
        if asked:
            raise JobError(f"settings of SLURM ({', '.join(asked)}) for local jobs; leave them out")
        executor.update_parameters(timeout_min=366 * 24 * 60)  # local jobs take the time that they take
        return executor
    try:
        executor.update_parameters(**_slurm_parameters({"cpus_per_task": processes, **_DEFAULTS, **asked}))
    except (AssertionError, TypeError, ValueError) as error:
        raise JobError(f"settings of SLURM {dict(asked)}: {error}") from error
    return executor


def submit_array(executor: AutoExecutor, cluster: str, works: Sequence[Callable[[], T]]) -> list[Job[T]]:
    """Submit jobs, and pass on nothing of the SLURM session that this runs in, if it runs in one."""
    with contextlib.nullcontext() if cluster == "local" else _outside_of_session():
        return executor.submit_array(works)


def new_jobs_folder(out: Path) -> Path:
    """A folder for what submitit and the jobs of one submission write: out/jobs/0001, 0002, ..."""
    number = 1
    while True:
        folder = out / JOBS_FOLDER / f"{number:04d}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
        number += 1


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(index) for index in range(torch.cuda.device_count())]
    return [name for name in given.split(",") if name]


def wait_for_jobs(
    jobs: Sequence[Job], cluster: str, tell: Callable[[], None], command: str, pause_s: Mapping[str, float]
) -> None:
    """Wait until all jobs of an array have ended. Ctrl-C ends local jobs too; those of a cluster go on.

    `tell` is called after every pause, of so many seconds by cluster. The command tells a user later how far
    they are: the KeyboardInterrupt says it.
    """
    try:
        while not all(job.done() for job in jobs):
            time.sleep(pause_s[cluster])
            tell()
    except KeyboardInterrupt:
        if cluster != "local":
            raise KeyboardInterrupt(
                f"no longer waiting; the jobs go on: {command} tells how far they are, and "
                f"scancel {jobs[0].job_id.split('_')[0]} ends them"
            ) from None
        time.sleep(1.0)  # a terminal's Ctrl-C reaches them as well
        for job in jobs:
            if not job.done():
                job.cancel()
        while not all(job.done() for job in jobs):  # until their files are closed
            time.sleep(pause_s[cluster])
        raise


def end_of_log(job: Job) -> str:
    """The last eight lines that a job wrote to its standard error, indented."""
    log = job.paths.stderr
    said = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in said[-8:])


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


def _slurm_parameters(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The same under the names that submitit's AutoExecutor has for them."""
    from submitit import AutoExecutor, SlurmExecutor

    shared, own = AutoExecutor._valid_parameters(), SlurmExecutor._valid_parameters()
    known = (shared | own) - set(_REFUSED)
    for name, value in asked.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or sorted(known)
            why = "a job is one process" if name in _REFUSED else "no setting of a SLURM job"
            raise JobError(f"{name}: {why}; did you mean: {', '.join(near)}")
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and not text.isprintable():  # more than a line of the script for sbatch
                holds = "holds a new line or another character without a sign"
                raise JobError(f"setting {name} of SLURM, {text!r}: {holds}")
    listed = {name: [value] if name in _LISTS else value for name, value in asked.items()}
    return {name if name in shared else f"slurm_{name}": value for name, value in listed.items()}
