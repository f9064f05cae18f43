"""From settings to a trained network."""

from slimdp.training.checkpoint import Checkpoint, CheckpointError, load_checkpoint, load_model
from slimdp.training.loop import NonFiniteLossError
from slimdp.training.run import stage_file, train

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "NonFiniteLossError",
    "load_checkpoint",
    "load_model",
    "stage_file",
    "train",
]
