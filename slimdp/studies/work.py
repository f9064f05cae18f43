"""One run of a sweep in the process that does it: a stage from where it was stopped, or a row's score."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from flow_cache.runtime.atomic import link_name, write_text
from flow_cache.runtime.lock import HeldError, held
from flow_cache.runtime.machine import describe_machine
from slimdp.data import AnnotationError, Clicks
from slimdp.evaluation import EvaluationSet, Scorer, describe_score, read_truths
from slimdp.inference import predict_people
from slimdp.registry import import_modules
from slimdp.studies.plan import PlannedRun
from slimdp.studies.records import (
    LOCK,
    LOG,
    Evaluated,
    Failure,
    RunResult,
    ScoredSet,
    begin_run,
    begin_training,
    describe_failure,
    describe_run,
    end_training,
    read_failure,
    read_record,
    write_failure,
    write_result,
)
from slimdp.surface import PartLayout, load_surface
from slimdp.training import load_model, train
from slimdp.training.distributed import choose_device, to_device


@dataclass(frozen=True)
class RunTask:
    """What a process is told of a run."""

    out: Path  # the study's folder
    run: PlannedRun
    evaluated: Evaluated
    device: str
    commit: str
    clicks: Clicks | None = None  # behind the labels of the row that is scored


def carry_out(task: RunTask) -> RunResult | None:
    """Train a stage, or score a row; None of a stage.

    What is said goes into the run's log, and so does the traceback of an error.

    Raises:
        HeldError: another process is at it.
        what `train`, `predict_people` and `Scorer` raise.
    """
    folder = task.run.place(task.out)
    with held(folder / LOCK), _said_to(folder / LOG):
        try:
            begin_run(folder, describe_run(task.run.config))
            if task.run.trains:
                _train(task, folder)
                return None
            return _score(task, folder)
        except Exception as error:
            write_failure(folder, error)  # while nobody else can take the run up
            raise


def note_failure(folder: Path, error: Exception) -> Failure:
    """Keep why a run ended where its own process could not: it was killed, or ended before it began.

    Nothing is written where another process has taken the run up meanwhile, or where nothing can be.
    """
    try:
        with held(folder / LOCK):
            if isinstance(error, ChildProcessError) or read_failure(folder) is None:
                write_failure(folder, error)
    except (HeldError, OSError):
        pass
    return describe_failure(folder, error)


def _train(task: RunTask, folder: Path) -> None:
    run = task.run
    if not run.checkpoint(task.out).exists():
        begin_training(folder, time.time(), task.commit)
        start = time.monotonic()
        train(run.config, folder, resume=True, initial=run.initial(task.out), device=task.device, bar=False)
        end_training(folder, time.monotonic() - start)
    # The ends of the stages are kept; what was kept to go on from is several times as large.
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _score(task: RunTask, folder: Path) -> RunResult:
    """Score the averaged weights of the last stage, without a file of predictions between."""
    assert task.run.row is not None
    start = time.monotonic()
    device = choose_device(task.device)
    model, config = load_model(task.run.checkpoint(task.out))
    placed, surface = to_device(model, device), load_surface(config.surface)

    import_modules(task.evaluated.imports)
    scores = {}
    for place, scored in task.evaluated.sets.items():
        scorer = Scorer(task.evaluated.scores, truths_of(scored, surface.layout), surface)
        scorer.take(predict_people(placed, scorer.people, config.crop), timed=True)
        known = {name: score.value for name, score in scorer.compute().items()}
        scores[place] = {name: _rounded(name, value) for name, value in known.items() if value is not None}
    _keep_end(task, folder)
    stages = [(run, read_record(run.place(task.out))) for run in task.run.upstream]
    result = RunResult(
        row=task.run.row,
        seed=task.run.seed,
        scores=scores,
        seconds=round(time.monotonic() - start, 1),
        shared_seconds=round(
            sum(record.seconds / len(run.rows) for run, record in stages if record is not None), 1
        ),
        machine=_describe_machine(device),
        commit=task.commit,
        clicks=None if task.clicks is None else task.clicks.total,
        annotator_seconds=None if task.clicks is None else round(task.clicks.seconds(), 1),
        trained_at=tuple(
            dict.fromkeys(commit for _, record in stages if record is not None for commit in record.commits)
        ),
    )
    write_result(folder, result, task.evaluated)
    return result


def _keep_end(task: RunTask, folder: Path) -> None:
    """Let the row's folder hold the weights that were scored, and what was measured on the way to them."""
    end = task.run.checkpoint(task.out)
    link_name(folder / end.name, end)
    logs = [run.place(task.out) / "metrics.jsonl" for run in task.run.upstream]
    write_text(folder / "metrics.jsonl", "".join(log.read_text() for log in logs if log.is_file()))


def _rounded(name: str, value: float) -> float:
    """As scores are kept: percent to two digits behind the point, others to four digits."""
    return round(value, 2) if describe_score(name).unit == "%" else float(f"{value:.4g}")


@lru_cache(maxsize=4)
def truths_of(scored: ScoredSet, layout: PartLayout) -> EvaluationSet:
    """Whom to score, with labels of these parts, read once a process.

    Raises:
        AnnotationError: the file or one of its pictures is broken, or nobody has points.
    """
    truths = read_truths(scored.annotations, scored.images, check_images=True, layout=layout)
    if not truths.with_points():
        raise AnnotationError(
            f"nobody in {scored.annotations} has points to score: name another file to evaluate on"
        )
    return truths


@contextmanager
def _said_to(log: Path) -> Iterator[None]:
    with ExitStack() as stack:
        file = stack.enter_context(open(log, "a", buffering=1, encoding="utf-8"))
        stack.enter_context(redirect_stdout(file))
        stack.enter_context(redirect_stderr(file))
        try:
            yield
        except Exception:
            traceback.print_exc()
            raise


def _describe_machine(device: torch.device) -> str:
    gpu = [torch.cuda.get_device_name(device)] if device.type == "cuda" else []
    return ", ".join([*gpu, describe_machine(), f"torch {torch.__version__}"])
