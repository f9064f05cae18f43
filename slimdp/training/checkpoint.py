"""The state of a training run in one file, written whole or not at all, read without running any code.

Nothing random is in it: the order of the samples and their augmentation depend on the seed, the stage and
the step alone.
"""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import slimdp
from slimdp.atomic import whole_file
from slimdp.config import ConfigError, TrainConfig, config_from_dict, config_to_dict
from slimdp.models import StackedHourglass
from slimdp.settings_file import differences

FORMAT = "slimdp checkpoint 1"
#: Settings that a resumed run may change: they change nothing of what is learned.
FREE_KEYS = ("workers", "log_every", "pictures_every", "checkpoint_every")


class CheckpointError(ValueError):
    """A checkpoint that is missing, broken, or of another run."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands: `step` steps of stage number `stage` are done.

    At the beginning of a stage, and after the last one (stage = number of stages), the weights are the
    average of the stage before, and there is no optimiser yet.
    """

    config: TrainConfig
    stage: int
    step: int
    model: dict[str, Tensor]
    average: dict[str, Tensor] | None = None
    average_updates: int = 0
    optimizer: dict[str, Any] | None = None

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The weights to evaluate."""
        return self.model if self.average is None else self.average


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; a killed process leaves the file that was there before."""
    content = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    content["config"] = config_to_dict(checkpoint.config)
    content["format"] = FORMAT
    packages = {"slimdp": slimdp, "torch": torch, "numpy": np}
    content["versions"] = {name: str(package.__version__) for name, package in packages.items()}
    with whole_file(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint into CPU memory; raises CheckpointError where there is none, or a broken one."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; train one: slimdp train SETTINGS.yaml --out DIR")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} is broken or no checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: wanted a file of format {FORMAT!r}, but found {found!r}")
    names = [f.name for f in dataclasses.fields(Checkpoint)]
    missing = [name for name in names if name not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}")
    content["config"] = config_from_dict(content["config"], str(path))
    return Checkpoint(**{name: content[name] for name in names})


def build_model(config: TrainConfig) -> StackedHourglass:
    """The network of a run with the first weights of its seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return StackedHourglass(config.model.stacks, config.model.features, config.model.keypoints)


def load_model(path: Path) -> tuple[StackedHourglass, TrainConfig]:
    """The network of a checkpoint, with its averaged weights, on the CPU in eval mode; and its settings."""
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint.config)
    load_weights(model, checkpoint.best_weights, path)
    return model.eval(), checkpoint.config


def load_weights(model: StackedHourglass, weights: dict[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a model; raises CheckpointError where they do not fit."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights of {path} do not fit the model: {error}") from error


def check_same_settings(path: Path, saved: TrainConfig, wanted: TrainConfig) -> None:
    """Refuse to go on with a run whose settings were others; raises ConfigError naming each key."""
    there, now = config_to_dict(saved), config_to_dict(wanted)
    for key in FREE_KEYS:
        del there[key], now[key]
    changed = list(differences(there, now))
    if changed:
        raise ConfigError(
            f"{path} was trained with other settings (key: there, now): {'; '.join(changed)}. "
            "Go on with its settings, or train into another folder"
        )
