"""Teachers of stages: whom they label before the stage begins (DensePose, 3.4)."""

from __future__ import annotations

from pathlib import Path

import torch

from flow_cache.runtime.checksums import file_sha256
from slimdp.config import ConfigError, StageSettings, TeacherSettings, TrainConfig
from slimdp.data.outline import has_outline
from slimdp.inference.teacher import TaughtLabels, teach
from slimdp.models import DensePoseModel
from slimdp.surface.load import surface_layout
from slimdp.training.checkpoint import CheckpointError, load_model
from slimdp.training.distributed import ALONE, DistributedContext
from slimdp.training.stage_data import StageData


def taught_labels(out: Path, stage: StageSettings) -> list[TaughtLabels]:
    """What the teacher of a stage says in a run's folder, of each source of data; [] without a teacher."""
    if stage.teacher is None:
        return []
    folders = (_folder(out, stage, source) for source in range(len(stage.data)))
    return [TaughtLabels(folder, stage.teacher.step) for folder in folders]


def check_teachers(config: TrainConfig) -> None:
    """Load every teacher once; raises ConfigError, naming the key, for one that cannot teach here."""
    for index, stage in enumerate(config.stages):
        if stage.teacher is not None:
            _load(config, stage.teacher, f"stages.{index}.teacher.weights")


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
