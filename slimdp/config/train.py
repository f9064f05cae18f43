"""A training run: its stages, its validation, and how it is read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from typing_extensions import Self

from flow_cache.runtime.words import PLAIN_NAME_WORDS, is_plain_name, listed
from slimdp.config.base import (
    Count,
    Many,
    NotNegative,
    Positive,
    PositiveInt,
    Settings,
    Wanted,
    below,
    require,
    within,
)
from slimdp.config.learning import LOSS, Losses, LossTerm, OptimiserSettings, Precision, ScheduleSettings
from slimdp.config.model import MODEL, ModelSettings
from slimdp.config.samples import (
    MOTION,
    AugmentSettings,
    CropSettings,
    DataSource,
    MotionSettings,
    NoMotion,
    TeacherSettings,
)
from slimdp.registry import import_modules, require_imported
from slimdp.settings_file import ConfigError, apply_override, merge, read_settings

#: Crops that go through a network together, and processes that prepare them: beyond, a machine ends in need.
MOST_CROPS, MOST_WORKERS = 16_384, 256
_Crops = Annotated[int, within(1, MOST_CROPS, ", which memory holds")]
_Workers = Annotated[int, within(0, MOST_WORKERS, ": each is a process with a network's libraries, 0.3 GB")]
_Sources = Annotated[Many[DataSource], Wanted("at least one source", len, {"minItems": 1})]


class StageSettings(Settings):
    """One stage of training: what it sees, for how long, how fast."""

    name: Annotated[str, Wanted(PLAIN_NAME_WORDS, is_plain_name)]  # becomes part of a file name
    data: _Sources
    steps: PositiveInt
    batch: _Crops = 16  # crops a step, over all processes
    learning_rate: Positive = 1e-3
    backbone_rate: NotNegative = 1.0  # times learning_rate, of the weights of the network's backbone
    warmup: Annotated[float, below(1)] = 0.05  # share of the steps over which the learning rate rises
    weight_decay: NotNegative = 1e-4
    clip_norm: Positive = 1.0
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    accumulate: int = 1  # parts that a batch goes through the network in, one after the other, to save memory
    loss: Losses | None = None  # what differs from the run's loss; null: nothing
    augment: AugmentSettings | None = None  # what differs from the run's augment; null: nothing
    motion: Annotated[MotionSettings, MOTION] | None = None  # what differs from the run's; null: nothing
    teacher: TeacherSettings | None = None  # labels more of what lies in outlines; null: nobody
    # Of the weights that the stage begins with, in those that it ends with: few labels make a network forget.
    initial_share: Annotated[float, below(1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        ok = self.accumulate > 0 and self.batch % self.accumulate == 0
        require(ok, "accumulate", self.accumulate, f"a divisor of batch = {self.batch}")
        return self


class ValidationSettings(Settings):
    """Scores of the averaged weights on labelled people, while training goes on."""

    data: _Sources  # their weights are not used
    every: PositiveInt = 1000  # steps, counted through all stages; a stage's last step is always scored
    people: Count = 200  # at most so many with points, evenly spread over the data; 0: all
    batch: _Crops = 16  # crops that go through the network together

    @model_validator(mode="after")
    def _check(self) -> Self:
        for i, source in enumerate(self.data):
            require(source.budget is None, f"data.{i}.budget", source.budget, "left out")
            require(source.taught is None, f"data.{i}.taught", source.taught, "left out")
        return self


class TrainConfig(Settings):
    """A training run: experiments/*.yaml."""

    MOVED: ClassVar[Mapping[str, str]] = {
        "average_decay": "ema_decay",
        "pictures_every": "images_every",
        "shared_batch_norm": "sync_batchnorm",
    }

    stages: Annotated[Many[StageSettings], Wanted("at least one stage", len, {"minItems": 1})]
    model: Annotated[ModelSettings, MODEL] = Field(default_factory=MODEL.usual)
    crop: CropSettings = CropSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: Losses = Field(default_factory=LOSS.usual)
    motion: Annotated[MotionSettings, MOTION] = NoMotion()
    validation: ValidationSettings | None = None
    surface: str = "open"  # whose charts the labels speak of: open, or a folder with DensePose's files
    # Of the running average of the weights that is evaluated; 0: the last ones.
    ema_decay: Annotated[float, below(1)] = 0.998
    seed: Count = 0
    precision: Precision = "auto"  # float64 is for checks; auto: bf16 on a GPU that has it, else float32
    compile: bool = False  # torch.compile the network: minutes at the start, faster steps
    sync_batchnorm: bool = True  # several processes: statistics over the whole batch, not each one's share
    # Processes that prepare crops, for each training process; 0: in the training process.
    workers: _Workers = 0
    log_every: PositiveInt = 20  # steps between TensorBoard scalars
    images_every: PositiveInt = 200  # steps between TensorBoard pictures
    checkpoint_every: PositiveInt = 200  # steps between checkpoints
    keep: PositiveInt = 2  # checkpoints to keep: the last one and those before it
    imports: Many[str] = ()  # modules that register networks, losses, ... of their own (`slimdp.registry`)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [stage.name for stage in self.stages]
        require(len(set(names)) == len(names), "stages", names, "stages with different names")
        size, multiple = self.crop.size, self.model.spec.size_multiple
        require(size % multiple == 0, "crop.size", size, f"a positive multiple of {multiple}")
        for i, stage in enumerate(self.stages):
            ok = stage.backbone_rate == 1 or hasattr(self.model, "backbone")
            require(ok, f"stages.{i}.backbone_rate", stage.backbone_rate, "1: this network has no backbone")
            # A batch norm of the coarsest map needs two values at least.
            ok = stage.batch // stage.accumulate > 1 or size > multiple
            wanted = f"2 or more crops at a time with crop.size {multiple}"
            require(ok, f"stages.{i}.batch", stage.batch, wanted)
        self._with_features()
        return self

    def _with_features(self) -> None:
        """Terms that leave it to the network which features they compare name them, to be saved so."""
        known = self.model.spec.features

        def named(terms: Mapping[str, LossTerm]) -> Mapping[str, LossTerm]:
            return {name: term.for_network(known) for name, term in terms.items()}

        # Frozen for others. Stages may be those of another run's settings too: those stay as they are.
        self.__dict__["loss"] = named(self.loss)
        self.__dict__["stages"] = tuple(
            stage.replace(loss=named(stage.loss)) if stage.loss else stage for stage in self.stages
        )
        for i, stage in enumerate(self.stages):
            place = f"stages.{i}.loss" if stage.loss else "loss"
            for name, term in self.loss_of(stage).items():
                for feature in term.features:
                    wanted = f"of the features of model.name = {self.model.name!r}: {listed(known, feature)}"
                    require(feature in known, f"{place}.{name}.at", feature, f"one {wanted}")

    def loss_of(self, stage: StageSettings) -> Mapping[str, LossTerm]:
        """The terms of a stage's loss."""
        return self.loss if stage.loss is None else stage.loss

    def augment_of(self, stage: StageSettings) -> AugmentSettings:
        """The random changes of a stage's crops."""
        return self.augment if stage.augment is None else stage.augment

    def motion_of(self, stage: StageSettings) -> MotionSettings:
        """The second pictures of a stage."""
        return self.motion if stage.motion is None else stage.motion


def load_config(path: Path, overrides: Sequence[str] = (), saved: bool = False) -> TrainConfig:
    """Read a training run from YAML.

    Args:
        path: the settings; with `base: other.yaml` the difference from other.yaml beside it.
        overrides: `key=value`, dots into mappings and numbers into lists: `stages.0.steps=10`.
        saved: by this or an earlier version, e.g. config.yaml in the folder of a run.

    Raises ConfigError naming the file, the key and what it could have been.
    """
    values = read_settings(path)
    for override in overrides:
        apply_override(values, override)
    where = " with ".join([str(path), *overrides])
    return config_from_dict(values, where, saved)


def config_from_dict(values: Any, where: str, saved: bool = False) -> TrainConfig:
    """A training run from plain values, as YAML has them; `where` they come from opens the errors.

    `saved`: by this or an earlier version, e.g. in a checkpoint; their `imports` must be imported already.
    """
    try:
        if isinstance(values, Mapping) and isinstance(values.get("imports"), list):
            (require_imported if saved else import_modules)(values["imports"])
        return _with_drawn_budgets(TrainConfig.parse(_with_whole_stages(values), saved=saved))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _with_whole_stages(values: Any) -> Any:
    """What a stage says of its loss, augmentation and motion, laid over what the run says of them."""
    if not isinstance(values, Mapping) or not isinstance(values.get("stages"), list):
        return values  # for `parse` to refuse
    stages = list(values["stages"])
    for i, stage in enumerate(stages):
        for key in ("loss", "augment", "motion") if isinstance(stage, Mapping) else ():
            if isinstance(stage.get(key), Mapping) and isinstance(values.get(key), Mapping):
                stages[i] = {**stages[i], key: merge(values[key], stage[key])}
    return {**values, "stages": stages}


def _with_drawn_budgets(config: TrainConfig) -> TrainConfig:
    """The same, where a budget that draws with the seed of the run names that seed."""

    def drawn(source: DataSource) -> DataSource:
        if source.budget is None or source.budget.seed is not None:
            return source
        return source.replace(budget=source.budget.replace(seed=config.seed))

    stages = (stage.replace(data=tuple(drawn(source) for source in stage.data)) for stage in config.stages)
    return config.replace(stages=tuple(stages))


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """The plain values of a training run, to save and to compare.

    Sources without a budget, or a network that taught them, say nothing of one: runs that were saved before
    there were any compare as equal.
    """
    values = config.plain()
    for part in [*values["stages"], values["validation"] or {"data": ()}]:
        for source in part["data"]:
            for key in ("budget", "taught"):
                if source[key] is None:
                    del source[key]
    return values
