"""Who has arrived in which frame, so that the labels of two frames put nobody there twice.

A track tells who is who. Without one the place does: labels of one person that come from two frames land on
the same pixels of the third.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimdp.data.box_frame import frame_pixel_centres, sample_coarse
from slimdp.structures import IGNORE, PersonAnnotation

#: Two arrivals who share this much, of their masks or else of their boxes, are one person.
LEAST_SHARE = 0.5


class Arrivals:
    """The people whom propagated labels have brought to frames, by the frames that they came from."""

    def __init__(self) -> None:
        # By image id, then by the image id of the labelled frame that they came from.
        self._people: dict[int, dict[int, list[PersonAnnotation]]] = {}

    def add(self, image_0: int, person_1: PersonAnnotation) -> None:
        """Somebody has arrived, from the labelled frame with this image id."""
        self._people.setdefault(person_1.image.id, {}).setdefault(image_0, []).append(person_1)

    def tracks(self, image_1: int) -> set[int]:
        """The tracks of all who have arrived in a frame."""
        everyone = (person for people in self._people.get(image_1, {}).values() for person in people)
        return {person.track for person in everyone if person.track is not None}

    def fresh(self, people_1: Sequence[PersonAnnotation], image_1: int) -> list[bool]:
        """Which of all who come from one labelled frame to another frame are not there from a third one yet.

        Two with tracks are the same by these, as `tracks` has it. Others are by their place, one of those who
        come for one of those from each other frame, who share most first: people of one frame are different
        people, however close they are.
        """
        fresh = [True] * len(people_1)
        for there in self._people.get(image_1, {}).values():
            pairs = [
                (shared_place(person, other), index, place)
                for index, person in enumerate(people_1)
                for place, other in enumerate(there)
                if person.track is None or other.track is None
            ]
            matched: set[tuple[str, int]] = set()
            for share, index, place in sorted(pairs, key=lambda pair: -pair[0]):
                both = {("comes", index), ("there", place)}
                if share >= LEAST_SHARE and not both & matched:
                    matched |= both
                    fresh[index] = False
        return fresh


def shared_place(person: PersonAnnotation, other: PersonAnnotation) -> float:
    """How much of one frame two people share, 0..1.

    Of the smaller one's coarse mask, where both have one that is known somewhere; else of their boxes, as
    intersection over union.
    """
    if person.coarse is not None and other.coarse is not None:
        own, others = _area(person), _area(other)
        if own and others:
            centres = frame_pixel_centres(person.box)[_shows(person.coarse)]
            shared = _shows(sample_coarse(other.coarse, other.box, centres, outside=0)[0]).mean()
            return min(1.0, float(shared) * own / min(own, others))
    low = np.maximum(person.box[:2], other.box[:2])
    high = np.minimum(person.box[:2] + person.box[2:], other.box[:2] + other.box[2:])
    both = float((high - low).clip(0).prod())
    return both / (float(person.box[2:].prod()) + float(other.box[2:].prod()) - both)


def _shows(coarse: np.ndarray) -> np.ndarray:
    """Where coarse labels, of any shape, are known to be of the person."""
    return (coarse > 0) & (coarse != IGNORE)


def _area(person: PersonAnnotation) -> float:
    """What the coarse mask is known to show, image px^2."""
    assert person.coarse is not None
    return float(_shows(person.coarse).mean() * person.box[2:].prod())
