"""Settings of the network, its losses, and what makes steps of their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from slimdp.config.base import Many, NotNegative, Settings, Wanted, below, within

_Names = Wanted(
    "names that differ, none of them empty", lambda names: all(names) and len(set(names)) == len(names)
)
_Channels = Wanted(
    "a multiple of 4, at least 8",
    lambda count: count >= 8 and count % 4 == 0,
    {"minimum": 8, "multipleOf": 4},
)


class ModelSettings(Settings):
    """The stacked hourglass."""

    stacks: Annotated[int, within(1, 16)] = 2
    features: Annotated[int, _Channels] = 256  # channels
    # Names of the keypoints that get heat maps, e.g. [nose, left_knee, ...].
    keypoints: Annotated[Many[str], _Names] = ()


#: The terms of the loss, each with a weight of its name in `LossSettings`.
TERMS = (
    "part", "coarse", "background", "uv", "keypoint_part", "keypoint_uv", "keypoint_map", "equivariance",
)  # fmt: skip
Equivariant = Literal["level_0", "level_1", "level_2", "level_3", "level_4", "segmentation", "uv"]
#: What may be held equivariant: a feature level of each stack (`slimdp.models.hourglass.LEVELS`), or of the
#: outputs the part scores or the coordinates.
EQUIVARIANT: tuple[Equivariant, ...] = get_args(Equivariant)


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
    equivariance_at: Equivariant = (
        "level_3"  # the features that are compared; level_3: those before the outputs
    )
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
