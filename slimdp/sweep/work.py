"""One run of a sweep, from where it begins or was stopped to its score, in the process that does it."""

from __future__ import annotations

import platform
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from flow_cache.workers import usable_cores
from slimdp.data import AnnotationError, read_annotations
from slimdp.evaluation import score_points
from slimdp.inference import predict_people
from slimdp.structures import PersonAnnotation
from slimdp.surface import load_surface
from slimdp.sweep.lock import held
from slimdp.sweep.plan import PlannedRun
from slimdp.sweep.records import (
    LOCK,
    LOG,
    Evaluated,
    RunResult,
    begin_run,
    begin_training,
    describe_run,
    end_training,
    read_record,
    write_result,
)
from slimdp.training import load_model, train
from slimdp.training.processes import choose_device
from slimdp.training.validation import place


@dataclass(frozen=True)
class RunTask:
    """What a process is told of a run."""

    out: Path  # the study's folder
    run: PlannedRun
    evaluated: Evaluated
    device: str
    commit: str


def carry_out(task: RunTask) -> RunResult | None:
    """Train a run and score it; None of a shared one, which has no score.

    What is said goes into the run's log, and so does the traceback of an error.

    Raises:
        what `train`, `predict_people` and `score_points` raise.
    """
    folder = task.out / task.run.folder
    # A process of a sweep that was killed may take a moment to end.
    with held(folder / LOCK, wait=True), _said_to(folder / LOG):
        begin_run(folder, describe_run(task.run.config))
        if task.run.trains:
            _train(task, folder)
        return None if task.run.row is None else _score(task, folder)


def _train(task: RunTask, folder: Path) -> None:
    run = task.run
    if not run.checkpoint(task.out).exists():
        begin_training(folder, time.time())
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
    people = labelled_people(task.evaluated)
    predictions = predict_people(place(model, device), people, config.crop)
    scores = score_points(predictions, people, load_surface(config.surface))
    result = RunResult(
        row=task.run.row,
        seed=task.run.seed,
        scores=scores.localization.within_percent(),
        full=scores.full.within_percent(),
        seconds=round(_seconds(folder) + time.monotonic() - start, 1),
        shared_seconds=round(
            sum(_seconds(task.out / run.folder) / len(run.rows) for run in task.run.before), 1
        ),
        machine=describe_machine(device),
        commit=task.commit,
    )
    write_result(folder, result, task.evaluated)
    return result


def _seconds(folder: Path) -> float:
    """Of training; 0 where a run trains nothing itself."""
    record = read_record(folder)
    return 0.0 if record is None else record.seconds


@lru_cache(maxsize=1)
def labelled_people(evaluated: Evaluated) -> tuple[PersonAnnotation, ...]:
    """The people to score, those with points, read once a process.

    Raises:
        AnnotationError: the file or one of its pictures is broken, or nobody has points.
    """
    everyone = read_annotations(evaluated.annotations, evaluated.images).people
    people = tuple(person for person in everyone if len(person.points))
    if not people:
        raise AnnotationError(
            f"evaluate: nobody in {evaluated.annotations} has points to score; name another file"
        )
    return people


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


def describe_machine(device: torch.device) -> str:
    """The kind of this machine in a few words, without its name."""
    processor = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.is_file():
        names = [line for line in about.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    words = [f"{usable_cores()} cores", processor, f"torch {torch.__version__}"]
    if device.type == "cuda":
        words.insert(0, torch.cuda.get_device_name(device))
    return ", ".join(words)
