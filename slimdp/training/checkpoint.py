"""The state of a training run in one file, written whole or not at all, read without running any code.

The order of the samples, their augmentation and the learning rate are not in it: they depend on the settings,
the stage and the step alone. What torch's generators were at is, for networks that draw.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import slimdp
from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.zip_check import check_zip
from slimdp.config import ConfigError, TrainConfig, config_from_dict, config_to_dict
from slimdp.models import DensePoseModel
from slimdp.settings_file import differences
from slimdp.surface.layout import PartLayout, layout_from_json
from slimdp.surface.load import surface_layout
from slimdp.surface.people import PEOPLE
from slimdp.training.checkpoint_check import check_content, check_fits_optimizer, stored_sizes

FORMAT = "slimdp checkpoint 1"
#: Settings that a resumed run may change: they change nothing of what is learned.
FREE_KEYS = (
    "workers", "log_every", "pictures_every", "checkpoint_every", "keep", "validation", "compile",
)  # fmt: skip


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
    best_score: float | None = None  # of the validations so far, percent
    random_state: dict[str, Tensor] | None = None  # of torch's generators; None: as the seed makes them
    versions: dict[str, str] = field(default_factory=dict)  # of the packages that wrote it
    layout: PartLayout | None = None  # the network's parts; None: those of the settings' surface

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The weights to evaluate."""
        return self.model if self.average is None else self.average


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; where that fails, or the process is killed, the file that was there before stays.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written.
    """
    content = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    content["config"] = config_to_dict(checkpoint.config)
    content["format"] = FORMAT
    content["versions"] = current_versions()
    content["layout"] = (checkpoint.layout or surface_layout(checkpoint.config.surface)).as_json()
    try:
        with atomic_write(path) as temporary, _Writer(temporary) as file:
            torch.save(content, file)
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written: {error.strerror or error}; checkpoints before it are intact. "
            "Make room, then go on with --resume"
        ) from error


class _Writer(io.FileIO):
    """A file to write that tells why it could not: torch turns every such error into one without a cause."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self._failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            written, view = 0, memoryview(data).cast("B")
            while written < len(view):
                written += super().write(view[written:])
            return written
        except OSError as error:
            self._failure = error
            raise

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if self._failure is not None:
            raise self._failure from error


def current_versions() -> dict[str, str]:
    """Of the packages that what is learned depends on."""
    packages = {"slimdp": slimdp, "torch": torch, "numpy": np}
    return {name: str(package.__version__) for name, package in packages.items()}


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint into CPU memory; raises CheckpointError where there is none, or a broken one."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; train one: slimdp train SETTINGS.yaml --out DIR")
    try:
        sizes = stored_sizes(path)
        check_zip(path)  # torch passes over the checksums
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Of bytes that are no pickle, its reader raises whatever it stumbles over.
    except (
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        MemoryError,
    ) as error:
        # What torch says of a pickle is long, and advises to run what is in it.
        pickled = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than tensors and plain values" if pickled else str(error).split("\n")[0]
        raise CheckpointError(f"{path} is broken or no checkpoint: {reason}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: wanted a file of format {FORMAT!r}, but found {found!r}")
    missing = [name for name in ("config", "stage", "step", "model") if name not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}")
    try:
        check_content(content, sizes)
        content["config"] = config_from_dict(content["config"], "config", saved=True)
        # Checkpoints from before surfaces said which parts they have are of people.
        content["layout"] = layout_from_json(content["layout"]) if "layout" in content else PEOPLE
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    stages = len(content["config"].stages)
    if content["stage"] > stages:
        raise CheckpointError(f"{path}: stage = {content['stage']}, but its settings have {stages} stages")
    names = [f.name for f in dataclasses.fields(Checkpoint) if f.name in content]
    return Checkpoint(**{name: content[name] for name in names})


def build_model(config: TrainConfig, layout: PartLayout | None = None) -> DensePoseModel:
    """The network of a run with the first weights of its seed, whatever was drawn before.

    `layout` has the parts that it tells apart; None: those of the settings' surface.
    """
    layout = layout or surface_layout(config.surface)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = config.model.build(layout)
        assert isinstance(model, DensePoseModel)
        return model


def load_model(path: Path) -> tuple[DensePoseModel, TrainConfig]:
    """The network of a checkpoint, with its averaged weights, on the CPU in eval mode; and its settings."""
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint.config, checkpoint.layout)
    load_weights(model, checkpoint.best_weights, path)
    return model.eval(), checkpoint.config


def load_weights(model: DensePoseModel, weights: dict[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a model; raises CheckpointError where they do not fit."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights of {path} do not fit the model: {error}") from error


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put a checkpoint's state into an optimiser; raises CheckpointError where it is not of these weights."""
    try:
        check_fits_optimizer(state, optimizer)
    except ValueError as error:
        raise CheckpointError(f"last.pt cannot be gone on with: {error}") from None
    optimizer.load_state_dict(state)


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
