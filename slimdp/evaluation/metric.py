"""What a metric is: it takes truths and predictions image by image, and gives scores by name.

A score's name begins with that of its metric in `METRICS` (scorer.py): "points.localization.10cm", "gps.AP",
"seconds_an_image". A study's columns are such names. docs/extending.md adds a metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from slimdp.evaluation.densepose_results import Detection
from slimdp.evaluation.ground_truth import ImageTruth
from slimdp.structures import DensePoseInstance
from slimdp.surface.layout import Surface


@dataclass(frozen=True)
class Score:
    """A number that a metric gives, in the unit of its kind; None where there is nothing to measure."""

    value: float | None


@dataclass(frozen=True)
class ScoreKind:
    """What is known of a score before anything is measured."""

    title: str  # of a column: "10 cm", "AP GPS"
    unit: str = "%"
    higher_is_better: bool = True
    everyone: bool = False  # also people without points count, so that they must be predicted too


@dataclass(frozen=True)
class MetricSettings:
    """What a metric is made with."""

    surface: Surface  # what part, u and v speak of
    scores: tuple[str, ...] = ()  # the names that are asked for, all of this metric
    kappa: str = "per-part"  # of GPS, one of `KAPPAS`
    missing: Literal["raise", "wrong"] = "raise"  # people with points and without a prediction
    file: str = "annotations"  # of the truths, for messages


@dataclass(frozen=True)
class Predicted:
    """What was predicted in an image, or some of it."""

    people: tuple[DensePoseInstance | Detection, ...] = ()
    seconds: float | None = None  # that it took; None: not measured, as of a file


class Metric(Protocol):
    """Scores of predictions; its class is what `METRICS` holds."""

    def __init__(self, settings: MetricSettings) -> None: ...

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """The kind of a score by its whole name; None where the metric has none of that name."""

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Take in an image: once or, as predictions come, several times; without any where nobody was found.

        Raises ValueError for what cannot be scored.
        """

    def compute(self) -> dict[str, Score]:
        """All scores that were asked for, by whole name; others too. Raises ValueError without any truth."""
