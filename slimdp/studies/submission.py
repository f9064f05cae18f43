"""Starting the jobs of a sweep, waiting for them, and what came of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_cache.runtime.job_array import make_executor, new_jobs_folder, submit_array, visible_gpus
from slimdp.studies.jobs import SweepJob, run_status, save_all_results
from slimdp.studies.plan import PlannedRun
from slimdp.studies.prepare import Prepared, alone, prepare
from slimdp.studies.records import FAILURE, LOG, Failure, read_failure
from slimdp.studies.results import SweepSummary, describe_scores
from slimdp.studies.run import describe_todo
from slimdp.studies.study import Study

if TYPE_CHECKING:
    from submitit import Job

_SECONDS_BETWEEN_LOOKS = {"local": 0.5, "slurm": 5.0}
_LINES_OF_ERROR = 8


@dataclass(frozen=True)
class SubmittedSweep:
    """Jobs that are under way."""

    prepared: Prepared
    cluster: str
    jobs: tuple[Job[int], ...]  # none where nothing was missing

    def wait(self, say: Callable[[str], None] = print) -> SweepSummary:
        """Wait until all jobs have ended, and tell of every run that ends; what they left.

        Ctrl-C ends local jobs too; those of a cluster go on.

        Raises:
            KeyboardInterrupt: with a message for the user.
        """
        told: set[Path] = set()
        finished: set[Path] = set()
        try:
            while not all(job.done() for job in self.jobs):
                time.sleep(_SECONDS_BETWEEN_LOOKS[self.cluster])
                self._tell(told, finished, say)
        except KeyboardInterrupt:
            if self.cluster != "local":
                number = self.jobs[0].job_id.split("_")[0]
                raise KeyboardInterrupt(
                    f"no longer waiting; the jobs go on: slimdp sweep --status tells how far they are, and "
                    f"scancel {number} ends them"
                ) from None
            for job in self.jobs:
                job.cancel()
            raise
        self._tell(told, finished, say)
        return self._summary(say)

    def _tell(self, told: set[Path], finished: set[Path], say: Callable[[str], None]) -> None:
        """A line for every run that ended since the last time."""
        look = run_status(self.prepared, finished)
        results = save_all_results(self.prepared)
        ended = [run for run in (*look.done, *look.failed) if run.folder not in told]
        for run in ended:
            told.add(run.folder)
            said = "trained" if run.trains else describe_scores(results[run.folder])
            if run in look.failed:
                said = f"FAILED: {self._failure(run).error}; log: {self._failure(run).log}"
            say(f"{run.name}: {said} ({len(told)} of {len(self.prepared.todo)})")

    def _summary(self, say: Callable[[str], None]) -> SweepSummary:
        look, results = run_status(self.prepared, set()), save_all_results(self.prepared)
        left = tuple(run.name for run in (*look.busy, *look.ready, *look.waiting))
        for job in self.jobs if left else ():
            if not job.paths.result_pickle.exists() or job.exception() is not None:
                log = job.paths.stderr
                lines = log.read_text(errors="replace").splitlines() if log.exists() else []
                said = "\n".join(f"    {line}" for line in lines[-_LINES_OF_ERROR:])
                say(f"job {job.job_id} ended before all was done; the end of {log}:\n{said}")
        return SweepSummary(
            self.prepared.sorted(dict(results)),
            {run.name: self._failure(run) for run in look.failed},
            tuple(run.name for run in look.blocked if not run.trains),
            left,
        )

    def _failure(self, run: PlannedRun) -> Failure:
        folder = run.place(self.prepared.out)
        return read_failure(folder) or Failure("it is being tried again", str(folder / LOG))


def submit_sweep(
    study: Study,
    out: Path,
    jobs: int,
    cluster: str = "local",
    asked: Mapping[str, Any] | None = None,
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> SubmittedSweep:
    """Start jobs that do what is missing of a study; all is checked before the first one starts.

    Args:
        study, out, rows, seeds, device, results, say: as of `sweep`. The folders must be at the same
            place on all machines.
        jobs: how many, each doing one run at a time; not more than there are stages and rows to do.
        cluster: local or slurm.
        asked: what a job asks SLURM for, see `flow_cache.submission.make_executor`.

    Raises:
        ConfigError, HeldError: as of `sweep`.
        FlowCacheError: a cluster or settings that do not serve.
        ValueError: fewer than one job.
    """
    out = Path(out)
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}; wanted 1 or more")
    if cluster == "slurm":
        asked = {"name": "slimdp_sweep", **(asked or {})}
    with tempfile.TemporaryDirectory() as nowhere:
        make_executor(cluster, Path(nowhere), asked or {}, 1)
    with alone(out):
        prepared = prepare(study, out, rows, seeds, device, results)
        prepared.save(prepared.known)
        prepared.say_left_out(say)
        for run in prepared.todo:
            (run.place(out) / FAILURE).unlink(missing_ok=True)  # they are tried again
    count = min(jobs, len(prepared.todo))
    if not count:
        return SubmittedSweep(prepared, cluster, ())
    folder = new_jobs_folder(out)
    say(f"{study.title}: {describe_todo(prepared)}; {count} jobs; their logs are in {folder}")
    gpus = visible_gpus() if cluster == "local" and device != "cpu" else []
    works = [SweepJob(prepared, gpus[number % len(gpus)] if gpus else None) for number in range(count)]
    submitted = submit_array(make_executor(cluster, folder, asked or {}, 1), cluster, works)
    return SubmittedSweep(prepared, cluster, tuple(submitted))
