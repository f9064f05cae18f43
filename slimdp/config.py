"""Every setting, as frozen dataclasses that check themselves, read from YAML with overrides.

Unknown keys, wrong types and impossible values raise `ConfigError` naming the key, before any work starts.
A settings file may build on another one (`base: base.yaml`) and then holds the difference alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimdp.settings_file import ConfigError, apply_override, from_plain, merge, read_settings, to_plain

__all__ = [
    "AugmentSettings", "ConfigError", "CropSettings", "DataSource", "LossSettings", "ModelSettings",
    "OptimiserSettings", "ScheduleSettings", "StageSettings", "TrainConfig", "ValidationSettings",
    "WarpSettings", "config_from_dict", "config_to_dict", "load_config",
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
    occlusion: float = 0.0  # share of the crops with 1 to 3 patches over them, whose labels do not count

    def __post_init__(self) -> None:
        _require(self.scale >= 0, "augment.scale", self.scale, "0 or more")
        _require(0 <= self.rotation_deg <= 180, "augment.rotation_deg", self.rotation_deg, "in 0..180")
        _require(0 <= self.shift < 1, "augment.shift", self.shift, "in 0..1")
        _require(0 <= self.colour <= 1, "augment.colour", self.colour, "in 0..1")
        _require(0 <= self.occlusion <= 1, "augment.occlusion", self.occlusion, "in 0..1")


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
    keypoints: tuple[str, ...] = ()  # names of the keypoints that get heat maps, e.g. [nose, left_knee, ...]

    def __post_init__(self) -> None:
        _require(1 <= self.stacks <= 16, "model.stacks", self.stacks, "in 1..16")
        _require(
            self.features >= 8 and self.features % 4 == 0,
            "model.features", self.features, "a multiple of 4, at least 8",
        )  # fmt: skip
        names = self.keypoints
        ok = all(names) and len(set(names)) == len(names)
        _require(ok, "model.keypoints", names, "names that differ, none of them empty")


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms, the same at every stack."""

    part: float = 1.0  # cross entropy over 25 classes at the labelled points
    coarse: float = 1.0  # cross entropy over 15 classes at the pixels of the coarse masks
    background: float = 1.0  # cross entropy of the part scores where the coarse mask is background
    uv: float = 10.0  # smooth L1 on u and v of the labelled part
    # Keypoints as labels of the surface point at which they are anchored (Slim DensePose, 5.2, table 4).
    keypoint_part: float = 0.0  # like `part`, at the pixels of visible keypoints
    keypoint_uv: float = 0.0  # like `uv`, at the same
    keypoint_map: float = 1.0  # squared error of the heat maps of `model.keypoints`, where there are any

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _require(getattr(self, f.name) >= 0, f"loss.{f.name}", getattr(self, f.name), "0 or more")


#: The optimisers, schedules and number formats that a training run may choose from.
OPTIMISERS = ("adamw", "rmsprop", "sgd")
SCHEDULES = ("cosine", "step", "constant")
PRECISIONS = ("auto", "float32", "bf16", "float64")


def _require_one_of(choices: Sequence[str], key: str, value: str) -> None:
    _require(value in choices, key, value, f"one of {', '.join(choices)}")


