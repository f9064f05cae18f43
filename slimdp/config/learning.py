"""Settings of the losses, and what makes steps of their gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ValidationInfo
from pydantic_core import core_schema
from typing_extensions import Self

from slimdp.config.base import EachChosen, Many, NotNegative, Settings, Wanted, below
from slimdp.registry import registered


class LossTerm(Settings):
    """A term of the loss with its settings; it is the mean over its labels, at every stage of the network.

    A subclass of the registry `slimdp.losses` says what it learns from, and sums over it.
    """

    usual: ClassVar[bool] = False  # part of every loss, also where the settings do not name it
    needs_pairs: ClassVar[bool] = False  # compares two pictures of a person: `motion` must give them
    needs_labels: ClassVar[bool] = True  # False: people without any label teach it too
    needs_teacher: ClassVar[bool] = False  # learns what the stage's teacher says
    #: What it takes keypoints for: "anchors", points of the surface; "maps", heat maps of the network.
    keypoints: ClassVar[str] = ""

    weight: NotNegative = 0.0

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of the network that it compares; one without weight asks for none."""
        return ()

    def for_network(self, features: Sequence[str]) -> Self:
        """The term where it leaves the choice of features to the network, which has these to give."""
        return self

    def count(self, batch: Any) -> int:
        """How many labels a `PoseBatch` has for the term, on the CPU."""
        raise NotImplementedError

    def sums(self, output: Any, labels: Any) -> Sequence[Any]:
        """The sum over the labels, a scalar with gradient for each stage; () where nothing can be compared.

        Where there is no label it is 0 with a gradient of 0: each process must touch the same weights.

        Args:
            output: `ModelOutput`, its maps in float32 or better, and those of each of N people.
            labels: `slimdp.losses.MapLabels`, with the batch itself; on the device of the output.
        """
        raise NotImplementedError


class LossChoice(EachChosen):
    """The terms that settings name, and the usual ones that they do not."""

    def usual(self) -> dict[str, Any]:
        """The loss that nobody has chosen."""
        return {name: kind() for name, kind in registered(self.group).items() if kind.usual}

    def terms(self, given: Mapping[str, Any]) -> Mapping[str, LossTerm]:
        """Of plain values; raises ConfigError."""
        return _Losses(loss=given).loss

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = super().__get_pydantic_core_schema__(source, handler)
        return {**schema, "serialization": core_schema.plain_serializer_function_ser_schema(self._plain)}

    def _parse(self, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return {**self.usual(), **super()._parse(values, info)}

    def _plain(self, terms: Mapping[str, LossTerm]) -> dict[str, Any]:
        """As people write it: a number where there is nothing but a weight."""
        return {
            name: term.weight if list(type(term).model_fields) == [self.short] else term.plain()
            for name, term in terms.items()
        }


#: Of `loss: {part: 1.0, equivariance: {weight: 0.1, at: level_3}}`.
LOSS = LossChoice(
    "slimdp.losses",
    "weight",
    {"equivariance_at": "equivariance.at", "equivariance_stop": "equivariance.stop"},
)
Losses = Annotated[Mapping[str, LossTerm], LOSS]


class _Losses(Settings):
    loss: Losses


Optimiser = Literal["adamw", "rmsprop", "sgd"]
Schedule = Literal["cosine", "step", "constant"]
Precision = Literal["auto", "float32", "bf16", "float64"]
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
    # step: where it drops, as shares of the stage's steps.
    drops: Annotated[Many[float], _Rising] = (0.7, 0.9)
    factor: Annotated[float, _Between] = 0.1  # step: what remains of it after a drop
