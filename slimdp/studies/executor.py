"""An executor carries out a study: it finds what is missing in its folder, and takes what no other works on.

Nothing is shared out beforehand. On one machine a sweep is one executor with several processes; as an array
of jobs, here or on a cluster, each job is an executor with one. Executors may come, be killed and be started
again at any time. A run's lock tells that it is taken, which the file system has to keep among machines.
"""

from __future__ import annotations

import shutil
import signal
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from flow_cache.runtime.atomic import link_name, write_text
from flow_cache.runtime.lock import HeldError, held, is_held
from flow_cache.runtime.machine import describe_machine
from flow_cache.runtime.workers import WorkerPool
from slimdp.config import CropSettings
from slimdp.data import Clicks
from slimdp.evaluation import Scorer, describe_score
from slimdp.inference import predict_set, predict_where_found
from slimdp.models import DensePoseModel
from slimdp.registry import import_modules
from slimdp.studies import records
from slimdp.studies.plan import PlannedRun
from slimdp.studies.prepare import Prepared, truths_of
from slimdp.studies.records import Evaluated, Failure, RunResult
from slimdp.surface import load_surface
from slimdp.training import load_checkpoint, load_model, train
from slimdp.training.distributed import choose_device, to_device

_POLL_SECONDS = 1.0
#: Held by who writes the scores, so that the last one to write them has seen all.
_RESULTS_LOCK = ".results.lock"


@dataclass
class Executor:
    """Does what is missing of a study, until nothing is left that it could do.

    A run that fails keeps no others from being done, and is not taken up by this executor again, whatever its
    folder says: for ever, if the folder could not be told of it. Each of the runs side by side has a process
    of its own: one that is killed for its memory does not take the executor along.
    """

    prepared: Prepared
    processes: int
    alone: bool  # whether no other executor may be at work in the study's folder
    began: Callable[[PlannedRun], None]  # told of every run that begins
    #: Told of every run that ends, with its score, None of a stage, or why it failed.
    ended: Callable[[PlannedRun, RunResult | Failure | None], None]
    under_way: dict[Path, float] = field(default_factory=dict)  # since when, by folder; of `time.monotonic`
    failures: dict[Path, Failure] = field(default_factory=dict)
    finished: set[Path] = field(default_factory=set)

    def go(self) -> None:
        """Carry out what is missing; returns when the rest is done, failed or waits for what failed."""
        with WorkerPool(carry_out_unmoved, self.processes, queued=0) as pool:
            for task, answer in pool.answers(self._next, _POLL_SECONDS):
                folder = task.run.folder
                del self.under_way[folder]
                if isinstance(answer, HeldError):  # another executor was quicker
                    continue
                if isinstance(answer, Exception):
                    self.failures[folder] = record_failure(task.run.folder_in(self.prepared.out), answer)
                    self.ended(task.run, self.failures[folder])
                else:
                    self.ended(task.run, answer)

    def status(self) -> RunStatus:
        """How far all runs are that are to be done, as far as this executor knows."""
        return run_status(self.prepared, self.finished, self.under_way, self.failures, self.alone)

    def _next(self) -> RunTask | None:
        """What to do now; waits while all that is left waits for other executors. None: nothing now."""
        while True:
            status = self.status()
            if status.ready:
                run = status.ready[0]
                self.under_way[run.folder] = time.monotonic()
                self.began(run)
                return task_of(self.prepared, run)
            if self.under_way or not status.busy:
                return None
            time.sleep(_POLL_SECONDS)


