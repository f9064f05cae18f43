"""Settings of the losses, and what makes steps of their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from slimdp.config.base import Many, NotNegative, Settings, Wanted, below

#: The terms of the loss, each with a weight of its name in `LossSettings`.
TERMS = (
    "part", "coarse", "background", "uv", "keypoint_part", "keypoint_uv", "keypoint_map", "equivariance",
)  # fmt: skip


class LossSettings(Settings):
    """Weights of the terms, the same at every stack."""

    part: NotNegative = 1.0  # cross entropy over background and parts at the labelled points
    coarse: NotNegative = 1.0  # cross entropy of background and coarse parts at pixels of the coarse masks
    background: NotNegative = 1.0  # cross entropy of the part scores where the coarse mask is background
    uv: NotNegative = 10.0  # smooth L1 on u and v of the labelled part
    # Keypoints as labels of the surface point at which they are anchored (Slim DensePose, 5.2, table 4).
    keypoint_part: NotNegative = 0.0  # like `part`, at the pixels of visible keypoints
    keypoint_uv: NotNegative = 0.0  # like `uv`, at the same
    keypoint_map: NotNegative = (
        1.0  # squared error of the heat maps of `model.keypoints`, where there are any
    )
    # What the two pictures of a person say, by cosine (Slim DensePose, 3.2.2, table 7); needs `motion`.
    equivariance: NotNegative = 0.0
    # The features of the network that are compared, by name; null: those that its spec names first.
    equivariance_at: str | None = None
    equivariance_stop: Literal["none", "first", "second"] = "none"  # the side that the loss does not teach


Optimiser = Literal["adamw", "rmsprop", "sgd"]
Schedule = Literal["cosine", "step", "constant"]
Precision = Literal["auto", "float32", "bf16", "float64"]
#: The optimisers, schedules and number formats that a training run may choose from.
OPTIMISERS: tuple[Optimiser, ...] = get_args(Optimiser)
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_Decay = Annotated[float, below(1, "in 0..1, 1 left out, or null")]


class OptimiserSettings(Settings):
    """What turns gradients into steps; null takes what is usual for the optimiser."""

    MOVED: ClassVar[Mapping[str, str]] = {"smoothing": "beta2"}

    name: Optimiser = "adamw"  # adamw, rmsprop (Newell et al., with a rate of 2.5e-4) or sgd
    momentum: _Decay | None = None  # 0.9 of sgd and as adamw's beta 1, 0 of rmsprop
    beta2: _Decay | None = None  # of the squared gradients: adamw's beta 2 0.999, rmsprop's alpha 0.99


_Rising = Wanted(
    "rising shares between 0 and 1",
    lambda drops: list(drops) == sorted(set(drops)) and all(0 < drop < 1 for drop in drops),
)
_Between = Wanted("between 0 and 1", lambda x: 0 < x < 1, {"exclusiveMinimum": 0, "exclusiveMaximum": 1})


class ScheduleSettings(Settings):
    """How the learning rate falls once it has risen (`warmup` of the stage)."""

    name: Schedule = "cosine"  # cosine (to 0), step, or constant
    drops: Annotated[Many[float], _Rising] = (
        0.7,
        0.9,
    )  # step: where it drops, as shares of the stage's steps
    factor: Annotated[float, _Between] = 0.1  # step: what remains of it after a drop
