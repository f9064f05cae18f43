"""A training run: its stages, its validation, and how it is read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flow_cache.runtime.file_name import PLAIN_NAME_WORDS, is_plain_name
from slimdp.config.checks import require, require_one_of
from slimdp.config.learning import (
    PRECISIONS,
    LossSettings,
    ModelSettings,
    OptimiserSettings,
    ScheduleSettings,
)
from slimdp.config.samples import AugmentSettings, CropSettings, DataSource, MotionSettings
from slimdp.settings_file import ConfigError, apply_override, from_plain, merge, read_settings, to_plain

#: Crops that go through a network together, and processes that prepare them: beyond, a machine ends in need.
MOST_CROPS, MOST_WORKERS = 16_384, 256


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
    motion: MotionSettings | None = None  # what differs from the run's motion; None: nothing

    def __post_init__(self) -> None:
        # The name becomes part of a file name.
        require(is_plain_name(self.name), "stage.name", self.name, PLAIN_NAME_WORDS)
        require(len(self.data) > 0, "stage.data", self.data, "at least one source")
        require(self.steps > 0, "stage.steps", self.steps, "positive")
        wanted = f"in 1..{MOST_CROPS}, which memory holds"
        require(0 < self.batch <= MOST_CROPS, "stage.batch", self.batch, wanted)
        require(self.learning_rate > 0, "stage.learning_rate", self.learning_rate, "positive")
        require(0 <= self.warmup < 1, "stage.warmup", self.warmup, "in 0..1")
        require(self.weight_decay >= 0, "stage.weight_decay", self.weight_decay, "0 or more")
        require(self.clip_norm > 0, "stage.clip_norm", self.clip_norm, "positive")
        ok = self.accumulate > 0 and self.batch % self.accumulate == 0
        require(ok, "stage.accumulate", self.accumulate, f"a divisor of stage.batch = {self.batch}")


@dataclass(frozen=True)
class ValidationSettings:
    """Scores of the averaged weights on labelled people, while training goes on."""

    data: tuple[DataSource, ...]  # their weights are not used
    every: int = 1000  # steps, counted through all stages; a stage's last step is always scored
    people: int = 200  # at most so many with points, evenly spread over the data; 0: all
    batch: int = 16  # crops that go through the network together

    def __post_init__(self) -> None:
        require(len(self.data) > 0, "validation.data", self.data, "at least one source")
        for source in self.data:
            require(source.budget is None, "validation.data.budget", source.budget, "left out")
        require(self.every > 0, "validation.every", self.every, "positive")
        require(self.people >= 0, "validation.people", self.people, "0 or more")
        wanted = f"in 1..{MOST_CROPS}, which memory holds"
        require(0 < self.batch <= MOST_CROPS, "validation.batch", self.batch, wanted)


@dataclass(frozen=True)
class TrainConfig:
    """A training run: experiments/*.yaml."""

    stages: tuple[StageSettings, ...]
    model: ModelSettings = field(default_factory=ModelSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
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
        require(len(self.stages) > 0, "stages", self.stages, "at least one stage")
        names = [stage.name for stage in self.stages]
        require(len(set(names)) == len(names), "stages", names, "stages with different names")
        for key in ("log_every", "pictures_every", "checkpoint_every", "keep"):
            require(getattr(self, key) > 0, key, getattr(self, key), "positive")
        wanted = f"in 0..{MOST_WORKERS}: each is a process with a network's libraries, 0.3 GB"
        require(0 <= self.workers <= MOST_WORKERS, "workers", self.workers, wanted)
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(0 <= self.average_decay < 1, "average_decay", self.average_decay, "in 0..1, 1 left out")
        require_one_of(PRECISIONS, "precision", self.precision)
        for i, stage in enumerate(self.stages):
            # The smallest map is crop.size / 64 wide, and a batch norm needs two values at least.
            ok = stage.batch // stage.accumulate > 1 or self.crop.size > 64
            wanted = "2 or more crops at a time with crop.size 64"
            require(ok, f"stages.{i}.batch", stage.batch, wanted)


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
        return _with_drawn_budgets(from_plain(TrainConfig, _with_whole_stages(values)))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _with_whole_stages(values: Any) -> Any:
    """What a stage says of its loss, augmentation and motion, laid over what the run says of them."""
    if not isinstance(values, Mapping) or not isinstance(values.get("stages"), list):
        return values  # for `from_plain` to refuse
    stages = []
    for stage in values["stages"]:
        if isinstance(stage, Mapping):
            both = {
                key: merge(values[key], stage[key])
                for key in ("loss", "augment", "motion")
                if isinstance(stage.get(key), Mapping) and isinstance(values.get(key), Mapping)
            }
            stage = {**stage, **both}
        stages.append(stage)
    return {**values, "stages": stages}


def _with_drawn_budgets(config: TrainConfig) -> TrainConfig:
    """The same, where a budget that draws with the seed of the run names that seed."""

    def drawn(source: DataSource) -> DataSource:
        if source.budget is None or source.budget.seed is not None:
            return source
        return replace(source, budget=replace(source.budget, seed=config.seed))

    stages = (replace(stage, data=tuple(drawn(source) for source in stage.data)) for stage in config.stages)
    return replace(config, stages=tuple(stages))


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """The plain values of a training run, to save and to compare.

    Sources without a budget say nothing of one: runs that were saved before there were any compare as equal.
    """
    values = to_plain(config)
    parts = [*values["stages"], *([values["validation"]] if values["validation"] else [])]
    for source in (source for part in parts for source in part["data"]):
        if source["budget"] is None:
            del source["budget"]
    return values  # type: ignore[no-any-return]
