"""What a stage's settings come to, and what can be found wrong with them before its labels are read."""

from __future__ import annotations

from pathlib import Path

from slimdp.config import (
    AugmentSettings,
    ConfigError,
    LossSettings,
    MotionSettings,
    StageSettings,
    TrainConfig,
)
from slimdp.config.budget import DROPPED
from slimdp.training.distributed import DistributedContext


def check_stages(config: TrainConfig, processes: DistributedContext) -> None:
    """Refuse stages that cannot be trained by so many processes; raises ConfigError naming the key."""
    check_paths(config)
    check_motion(config)
    check_keypoints(config)
    check_batches(config, processes)


def augmentation(config: TrainConfig, stage: StageSettings) -> AugmentSettings:
    """The random changes of a stage's crops."""
    return config.augment if stage.augment is None else stage.augment


def stage_loss(config: TrainConfig, stage: StageSettings) -> LossSettings:
    """The weights of a stage's losses."""
    return config.loss if stage.loss is None else stage.loss


def stage_motion(config: TrainConfig, stage: StageSettings) -> MotionSettings:
    """The second pictures of a stage."""
    return config.motion if stage.motion is None else stage.motion


def learns_from_keypoints(config: TrainConfig, stage: StageSettings) -> bool:
    """Whether a loss of a stage has keypoints for labels."""
    loss = stage_loss(config, stage)
    return bool(loss.keypoint_part or loss.keypoint_uv or (config.model.keypoints and loss.keypoint_map))


def check_keypoints(config: TrainConfig) -> None:
    """What learns from keypoints needs a source that keeps them; raises ConfigError."""
    for i, stage in enumerate(config.stages):
        kept = [source for source in stage.data if not source.budget or source.budget.keypoints != DROPPED]
        if learns_from_keypoints(config, stage) and not kept:
            raise ConfigError(
                f"stages.{i}: its loss learns from keypoints, but the budgets of all of its data drop them: "
                f"set budget.keypoints to kept, or loss.keypoint_part, keypoint_uv and keypoint_map to 0"
            )


def check_motion(config: TrainConfig) -> None:
    """What compares two pictures needs two, and what has no labels needs that; raises ConfigError."""
    for i, stage in enumerate(config.stages):
        loss, motion = stage_loss(config, stage), stage_motion(config, stage)
        if loss.equivariance and motion.kind == "none":
            raise ConfigError(
                f"stages.{i}: loss.equivariance = {loss.equivariance:g} needs a second picture of each "
                "person: set motion.kind to tps, flow or exact"
            )
        for j, source in enumerate(stage.data):
            if source.unlabelled and not loss.equivariance:
                raise ConfigError(
                    f"stages.{i}.data.{j}.unlabelled = true, but only loss.equivariance learns from people "
                    "without labels"
                )


def check_batches(config: TrainConfig, processes: DistributedContext) -> None:
    """Each process must get the same number of crops; raises ConfigError naming the key."""
    for i, stage in enumerate(config.stages):
        part = stage.batch // stage.accumulate
        alone = not config.shared_batch_norm and config.crop.size <= 64 and part == processes.count
        if part % processes.count or alone:
            wanted = "2 or more a process" if alone else "a multiple of that number"
            raise ConfigError(
                f"stages.{i}.batch = {stage.batch}, accumulate = {stage.accumulate}: {part} crops at a time "
                f"for {processes.count} processes, but {wanted} are wanted; change the batch, or torchrun's "
                "--nproc-per-node"
            )


def check_paths(config: TrainConfig) -> None:
    """Every annotation file and picture folder must be there; raises ConfigError naming the key."""
    places = {f"stages.{i}": stage.data for i, stage in enumerate(config.stages)}
    if config.validation is not None:
        places["validation"] = config.validation.data
    for place, sources in places.items():
        for j, source in enumerate(sources):
            key = f"{place}.data.{j}"
            if not Path(source.annotations).is_file():
                raise ConfigError(
                    f"{key}.annotations = {source.annotations!r}: no such file in {Path.cwd()}; "
                    "check the path, or make the file first"
                )
            if not Path(source.images).is_dir():
                raise ConfigError(f"{key}.images = {source.images!r}: no such folder in {Path.cwd()}")
