"""A run's network as a file to pass on: a seventh of a checkpoint, and nothing of where it was trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from slimdp.config import TrainConfig
from slimdp.training.checkpoint import Checkpoint, CheckpointError

#: The largest number that 16 bits hold.
_LARGEST = torch.finfo(torch.float16).max


def packed(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The averaged weights in 16 bits, as the end of the last stage, without optimiser and random state.

    Numbers a channel (biases, norms and their statistics) keep 32 bits: they are few, and variances leave
    what 16 bits hold. Of the settings' data the names of the files stay, and no folders; stages are called
    NAME_STAGE, so that none of a run that begins with it counts as done. Raises CheckpointError for a weight
    that 16 bits do not hold.
    """
    weights = {key: _halved(key, weight) for key, weight in checkpoint.best_weights.items()}
    config = _passed_on(checkpoint.config, name)
    return Checkpoint(
        config, stage=len(config.stages), step=0, model=weights, layout=checkpoint.layout,
        pretrained=checkpoint.pretrained,
    )  # fmt: skip


def _halved(key: str, weight: Tensor) -> Tensor:
    if weight.ndim < 2 or not weight.is_floating_point():
        return weight.clone()
    if not weight.abs().max() <= _LARGEST:
        raise CheckpointError(f"{key} holds a number beyond {_LARGEST:g}, which 16 bits do not hold")
    return weight.half()


def _passed_on(config: TrainConfig, name: str) -> TrainConfig:
    stages = tuple(
        stage.replace(
            name=f"{name}_{stage.name}",
            data=tuple(s.replace(annotations=Path(s.annotations).name, images=".") for s in stage.data),
        )
        for stage in config.stages
    )
    return config.replace(stages=stages, validation=None)