def carry_out_unmoved(task: RunTask) -> RunResult | None:
    """`carry_out`, unmoved by a cluster's warning of a job's end, which is for the job itself."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    return carry_out(task)


class RunStatus(NamedTuple):
    """What the folders say of the runs that are to be done."""

    done: tuple[PlannedRun, ...]
    failed: tuple[PlannedRun, ...]
    blocked: tuple[PlannedRun, ...]  # by one that failed
    busy: tuple[PlannedRun, ...]  # somebody is at them
    ready: tuple[PlannedRun, ...]  # to begin, the most urgent first
    waiting: tuple[PlannedRun, ...]  # for others


def run_status(
    prepared: Prepared,
    finished: set[Path],
    under_way: Collection[Path] = (),
    failures: Collection[Path] = (),
    alone: bool = False,
) -> RunStatus:
    """Sort the runs that are to be done by what their folders say of them.

    Of those that can begin, rows to score come first: they are short, and somebody waits for them. Then comes
    the stage with the longest way to the end behind it, so that no process waits for one that many rows
    share.

    Args:
        finished: folders of runs that were found done before, which are not looked at again; it grows.
        under_way: folders of runs that the caller began.
        failures: folders of runs that failed, whatever is in them.
        alone: False: runs that somebody began and left come last, for whatever ended that job may end this
            one too.
    """
    found: list[list[PlannedRun]] = [[] for _ in RunStatus._fields]
    done, failed, blocked, busy, ready, waiting = found
    broken: set[Path] = set()
    for run in prepared.todo:  # each after those that it begins with
        folder = run.folder_in(prepared.out)
        if run.folder in finished or (run.folder not in under_way and _is_done(prepared, run)):
            finished.add(run.folder)
            done.append(run)
        elif run.folder in under_way or is_held(folder / records.LOCK):
            busy.append(run)
        elif run.folder in failures or (folder / records.FAILURE).exists():
            broken.add(run.folder)
            failed.append(run)
        elif all(each.checkpoint(prepared.out).exists() for each in run.begins_with):
            ready.append(run)
        else:
            (blocked if broken & {each.folder for each in run.needs} else waiting).append(run)
    way = work_ahead(prepared.todo)

    def urgency(run: PlannedRun) -> tuple[bool, bool, float]:
        record = None if alone else records.read_record(run.folder_in(prepared.out))
        return record is not None and record.started is not None, run.trains, -way[run.folder]

    ready.sort(key=urgency)
    return RunStatus(*map(tuple, found))


def save_all_results(prepared: Prepared) -> Mapping[Path, RunResult]:
    """Write the scores that there are now, those from before among them; by the runs' folders."""
    with held(prepared.out / _RESULTS_LOCK, wait=True):
        results = prepared.known
        for run in prepared.todo:
            folder = run.folder_in(prepared.out)
            if not run.trains and (result := records.read_result(folder, prepared.evaluated)) is not None:
                results[run.folder] = result
        prepared.save(results)
    return results


def work_ahead(runs: Sequence[PlannedRun]) -> dict[Path, float]:
    """The work of the longest way from each run, of a plan in its order, to the end, itself included; by
    the runs' folders."""
    way: dict[Path, float] = {}
    after: dict[Path, float] = {}  # the longest way behind a run
    for run in reversed(runs):
        way[run.folder] = run.work + after.get(run.folder, 0.0)
        for before in run.begins_with:
            after[before.folder] = max(after.get(before.folder, 0.0), way[run.folder])
    return way


def seconds_left(
    known: Iterable[tuple[PlannedRun, float]], left: Iterable[tuple[PlannedRun, float]], processes: int
) -> float | None:
    """How long runs will take; None where that is not known.

    Args:
        known: runs that are done, and the seconds that they took.
        left: runs that are not, and for how many seconds somebody has been at them.
        processes: that share the work.
    """
    known, work = list(known), []
    for run, spent in left:
        whole = _estimate(run, known)
        if whole is None:
            return None
        work.append(max(whole - spent, 0.0))
    return sum(work) / max(min(processes, len(work)), 1)


def _estimate(run: PlannedRun, known: Sequence[tuple[PlannedRun, float]]) -> float | None:
    """From the same for other seeds; else, by its work, from what was trained or scored."""
    same = [seconds for other, seconds in known if other.folder.parent == run.folder.parent]
    if same:
        return sum(same) / len(same)
    alike = [(other, seconds) for other, seconds in known if other.trains == run.trains]
    seconds = sum(seconds for _, seconds in alike)
    if not run.trains:
        return seconds / max(len(alike), 1)  # little; nothing, where not known
    work = sum(other.work for other, _ in alike)
    return seconds / work * run.work if work else None


def _is_done(prepared: Prepared, run: PlannedRun) -> bool:
    if run.trains:
        return run.checkpoint(prepared.out).exists()
    return records.read_result(run.folder_in(prepared.out), prepared.evaluated) is not None


@dataclass(frozen=True)
class RunTask:
    """What a process is told of a run."""

    out: Path  # the study's folder
    run: PlannedRun
    evaluated: Evaluated
    device: str
    commit: str
    clicks: Clicks | None = None  # behind the labels of the row that is scored


def task_of(prepared: Prepared, run: PlannedRun) -> RunTask:
    """What the process that carries out a run is told."""
    clicks = None if run.row is None else prepared.clicks[run.name]
    return RunTask(prepared.out, run, prepared.evaluated, prepared.device, prepared.commit, clicks)


def carry_out(task: RunTask) -> RunResult | None:
    """Train a stage, or score a row; None of a stage.

    What is said goes into the run's log, and so does the traceback of an error.

    Raises:
        HeldError: another process is at it.
        what `train`, `predict_set` and `Scorer` raise.
    """
    folder = task.run.folder_in(task.out)
    with held(folder / records.LOCK), _said_to(folder / records.LOG):
        try:
            import_modules(task.run.config.imports)  # a process of its own has imported nothing
            record = records.describe_run(task.run.config, task.run.finder_folder, task.run.scales)
            records.begin_run(folder, record)
            if task.run.trains:
                _train(task, folder)
                return None
            return _score(task, folder)
        except Exception as error:
            records.write_failure(folder, error)  # while nobody else can take the run up
            raise


