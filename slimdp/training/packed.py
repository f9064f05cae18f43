"""A run's network as a file to pass on: a seventh of a checkpoint, and nothing of where it was trained.

The weights may be the mean of several ends of a training's stages (Wortsman et al., ICML 2022, model soups):
networks that went different ways from one beginning, whose mean does better on pictures unlike those that
they learned from than any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from slimdp.config import TrainConfig
from slimdp.models.backbones.weights import BACKBONE_PREFIX
from slimdp.models.stored import LARGEST_HALF, in_eight_bits
from slimdp.training.checkpoint import Checkpoint, CheckpointError
from slimdp.training.optimisation import between


def mean_of(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The last checkpoint with the mean of all their averaged weights, statistics of batch norms among them.

    What is counted, in whole numbers, is the last one's. Raises CheckpointError where one is of another
    network.
    """
    *others, last = checkpoints
    weights = last.best_weights
    for other in others:
        if {key: w.shape for key, w in other.best_weights.items()} != {
            k: w.shape for k, w in weights.items()
        }:
            names = " and ".join(map(stage_reached, (other, last)))
            raise CheckpointError(
                f"the weights of the stages {names} are not of one network: no mean of them"
            )
    mean = {
        key: torch.stack([each.best_weights[key].double() for each in checkpoints]).mean(0).to(weight.dtype)
        if weight.is_floating_point()
        else weight
        for key, weight in weights.items()
    }
    return replace(last, model=mean, average=None)


def with_mean_backbone(checkpoint: Checkpoint, origin: Checkpoint) -> Checkpoint:
    """The checkpoint with the mean of its backbone's weights and of those that the backbone began with.

    What a network learned on top of a backbone that it changed works on the way back to the backbone's
    beginning, too, and there does better on pictures unlike those that it learned from (Wortsman et al., CVPR
    2022, robust fine-tuning of zero-shot models). Raises CheckpointError where the two backbones are not of
    one kind.
    """
    weights, theirs = checkpoint.best_weights, origin.best_weights
    mine = {key: weight for key, weight in weights.items() if key.startswith(BACKBONE_PREFIX)}
    if not mine or any(key not in theirs or theirs[key].shape != mine[key].shape for key in mine):
        raise CheckpointError("the backbones are not of one kind: no mean of them")
    return replace(checkpoint, model=weights | between(mine, theirs, 0.5), average=None)


def stage_reached(checkpoint: Checkpoint) -> str:
    """The name of the stage that a checkpoint ends, or is in."""
    ended = checkpoint.step == 0 and checkpoint.stage > 0
    return checkpoint.config.stages[checkpoint.stage - ended].name


def packed(checkpoint: Checkpoint, name: str, eight_bits: Sequence[str] = ()) -> Checkpoint:
    """The averaged weights in 16 bits, as the end of the last stage, without optimiser and random state.

    Those whose names begin with one of `eight_bits` take 8, with a scale a channel. Numbers a channel
    (biases, norms and their statistics) keep 32 bits: they are few, and variances leave what 16 bits hold. Of
    the settings' data the names of the files stay, and no folders; stages are called NAME_STAGE, so that none
    of a run that begins with it counts as done. Raises CheckpointError for a weight that so many bits do not
    hold, and for a name of `eight_bits` that no weight begins with.
    """
    weights, scales = {}, {}
    for name_begins in eight_bits:
        if not any(key.startswith(name_begins) for key in checkpoint.best_weights):
            raise CheckpointError(f"no weight begins with {name_begins!r}, to be stored in 8 bits")
    for key, weight in checkpoint.best_weights.items():
        if weight.ndim < 2 or not weight.is_floating_point():
            weights[key] = weight.clone()
        elif key.startswith(tuple(eight_bits)):
            if not torch.isfinite(weight).all():
                raise CheckpointError(f"{key} holds numbers that are not finite, which 8 bits do not hold")
            weights[key], scales[key] = in_eight_bits(weight)
        else:
            weights[key] = _halved(key, weight)
    config = _passed_on(checkpoint.config, name)
    return Checkpoint(
        config, stage=len(config.stages), step=0, model=weights, layout=checkpoint.layout,
        pretrained=checkpoint.pretrained, scales=scales,
    )  # fmt: skip


def _halved(key: str, weight: Tensor) -> Tensor:
    if not weight.abs().max() <= LARGEST_HALF:
        raise CheckpointError(f"{key} holds a number beyond {LARGEST_HALF:g}, which 16 bits do not hold")
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
