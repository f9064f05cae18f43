"""Jobs that were submitted: how far they are, what came of them, and why those that failed did."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flow_cache.errors import FlowCacheError
from flow_cache.jobs import ShardJob
from flow_cache.precompute import PrecomputeSummary
from flow_cache.progress import Progress, read_progress, reporting, together
from flow_cache.runtime.atomic import write_bytes
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.shell import quoted
from flow_cache.shards import JOBS_FOLDER

if TYPE_CHECKING:
    from submitit import Job

_SECONDS_BETWEEN_LOOKS = {"local": 0.2, "slurm": 2.0}
_SECONDS_TO_END_ALONE = 1.0
_LINES_OF_ERROR = 8


@dataclass(frozen=True)
class Submitted:
    """A job of an array."""

    job: Job[PrecomputeSummary]
    work: ShardJob

    @property
    def files(self) -> str:
        return ", ".join(file.path.name for file in self.work.files)

    def progress(self) -> Progress:
        """How far it is; nothing is found and estimated before it says so."""
        said = read_progress(self.work.progress_file)
        if said is not None and said.progress is not None:
            return said.progress
        return together([file.planned for file in self.work.files])


@dataclass(frozen=True)
class Submission:
    """An array of jobs that are under way."""

    out: Path
    cluster: str
    folder: Path  # of their logs
    jobs: tuple[Submitted, ...]

    def wait(self, progress: bool = True) -> PrecomputeSummary:
        """Wait until all jobs have ended, and show how far they are; what they did together.

        Ctrl-C ends local jobs too; those of a cluster go on.

        Raises:
            FlowCacheError: jobs failed; it names them and gives the end of what they said.
            KeyboardInterrupt: with a message for the user.
        """
        started = time.monotonic()
        running = list(self.jobs)
        try:
            with reporting(progress) as report:
                while running:
                    time.sleep(_SECONDS_BETWEEN_LOOKS[self.cluster])
                    running = [each for each in running if not each.job.done()]
                    report(together([each.progress() for each in self.jobs]))
        except KeyboardInterrupt:
            self._interrupted()
        results = [_result(each) for each in self.jobs]
        failures = [result for result in results if isinstance(result, str)]
        if failures:
            raise FlowCacheError(
                f"{len(failures)} of {len(self.jobs)} jobs failed; what they finished is kept, and the same "
                "command goes on once the cause is mended\n" + "\n".join(failures)
            )
        done = [result for result in results if isinstance(result, PrecomputeSummary)]
        return PrecomputeSummary(
            videos=tuple(video for summary in done for video in summary.videos),
            estimated=sum(summary.estimated for summary in done),
            found=sum(summary.found for summary in done),
            seconds=time.monotonic() - started,
        )

    def keep_record(self) -> None:
        """Write down what `tell_jobs` reads."""
        record = [
            {
                "job": each.job.job_id,
                "files": each.files,
                "progress": each.work.progress_file.name,
                "log": str(each.job.paths.stderr),
            }
            for each in self.jobs
        ]
        write_bytes(self.folder / "jobs.json", json.dumps(record, indent=1).encode())

    def _interrupted(self) -> NoReturn:
        if self.cluster != "local":
            number = self.jobs[0].job.job_id.split("_")[0]
            raise KeyboardInterrupt(
                f"no longer waiting; the jobs go on: python -m flow_cache jobs {quoted(self.out)} "
                f"tells how far they are, and scancel {number} ends them"
            )
        time.sleep(_SECONDS_TO_END_ALONE)  # a terminal's Ctrl-C reaches them as well
        for each in self.jobs:
            if not each.job.done():
                each.job.cancel()
        while not all(each.job.done() for each in self.jobs):  # until their files are closed
            time.sleep(_SECONDS_BETWEEN_LOOKS[self.cluster])
        raise KeyboardInterrupt


def tell_jobs(out: Path) -> list[str]:
    """A line for each job of the last submission to a folder.

    Raises:
        FlowCacheError: none was submitted.
    """
    records = sorted((out / JOBS_FOLDER).glob("*/jobs.json"))
    if not records:
        raise FlowCacheError(f"no jobs were submitted to {out}")
    lines = []
    jobs = read_json(records[-1], error=FlowCacheError)
    wanted = {"progress", "files", "job", "log"}
    if not isinstance(jobs, list) or not all(isinstance(job, dict) and wanted <= set(job) for job in jobs):
        raise FlowCacheError(f"{records[-1]}: no list of jobs; submit them again")
    for record in jobs:
        said = read_progress(records[-1].parent / str(record["progress"]))
        state = "waits to start" if said is None else str(said)
        lines.append(f"{record['files']} (job {record['job']}): {state}; log: {record['log']}")
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
    said = log.read_text(errors="replace").splitlines() if log.exists() else []
    killed = "" if job.paths.result_pickle.exists() else " it ended without a result, as when it is killed;"
    end = "\n".join(f"    {line}" for line in said[-_LINES_OF_ERROR:])
    return f"{submitted.files} (job {job.job_id}):{killed} the end of {log}:\n{end}"