@dataclass(frozen=True)
class OptimiserSettings:
    """What turns gradients into steps; None takes what is usual for the optimiser."""

    name: str = "adamw"  # adamw, rmsprop (Newell et al., with a rate of 2.5e-4) or sgd
    momentum: float | None = None  # 0.9 of sgd and as adamw's beta 1, 0 of rmsprop
    smoothing: float | None = None  # of the squared gradients: adamw's beta 2 0.999, rmsprop's alpha 0.99

    def __post_init__(self) -> None:
        _require_one_of(OPTIMISERS, "optimiser.name", self.name)
        for key in ("momentum", "smoothing"):
            value = getattr(self, key)
            ok = value is None or 0 <= value < 1
            _require(ok, f"optimiser.{key}", value, "in 0..1, 1 left out, or null")


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate falls once it has risen (`stage.warmup`)."""

    name: str = "cosine"  # cosine (to 0), step, or constant
    drops: tuple[float, ...] = (0.7, 0.9)  # step: where it drops, as shares of the stage's steps
    factor: float = 0.1  # step: what remains of it after a drop

    def __post_init__(self) -> None:
        _require_one_of(SCHEDULES, "schedule.name", self.name)
        rising = list(self.drops) == sorted(set(self.drops)) and all(0 < drop < 1 for drop in self.drops)
        _require(rising, "schedule.drops", self.drops, "rising shares between 0 and 1")
        _require(0 < self.factor < 1, "schedule.factor", self.factor, "between 0 and 1")


@dataclass(frozen=True)
class StageSettings:
    """One stage of training: what it sees, for how long, how fast."""

    name: str
    data: tuple[DataSource, ...]
    steps: int
    batch: int = 16  # crops a step, over all processes
    learning_rate: float = 1e-3
    warmup: float = 0.05  # share of the steps over which the learning rate rises
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    accumulate: int = 1  # parts that a batch goes through the network in, one after the other, to save memory
    loss: LossSettings | None = None  # what differs from the run's loss; None: nothing
    augment: AugmentSettings | None = None  # what differs from the run's augment; None: nothing

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
        ok = self.accumulate > 0 and self.batch % self.accumulate == 0
        _require(ok, "stage.accumulate", self.accumulate, f"a divisor of stage.batch = {self.batch}")


@dataclass(frozen=True)
class ValidationSettings:
    """Scores of the averaged weights on labelled people, while training goes on."""

    data: tuple[DataSource, ...]  # their weights are not used
    every: int = 1000  # steps, counted through all stages; a stage's last step is always scored
    people: int = 200  # at most so many with points, evenly spread over the data; 0: all
    batch: int = 16  # crops that go through the network together

    def __post_init__(self) -> None:
        _require(len(self.data) > 0, "validation.data", self.data, "at least one source")
        _require(self.every > 0, "validation.every", self.every, "positive")
        _require(self.people >= 0, "validation.people", self.people, "0 or more")
        _require(self.batch > 0, "validation.batch", self.batch, "positive")


@dataclass(frozen=True)
class TrainConfig:
    """A training run: experiments/*.yaml."""

    stages: tuple[StageSettings, ...]
    model: ModelSettings = field(default_factory=ModelSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    validation: ValidationSettings | None = None
    surface: str = "open"  # whose charts the labels speak of: open, or a folder with DensePose's files
    average_decay: float = 0.998  # of the running average of the weights that is evaluated; 0: the last ones
    seed: int = 0
    precision: str = (
        "auto"  # bf16, float32, float64 (for checks); auto: bf16 on a GPU that has it, else float32
    )
    compile: bool = False  # torch.compile the network: minutes at the start, faster steps
    shared_batch_norm: bool = (
        True  # several processes: statistics over all of the batch, not each one's share
    )
    workers: int = 0  # processes that prepare crops, for each training process; 0: in the training process
    log_every: int = 20  # steps between TensorBoard scalars
    pictures_every: int = 200  # steps between TensorBoard pictures
    checkpoint_every: int = 200  # steps between checkpoints
    keep: int = 2  # checkpoints to keep: the last one and those before it

    def __post_init__(self) -> None:
        _require(len(self.stages) > 0, "stages", self.stages, "at least one stage")
        names = [stage.name for stage in self.stages]
        _require(len(set(names)) == len(names), "stages", names, "stages with different names")
        for key in ("log_every", "pictures_every", "checkpoint_every", "keep"):
            _require(getattr(self, key) > 0, key, getattr(self, key), "positive")
        _require(self.workers >= 0, "workers", self.workers, "0 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(0 <= self.average_decay < 1, "average_decay", self.average_decay, "in 0..1, 1 left out")
        _require_one_of(PRECISIONS, "precision", self.precision)
        for i, stage in enumerate(self.stages):
            # The smallest map is crop.size / 64 wide, and a batch norm needs two values at least.
            ok = stage.batch // stage.accumulate > 1 or self.crop.size > 64
            wanted = "2 or more crops at a time with crop.size 64"
            _require(ok, f"stages.{i}.batch", stage.batch, wanted)


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
        return from_plain(TrainConfig, _with_whole_stages(values))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _with_whole_stages(values: Any) -> Any:
    """What a stage says of its loss and its augmentation, laid over what the run says of them."""
    if not isinstance(values, Mapping) or not isinstance(values.get("stages"), list):
        return values  # for `from_plain` to refuse
    stages = []
    for stage in values["stages"]:
        if isinstance(stage, Mapping):
            both = {
                key: merge(values[key], stage[key])
                for key in ("loss", "augment")
                if isinstance(stage.get(key), Mapping) and isinstance(values.get(key), Mapping)
            }
            stage = {**stage, **both}
        stages.append(stage)
    return {**values, "stages": stages}


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """The plain values of a training run, to save and to compare."""
    return to_plain(config)
