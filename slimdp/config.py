"""Every setting, as frozen dataclasses that check themselves, read from YAML with overrides.

Unknown keys, wrong types and impossible values raise `ConfigError` naming the key, before any work starts.
A settings file may build on another one (`base: base.yaml`) and then holds the difference alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimdp.settings_file import ConfigError, apply_override, from_plain, read_settings, to_plain

__all__ = [
    "AugmentSettings", "ConfigError", "CropSettings", "DataSource", "LossSettings", "ModelSettings",
    "StageSettings", "TrainConfig", "WarpSettings", "config_from_dict", "config_to_dict", "load_config",
]  # fmt: skip


def _require(ok: bool, key: str, value: object, wanted: str) -> None:
    if not ok:
        raise ConfigError(f"{key} = {value!r}, but it must be {wanted}")


@dataclass(frozen=True)
class DataSource:
    """One annotation file and the folder that its file names are relative to."""

    annotations: str
    images: str
    weight: float = 1.0  # share of the samples, relative to the other sources of the stage

    def __post_init__(self) -> None:
        _require(self.weight > 0, "data.weight", self.weight, "positive")


@dataclass(frozen=True)
class CropSettings:
    """The square around a person's box that the network sees."""

    size: int = 256  # px, a multiple of 64
    margin: float = 0.15  # of the box's longer side, added on each side

    def __post_init__(self) -> None:
        _require(self.size > 0 and self.size % 64 == 0, "crop.size", self.size, "a positive multiple of 64")
        _require(self.margin >= 0, "crop.margin", self.margin, "0 or more")


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of a training crop."""

    scale: float = 0.25  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    rotation_deg: float = 30.0  # turn by an angle in -rotation .. rotation
    shift: float = 0.05  # move by a share of the crop in -shift .. shift
    flip: bool = True  # mirror half of the crops, labels included
    colour: float = 0.3  # strength of brightness, contrast and tint changes, 0..1

    def __post_init__(self) -> None:
        _require(self.scale >= 0, "augment.scale", self.scale, "0 or more")
        _require(0 <= self.rotation_deg <= 180, "augment.rotation_deg", self.rotation_deg, "in 0..180")
        _require(0 <= self.shift < 1, "augment.shift", self.shift, "in 0..1")
        _require(0 <= self.colour <= 1, "augment.colour", self.colour, "in 0..1")


@dataclass(frozen=True)
class WarpSettings:
    """Random thin-plate splines, the synthetic motion of a crop (Slim DensePose, 3.2.1)."""

    control_points: int = 5  # along each side of the crop
    bend: float = 0.03  # spread of their random moves, share of the crop
    rotation_deg: float = 15.0  # turn by an angle in -rotation .. rotation
    scale: float = 0.15  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    shear: float = 0.1
    shift: float = 0.05  # share of the crop

    def __post_init__(self) -> None:
        _require(2 <= self.control_points <= 16, "warp.control_points", self.control_points, "in 2..16")
        for key in ("bend", "rotation_deg", "scale", "shear", "shift"):
            _require(getattr(self, key) >= 0, f"warp.{key}", getattr(self, key), "0 or more")


@dataclass(frozen=True)
class ModelSettings:
    """The stacked hourglass."""

    stacks: int = 2
    features: int = 256  # channels

    def __post_init__(self) -> None:
        _require(1 <= self.stacks <= 16, "model.stacks", self.stacks, "in 1..16")
        _require(
            self.features >= 8 and self.features % 4 == 0,
            "model.features", self.features, "a multiple of 4, at least 8",
        )  # fmt: skip


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms, the same at every stack."""

    part: float = 1.0  # cross entropy over 25 classes at the labelled points
    coarse: float = 1.0  # cross entropy over 15 classes at the pixels of the coarse masks
    background: float = 1.0  # cross entropy of the part scores where the coarse mask is background
    uv: float = 10.0  # smooth L1 on u and v of the labelled part

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _require(getattr(self, f.name) >= 0, f"loss.{f.name}", getattr(self, f.name), "0 or more")


@dataclass(frozen=True)
class StageSettings:
    """One stage of training: what it sees, for how long, how fast."""

    name: str
    data: tuple[DataSource, ...]
    steps: int
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: float = 0.05  # share of the steps over which the learning rate rises
    weight_decay: float = 1e-4
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        # The name becomes part of a file name.
        ok = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name) is not None
        _require(ok, "stage.name", self.name, "letters, digits, '_', '.' and '-' only")
        _require(len(self.data) > 0, "stage.data", self.data, "at least one source")
        _require(self.steps > 0, "stage.steps", self.steps, "positive")
        _require(self.batch > 0, "stage.batch", self.batch, "positive")
        _require(self.learning_rate > 0, "stage.learning_rate", self.learning_rate, "positive")
        _require(0 <= self.warmup < 1, "stage.warmup", self.warmup, "in 0..1")
        _require(self.weight_decay >= 0, "stage.weight_decay", self.weight_decay, "0 or more")
        _require(self.clip_norm > 0, "stage.clip_norm", self.clip_norm, "positive")


@dataclass(frozen=True)
class TrainConfig:
    """A training run: experiments/*.yaml."""

    stages: tuple[StageSettings, ...]
    model: ModelSettings = field(default_factory=ModelSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    surface: str = "open"  # whose charts the labels speak of: a name that `slimdp.surface` knows
    average_decay: float = 0.998  # of the running average of the weights that is evaluated; 0: the last ones
    seed: int = 0
    workers: int = 0  # processes that prepare crops; 0: in the training process
    log_every: int = 20  # steps between TensorBoard scalars
    pictures_every: int = 200  # steps between TensorBoard pictures
    checkpoint_every: int = 200  # steps between checkpoints

    def __post_init__(self) -> None:
        _require(len(self.stages) > 0, "stages", self.stages, "at least one stage")
        names = [stage.name for stage in self.stages]
        _require(len(set(names)) == len(names), "stages", names, "stages with different names")
        for key in ("log_every", "pictures_every", "checkpoint_every"):
            _require(getattr(self, key) > 0, key, getattr(self, key), "positive")
        _require(self.workers >= 0, "workers", self.workers, "0 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(0 <= self.average_decay < 1, "average_decay", self.average_decay, "in 0..1, 1 left out")
        for i, stage in enumerate(self.stages):
            # The smallest map is crop.size / 64 wide, and a batch norm needs two values at least.
            ok = stage.batch > 1 or self.crop.size > 64
            _require(ok, f"stages.{i}.batch", stage.batch, "2 or more with crop.size 64")


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a training run from YAML.

    Args:
        path: the settings; with `base: other.yaml` the difference from other.yaml beside it.
        overrides: `key=value`, dots into mappings and numbers into lists: `stages.0.steps=10`.

    Raises:
        ConfigError: naming the file, the key and what it could have been.
    """
    values = read_settings(path)
    for override in overrides:
        apply_override(values, override)
    where = " with ".join([str(path), *overrides])
    return config_from_dict(values, where)


def config_from_dict(values: Any, where: str) -> TrainConfig:
    """A training run from plain values, e.g. out of a checkpoint; `where` they come from opens the errors."""
    try:
        return from_plain(TrainConfig, values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """The plain values of a training run, to save and to compare."""
    return to_plain(config)
