"""How long predictions take."""

from __future__ import annotations

from slimdp.evaluation.ground_truth import ImageTruth
from slimdp.evaluation.metric import MetricSettings, Predicted, Score, ScoreKind


class SecondsAnImage:
    """ "seconds_an_image": from a picture's file to what is predicted of it, mean over the pictures.

    Known where a network predicts, not of a file of predictions.
    """

    def __init__(self, settings: MetricSettings) -> None:
        self._seconds = 0.0
        self._images: set[int] = set()

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """One score, named as the metric is."""
        return ScoreKind("s an image", "s", higher_is_better=False) if name == "seconds_an_image" else None

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Add the time of an image, or of some people in it."""
        if predicted.seconds is not None:
            self._seconds += predicted.seconds
            self._images.add(truth.image.id)

    def compute(self) -> dict[str, Score]:
        """None where nothing was timed."""
        return {"seconds_an_image": Score(self._seconds / len(self._images) if self._images else None)}
