"""Labels of annotated frames carried by optical flow to the frames around them (Slim DensePose, 3.2.2, 5.4).

What comes out is an ordinary annotation set: the annotated frames and people, and the new ones, whose
labels say how many frames they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from flow_cache.runtime.progress import Tracker
from slimdp.config import CropSettings
from slimdp.data import AnnotationSet
from slimdp.motion.annotation_set_builder import AnnotationSetBuilder, require_picture
from slimdp.motion.confidence import FallingConfidence
from slimdp.motion.flow_chain import FlowChainReader, StepSource
from slimdp.motion.frame_places import FramePlaces
from slimdp.motion.label_transfer import TransferResult, TransferSettings, transfer_person
from slimdp.motion.point_transfer import FlowChain
from slimdp.motion.regions import RegionSettings
from slimdp.motion.summary import PropagationSummary, StepCount, count_transfer
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation


def propagate(
    annotations: AnnotationSet,
    store: StepSource,
    steps: Sequence[int] = (-3, -2, -1, 1, 2, 3),
    threshold_px: float = 5.0,
    crop: CropSettings | None = None,
    min_points: int = 5,
    regions: RegionSettings | None = None,
    confidence: FallingConfidence | None = None,
    longest_hop: int | None = None,
    observe: Callable[[TransferResult], None] | None = None,
    places: FramePlaces | None = None,
) -> tuple[AnnotationSet, PropagationSummary]:
    """Carry the labels of every annotated person to the frames at some steps from theirs.

    A step that the store does not hold is made of several flows in a row, as few as can be (`plan_chain`).
    A label is dropped where the way there and back is off by more than the threshold in one of them, where it
    leaves the frame, or where something else shows (`regions`). A frame with annotators' labels takes no
    others. Where two annotated frames reach the same person (track id, else annotation id) in one frame, the
    nearer one gives the labels. A person whom the target frame already has by track, without labels, keeps
    id, box, keypoints and outline. Labels that were themselves propagated are not carried on. Steps past the
    ends of a clip, or to a frame of another `vid_id`, and stills, are skipped.

    Args:
        annotations: with `ImageRecord.video` set.
        store: flow of those videos, both ways of every step.
        steps: frames from an annotated frame, without 0.
        threshold_px: the largest offset, in px of a 256 px crop of the person.
        crop: its margin, for the crop that the threshold is stated in.
        min_points: people with fewer labels left are dropped; those who began with fewer must keep all. A
            person with masks alone must keep half of their known pixels.
        regions: how labels are told from what covers them; None: as by default.
        confidence: how trust falls on the way; None: labels keep the confidence that they had.
        longest_hop: frames that one flow may lead over; None: as many as the store has.
        observe: is told every move of a person, arrived or not.
        places: where the annotated frames are in the store; None: look them up, and compare all pictures.

    Returns:
        The annotated and the new frames and people, and what was dropped why.

    Raises:
        ValueError: impossible steps or threshold; a flow of another size than its frame.
        AnnotationError: a frame that the store's video does not have, or whose picture is missing or another
            than its flow was computed from (`FramePlaces`).
        flow_cache.MissingFlowError: the store lacks a video, or flows that lead to a frame.
    """
    steps = sorted({int(step) for step in steps}, key=lambda step: (abs(step), -step))
    if not steps or 0 in steps:
        raise ValueError(f"steps {steps}, but one or more are wanted, none of them 0")
    settings = TransferSettings(
        threshold_px, crop or CropSettings(), regions or RegionSettings(), confidence, min_points
    )
    grown = AnnotationSetBuilder(annotations)
    if places is None:
        annotated = (grown.images[image] for image in grown.sources)
        places = FramePlaces(store, annotated, annotations.images)
    work = _Propagation(grown, places, FlowChainReader(store, longest_hop), settings, observe)
    sources = work.grown.sources
    # Nearest first: whoever arrives first keeps the place.
    with Tracker("propagate", "frames", len(sources) * len(steps)) as tracker:
        counts = {step: StepCount() for step in steps}
        for step in steps:
            for image in sources:
                counts[step] += work.carry(image, step)
                tracker.advance()
    return work.grown.result(annotations.file), PropagationSummary.of(sources.values(), counts)


class _Propagation:
    """The annotation set as it grows, and the flow that it grows along."""

    def __init__(
        self,
        grown: AnnotationSetBuilder,
        places: FramePlaces,
        ways: FlowChainReader,
        settings: TransferSettings,
        observe: Callable[[TransferResult], None] | None,
    ) -> None:
        self.grown, self._places, self._ways = grown, places, ways
        self._settings, self._observe = settings, observe

    def carry(self, image_id: int, step: int) -> StepCount:
        """Carry the people of an annotated frame over a step, those who are not there yet."""
        image_0, people_0 = self.grown.images[image_id], self.grown.sources[image_id]
        place = self._places.place(image_0)
        if not place.holds(place.index + step):
            return StepCount(past_end=len(people_0))
        image_1 = self.grown.target(image_0, self._places.picture(image_0, place.index + step), step)
        if image_1 is None:
            return StepCount(past_end=len(people_0))
        people = self.grown.wanted(people_0, image_1)
        count = StepCount(taken=len(people_0) - len(people))
        if not people:
            return count
        require_picture(image_1, step, image_0)
        chain = self._ways.read(image_0, place, step)
        fresh = not self.grown.was_reached(image_1)
        count += sum((self._carry_person(person, chain, step, image_1) for person in people), StepCount())
        return replace(count, frames=int(fresh and count.people > 0))

    def _carry_person(
        self, person_0: PersonAnnotation, chain: FlowChain, step: int, image_1: ImageRecord
    ) -> StepCount:
        move = transfer_person(
            person_0,
            chain,
            step,
            image_1,
            self._settings,
            found_1=self.grown.found(person_0, image_1),
            others_0=self.grown.neighbours(person_0),
            others_1=self.grown.outlined(person_0, image_1),
        )
        arrived = move.person_1 is not None and _enough(person_0, move.person_1, self._settings.min_points)
        if move.person_1 is not None and arrived:
            self.grown.add(image_1, person_0, move.person_1)
        if self._observe is not None:
            self._observe(move if arrived else replace(move, person_1=None))
        return count_transfer(move, arrived)


def _enough(person_0: PersonAnnotation, person_1: PersonAnnotation, min_points: int) -> bool:
    """Whether a person has kept enough labels to count."""
    if len(person_0.points):
        return len(person_1.points) >= min(min_points, len(person_0.points))
    assert person_0.coarse is not None
    assert person_1.coarse is not None
    known_0, known_1 = np.mean(person_0.coarse != IGNORE), np.mean(person_1.coarse != IGNORE)
    return bool(known_1 >= 0.5 * known_0)
