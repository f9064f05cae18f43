"""Teachers of stages: whom they label before the stage begins (DensePose, 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from flow_cache.runtime.checksums import file_sha256
from slimdp.config import ConfigError, DataSource, StageSettings, TeacherSettings, TrainConfig
from slimdp.data import read_annotations
from slimdp.data.outline import has_outline
from slimdp.evaluation.predictions import PredictionFile
from slimdp.inference.teacher import TaughtLabels, teach
from slimdp.models import DensePoseModel
from slimdp.surface.load import surface_layout
from slimdp.training.checkpoint import CheckpointError, load_model
from slimdp.training.distributed import ALONE, DistributedContext
from slimdp.training.stage_data import StageData


def taught_labels(out: Path, stage: StageSettings) -> list[TaughtLabels | None]:
    """What is said of each source's people by its own predictions, else by the stage's teacher, in a run's
    folder; None where there is neither."""
    return [_of_source(out, stage, source) for source in range(len(stage.data))]


def _of_source(out: Path, stage: StageSettings, source: int) -> TaughtLabels | None:
    said = stage.data[source].taught
    if said is not None:
        return TaughtLabels(Path(said.predictions), said.step, said.within_cm)
    return None if stage.teacher is None else TaughtLabels(_folder(out, stage, source), stage.teacher.step)


def check_teachers(config: TrainConfig, say: Callable[[str], None]) -> None:
    """Look at every teacher, and at what was said before; raises ConfigError, naming the key, for one that
    cannot teach here. `say` takes a line on what teaches, but not as its settings ask."""
    for index, stage in enumerate(config.stages):
        if stage.teacher is not None:
            _load(config, stage.teacher, f"stages.{index}.teacher.weights")
        for number, source in enumerate(stage.data):
            if source.taught is not None:
                _check_said(config, source, f"stages.{index}.data.{number}", say)


def _check_said(config: TrainConfig, source: DataSource, key: str, say: Callable[[str], None]) -> None:
    """Refuse predictions of another surface, or of other people than the source's; say where they have no
    error bars that could leave out pixels."""
    assert source.taught is not None
    layout = surface_layout(config.surface)
    people = read_annotations(source.annotations, source.images, check_images=False, layout=layout).people
    try:
        with PredictionFile(source.taught.predictions) as said:
            layout.check_same_labels(said.layout, f"surface = {config.surface!r}", str(said.path))
            known = sum((person.image.id, person.id) in said for person in people)
            has_bars = said.has_error_bars
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"{key}.taught.predictions: {error}") from error
    if not known:
        raise ConfigError(
            f"{key}.taught.predictions = {source.taught.predictions!r}: of none of the {len(people)} people "
            f"of {source.annotations}; both are of one run of slimdp video --write people"
        )
    if source.taught.within_cm is not None and not has_bars:
        say(
            f"{key}.taught.within_cm = {source.taught.within_cm:g} leaves out no pixel: "
            f"{source.taught.predictions} has no error bars, so every pixel of a person is learned from; "
            "slimdp video --write people writes it anew with bars, within_cm: null says that all are meant"
        )


def teach_stage(
    config: TrainConfig, index: int, data: StageData, out: Path, device: torch.device,
    processes: DistributedContext = ALONE,
) -> None:  # fmt: skip
    """Let a stage's teacher label its people, unless it did; processes share the work.

    Raises ConfigError, naming the key, where nobody of a source has an outline, or the run's folder holds
    what was said of other pictures; and what `slimdp.inference.teacher.teach` raises.
    """
    stage = config.stages[index]
    if stage.teacher is None:
        return
    model, crop_config = _load(config, stage.teacher, f"stages.{index}.teacher.weights")
    sha256 = file_sha256(stage.teacher.weights).hex()
    for source, people in enumerate(data.source_people()):
        if stage.data[source].taught is not None:
            continue
        if not any(has_outline(person) for person in people):
            raise ConfigError(
                f"stages.{index}.teacher: nobody in {stage.data[source].annotations} has an outline "
                "(dp_masks, or segmentation), and a teacher labels no more than what lies in one"
            )
        share = processes.rank, processes.count
        teach(model.to(device), crop_config.crop, people, _folder(out, stage, source), sha256, share)
    processes.wait()


def _folder(out: Path, stage: StageSettings, source: int) -> Path:
    return out / "taught" / f"{stage.name}_{source}"


def _load(config: TrainConfig, teacher: TeacherSettings, key: str) -> tuple[DensePoseModel, TrainConfig]:
    try:
        model, its_config = load_model(Path(teacher.weights))
        layout, surface = surface_layout(config.surface), f"surface = {config.surface!r}"
        layout.check_same_labels(model.layout, surface, teacher.weights)
    except (CheckpointError, ValueError) as error:
        raise ConfigError(f"{key} = {teacher.weights!r}: {error}") from error
    if model.spec.input != "crop":
        raise ConfigError(
            f"{key} = {teacher.weights!r}: its network takes whole pictures; a teacher takes crops"
        )
    return model, its_config
