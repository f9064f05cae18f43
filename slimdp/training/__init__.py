"""From settings to a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.training.checkpoint import Checkpoint, CheckpointError, load_checkpoint, load_model
    from slimdp.training.loop import NoLabelsError, NonFiniteLossError
    from slimdp.training.run import TrainRun, stage_file, train, train_side_by_side

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "NoLabelsError",
    "NonFiniteLossError",
    "TrainRun",
    "load_checkpoint",
    "load_model",
    "stage_file",
    "train",
    "train_side_by_side",
]
load_on_use(__name__)
