"""What predictions and annotations of real people share, whatever body their u and v speak of.

Parts mean the same on DensePose's body and on the open one, u and v do not: at DensePose's points the part is
compared, localization only, and the predicted foreground with masks of people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import numpy as np

from slimdp.evaluation.ground_truth import GroundTruth, ImageMask, ImageTruth
from slimdp.evaluation.metric import MetricSettings, Predicted, Score, ScoreKind
from slimdp.evaluation.predictions import nearest_pixels, paste_prediction
from slimdp.structures import DensePoseInstance, PersonAnnotation

#: A person in a file: image id and annotation id.
Key = tuple[int, int]
_Truth = TypeVar("_Truth")
_Found = TypeVar("_Found")


class _OfPeople(Generic[_Truth, _Found]):
    """People who have something to compare with, and what was found for those of them who are predicted."""

    def __init__(self, settings: MetricSettings) -> None:
        self._settings = settings
        self._truths: dict[Key, _Truth] = {}
        self._found: dict[Key, _Found] = {}

    def _truths_in(self, image: ImageTruth) -> Mapping[Key, _Truth]:
        raise NotImplementedError

    def _compared(self, image: ImageTruth, truth: _Truth, prediction: DensePoseInstance) -> _Found:
        raise NotImplementedError

    def _unseen(self, truth: _Truth) -> _Found:
        raise NotImplementedError

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Compare those with a truth; raises ValueError for predictions that do not say whom they mean:
        results, and people whom a network found by itself."""
        self._truths |= self._truths_in(truth)
        for prediction in predicted.people:
            if not isinstance(prediction, DensePoseInstance):
                raise ValueError("DensePose results do not say which annotated person they mean")
            if prediction.annotation_id < 0:
                scores = ", ".join(self._settings.scores)
                raise ValueError(
                    f"{scores} compares people in given boxes, but a network found these by itself; predict "
                    "with --given-boxes, or leave the score out"
                )
            key = prediction.image_id, prediction.annotation_id
            if key in self._truths:
                self._found[key] = self._compared(truth, self._truths[key], prediction)

    def by_person(self) -> dict[Key, _Found]:
        """What was found for each, in the order of the file.

        Raises ValueError without anybody, or for people not predicted where that is not to count as wrong.
        """
        if not self._truths:
            scores = ", ".join(self._settings.scores)
            raise ValueError(f"{self._settings.file}: nobody has what {scores} compares")
        absent = [key for key in self._truths if key not in self._found]
        if absent and self._settings.missing == "raise":
            raise ValueError(
                f"no prediction for {len(absent)} of {len(self._truths)} people, first image {absent[0][0]}, "
                f'annotation {absent[0][1]}; predict them all, or count them as wrong with missing="wrong"'
            )
        return {key: self._found.get(key, self._unseen(truth)) for key, truth in self._truths.items()}


class PartAgreement(_OfPeople[PersonAnnotation, np.ndarray]):
    """ "parts.fine" and "parts.coarse": percent of the points on the labelled part, or coarse part."""

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """Two scores."""
        titles = {"parts.fine": "right part", "parts.coarse": "right coarse part"}
        return ScoreKind(titles[name], everyone=True) if name in titles else None

    def _truths_in(self, image: ImageTruth) -> Mapping[Key, PersonAnnotation]:
        return {(image.image.id, person.id): person for person in image.people if len(person.part)}

    def _compared(
        self, image: ImageTruth, truth: PersonAnnotation, prediction: DensePoseInstance
    ) -> np.ndarray:
        pixels, inside = nearest_pixels(prediction, truth.points)
        return np.where(inside, prediction.part[pixels[:, 1], pixels[:, 0]], 0).astype(np.int64)

    def _unseen(self, truth: PersonAnnotation) -> np.ndarray:
        return np.zeros(len(truth.part), dtype=np.int64)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Labelled and predicted part of all P points, (P,) int64 each; 0 outside of the crop."""
        found = self.by_person()
        labelled = [self._truths[key].part for key in found]
        return np.concatenate(labelled), np.concatenate(list(found.values()))

    def compute(self) -> dict[str, Score]:
        """Percent of all points of all people."""
        labelled, found = self.pairs()
        coarse = self._settings.surface.layout.coarse_of_part
        return {
            "parts.fine": Score(100 * float((labelled == found).mean())),
            "parts.coarse": Score(100 * float((coarse[labelled] == coarse[found]).mean())),
        }


class ForegroundOverlap(_OfPeople[GroundTruth, float]):
    """ "overlap.iou": mean over people of the overlap of their mask with the predicted foreground, percent.

    Shared pixels by pixels of either, in the image; those of the mask beyond the crop are not found.
    """

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """One score."""
        return ScoreKind("foreground IoU", everyone=True) if name == "overlap.iou" else None

    def _truths_in(self, image: ImageTruth) -> Mapping[Key, GroundTruth]:
        return {
            (image.image.id, truth.id): truth
            for truth in image.instances
            if not truth.crowd and truth.mask.count
        }

    def _compared(self, image: ImageTruth, truth: GroundTruth, prediction: DensePoseInstance) -> float:
        found = ImageMask.of(paste_prediction(prediction, image.image.width, image.image.height)[0] > 0)
        shared = found.shared(truth.mask)
        return shared / (found.count + truth.mask.count - shared)

    def _unseen(self, truth: GroundTruth) -> float:
        return 0.0

    def compute(self) -> dict[str, Score]:
        """The mean over people."""
        return {"overlap.iou": Score(100 * float(np.mean(list(self.by_person().values()))))}