def record_failure(folder: Path, error: Exception) -> Failure:
    """Keep why a run ended where its own process could not: it was killed, or ended before it began.

    Nothing is written where another process has taken the run up meanwhile, or where nothing can be.
    """
    with suppress(HeldError, OSError), held(folder / records.LOCK):
        if isinstance(error, ChildProcessError) or records.read_failure(folder) is None:
            records.write_failure(folder, error)
    return records.describe_failure(folder, error)


def _train(task: RunTask, folder: Path) -> None:
    run = task.run
    if not run.checkpoint(task.out).exists():
        records.begin_training(folder, time.time(), task.commit)
        start = time.monotonic()
        config, initial = run.config_in(task.out), run.initial(task.out)
        train(config, folder, resume=True, initial=initial, device=task.device, bar=False)
        records.end_training(folder, time.monotonic() - start)
    # The ends of the stages are kept; what was kept to go on from is several times as large.
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _score(task: RunTask, folder: Path) -> RunResult:
    """Score the averaged weights of the last stage, without a file of predictions between."""
    assert task.run.row is not None
    start = time.monotonic()
    device = choose_device(task.device)
    model, config = load_model(task.run.checkpoint(task.out))
    placed, surface = to_device(model, device), load_surface(config.surface)
    finder = _load_finder(task, device)

    # Whoever is given boxes answers for everybody; of a network's own people some may not be found.
    finds = model.spec.detects or finder is not None
    missing: Literal["raise", "wrong"] = "wrong" if finds else "raise"
    import_modules(task.evaluated.imports)
    scores = {}
    for place, scored in task.evaluated.sets.items():
        truths = truths_of(scored, surface.layout)
        scorer = Scorer(task.evaluated.scores, truths, surface, missing=missing)
        images = tuple(truths.images.values())
        if finder is None:
            predicted = predict_set(placed, scorer.people, images, config.crop, task.run.scales)
        else:
            predicted = predict_where_found(*finder, placed, images, config.crop, task.run.scales)
        scorer.take(predicted, timed=True, images=truths.images if finds else ())
        known = {name: score.value for name, score in scorer.compute().items()}
        scores[place] = {name: _rounded(name, value) for name, value in known.items() if value is not None}
    _keep_end(task, folder)
    trained = [(run, records.read_record(run.folder_in(task.out))) for run in task.run.needs]
    stages = [(run, record) for run, record in trained if record is not None]
    gpu = [torch.cuda.get_device_name(device)] if device.type == "cuda" else []
    result = RunResult(
        row=task.run.row,
        seed=task.run.seed,
        scores=scores,
        seconds=round(time.monotonic() - start, 1),
        shared_seconds=round(sum(record.seconds / len(run.rows) for run, record in stages), 1),
        machine=", ".join([*gpu, describe_machine(), f"torch {torch.__version__}"]),
        commit=task.commit,
        clicks=None if task.clicks is None else task.clicks.total,
        annotator_seconds=None if task.clicks is None else round(task.clicks.seconds(), 1),
        trained_at=tuple(dict.fromkeys(commit for _, record in stages for commit in record.commits)),
        pretrained=load_checkpoint(task.run.checkpoint(task.out)).pretrained,
    )
    records.write_result(folder, result, task.evaluated)
    return result


def _load_finder(task: RunTask, device: torch.device) -> tuple[DensePoseModel, CropSettings] | None:
    """The network whose boxes the row looks at, and how it sees pictures."""
    if task.run.finder is None:
        return None
    model, config = load_model(task.run.finder.checkpoint(task.out))
    return to_device(model, device), config.crop


def _keep_end(task: RunTask, folder: Path) -> None:
    """Let the row's folder hold the weights that were scored, and what was measured on the way to them."""
    end = task.run.checkpoint(task.out)
    link_name(folder / end.name, end)
    logs = [run.folder_in(task.out) / "metrics.jsonl" for run in task.run.upstream]
    write_text(folder / "metrics.jsonl", "".join(log.read_text() for log in logs if log.is_file()))


def _rounded(name: str, value: float) -> float:
    """As scores are kept: percent to two digits behind the point, others to four digits."""
    return round(value, 2) if describe_score(name).unit == "%" else float(f"{value:.4g}")


@contextmanager
def _said_to(log: Path) -> Iterator[None]:
    with open(log, "a", buffering=1, encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            yield
        except Exception:
            traceback.print_exc()
            raise
