"""Settings of the network, its losses, and what makes steps of their gradients."""

from __future__ import annotations

from dataclasses import dataclass

from slimdp.config.checks import require, require_one_of


@dataclass(frozen=True)
class ModelSettings:
    """The stacked hourglass."""

    stacks: int = 2
    features: int = 256  # channels
    keypoints: tuple[str, ...] = ()  # names of the keypoints that get heat maps, e.g. [nose, left_knee, ...]

    def __post_init__(self) -> None:
        require(1 <= self.stacks <= 16, "model.stacks", self.stacks, "in 1..16")
        require(
            self.features >= 8 and self.features % 4 == 0,
            "model.features", self.features, "a multiple of 4, at least 8",
        )  # fmt: skip
        names = self.keypoints
        ok = all(names) and len(set(names)) == len(names)
        require(ok, "model.keypoints", names, "names that differ, none of them empty")


#: The terms of the loss, each with a weight of its name in `LossSettings`.
TERMS = (
    "part", "coarse", "background", "uv", "keypoint_part", "keypoint_uv", "keypoint_map", "equivariance",
)  # fmt: skip
#: What may be held equivariant: a feature level of each stack (`slimdp.models.hourglass.LEVELS`), or of the
#: outputs the part scores or the coordinates.
EQUIVARIANT = ("level_0", "level_1", "level_2", "level_3", "level_4", "segmentation", "uv")


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
    # What the two pictures of a person say, by cosine (Slim DensePose, 3.2.2, table 7); needs `motion`.
    equivariance: float = 0.0
    equivariance_at: str = "level_3"  # the features that are compared; level_3 are those before the outputs
    equivariance_stop: str = "none"  # the side that the loss does not teach: none, first or second

    def __post_init__(self) -> None:
        for name in TERMS:
            require(getattr(self, name) >= 0, f"loss.{name}", getattr(self, name), "0 or more")
        require_one_of(EQUIVARIANT, "loss.equivariance_at", self.equivariance_at)
        require_one_of(("none", "first", "second"), "loss.equivariance_stop", self.equivariance_stop)


#: The optimisers, schedules and number formats that a training run may choose from.
OPTIMISERS = ("adamw", "rmsprop", "sgd")
SCHEDULES = ("cosine", "step", "constant")
PRECISIONS = ("auto", "float32", "bf16", "float64")


@dataclass(frozen=True)
class OptimiserSettings:
    """What turns gradients into steps; None takes what is usual for the optimiser."""

    name: str = "adamw"  # adamw, rmsprop (Newell et al., with a rate of 2.5e-4) or sgd
    momentum: float | None = None  # 0.9 of sgd and as adamw's beta 1, 0 of rmsprop
    smoothing: float | None = None  # of the squared gradients: adamw's beta 2 0.999, rmsprop's alpha 0.99

    def __post_init__(self) -> None:
        require_one_of(OPTIMISERS, "optimiser.name", self.name)
        for key in ("momentum", "smoothing"):
            value = getattr(self, key)
            ok = value is None or 0 <= value < 1
            require(ok, f"optimiser.{key}", value, "in 0..1, 1 left out, or null")


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate falls once it has risen (`stage.warmup`)."""

    name: str = "cosine"  # cosine (to 0), step, or constant
    drops: tuple[float, ...] = (0.7, 0.9)  # step: where it drops, as shares of the stage's steps
    factor: float = 0.1  # step: what remains of it after a drop

    def __post_init__(self) -> None:
        require_one_of(SCHEDULES, "schedule.name", self.name)
        rising = list(self.drops) == sorted(set(self.drops)) and all(0 < drop < 1 for drop in self.drops)
        require(rising, "schedule.drops", self.drops, "rising shares between 0 and 1")
        require(0 < self.factor < 1, "schedule.factor", self.factor, "between 0 and 1")
