"""People in the boxes that another network found: a network of crops answers where it cannot find anybody.

Slim DensePose, table 1, scores the hourglass so, on the boxes of DensePose-RCNN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slimdp.evaluation.predictions import PredictionFile
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation, unlabelled_person


@dataclass(frozen=True)
class FoundPeople:
    """Who was found in pictures, and how surely."""

    people: tuple[PersonAnnotation, ...]  # boxes without labels
    scores: Mapping[tuple[int, int], float]  # image id, annotation id -> score of the detection

    @classmethod
    def of(cls, found: Iterable[DensePoseInstance], images: Sequence[ImageRecord], where: str) -> FoundPeople:
        """Take the boxes and scores of predictions; `where` names these in errors.

        Raises ValueError for somebody in a picture that is none of `images`.
        """
        by_id = {image.id: image for image in images}
        people, scores = [], {}
        for person in found:
            image = by_id.get(person.image_id)
            if image is None:
                raise ValueError(
                    f"{where}: somebody was found in image {person.image_id}, which is none of the "
                    f"{len(by_id)} of the annotation file; give the annotations whose pictures it was made of"
                )
            people.append(unlabelled_person(person.annotation_id, image, person.box))
            scores[person.image_id, person.annotation_id] = person.score
        return cls(tuple(people), scores)

    @classmethod
    def read(cls, file: str | Path, images: Sequence[ImageRecord]) -> FoundPeople:
        """Those of a predictions.h5, in its order; raises as `of` and `PredictionFile`."""
        with PredictionFile(file) as found:
            return cls.of(found, images, str(file))

    def scored(self, predictions: Iterable[DensePoseInstance]) -> Iterator[DensePoseInstance]:
        """Predictions in these boxes, each with the score of its box's detection."""
        for each in predictions:
            yield replace(each, score=self.scores[each.image_id, each.annotation_id])
