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


class SecondsAnImage:
    """ "seconds_an_image": from a picture's file to what is predicted of it, mean over the pictures.

    Those count in which nobody was found, too. Known where a network predicts, not of a file of predictions.
    """

    def __init__(self, settings: MetricSettings) -> None:
        self._seconds = 0.0
        self._images: set[int] = set()

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """One score, named as the metric is."""
        return ScoreKind("s an image", "s", higher_is_better=False) if name == "seconds_an_image" else None

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Add the time of an image, or of some people in it; without a time it was not looked at."""
        if predicted.seconds is not None:
            self._seconds += predicted.seconds
            self._images.add(truth.image.id)

    def compute(self) -> dict[str, Score]:
        """None where nothing was timed."""
        return {"seconds_an_image": Score(self._seconds / len(self._images) if self._images else None)}
