"""Labels of annotated frames carried by optical flow to the frames around them (Slim DensePose, 3.2.2, 5.4).

What comes out is an ordinary annotation set: the annotated frames and people, and the new ones, whose
labels say how many frames they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from flow_cache import threshold_in_image
from slimdp.config import CropSettings
from slimdp.data import AnnotationError, AnnotationSet, crop_side, frame_number
from slimdp.motion.stored_flow import FlowSource, locate_frame, read_displacement, video_of
from slimdp.motion.summary import PropagationSummary, StepCount, count_person
from slimdp.motion.transport import FlowPair, move_person
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation


def propagate(
    annotations: AnnotationSet,
    store: FlowSource,
    steps: Sequence[int] = (-3, -2, -1, 1, 2, 3),
    threshold_px: float = 5.0,
    crop: CropSettings | None = None,
    min_points: int = 5,
) -> tuple[AnnotationSet, PropagationSummary]:
    """Carry the labels of every annotated person to the frames at some steps from theirs.

    A label is dropped where the way there and back is off by more than the threshold, or where it leaves
    the frame. A frame with annotators' labels takes no others. Where two annotated frames reach the same
    person (track id, else annotation id) in one frame, the nearer one gives the labels. A person whom the
    target frame already has by track, without labels, keeps id, box and keypoints. Labels that were
    themselves propagated are not carried on. Steps past the ends of a clip, and stills, are skipped.

    Args:
        annotations: with `ImageRecord.video` set; the folder of a frame is the name of its video in the
            store, and its file name the frame's.
        store: flow of those videos, both ways of every step.
        steps: frames from an annotated frame, without 0.
        threshold_px: the largest offset, in px of a 256 px crop of the person.
        crop: its margin, for the crop that the threshold is stated in.
        min_points: people with fewer labels left are dropped; those who began with fewer must keep all. A
            person with masks alone must keep half of their known pixels.

    Returns:
        The annotated and the new frames and people, and what was dropped why.

    Raises:
        ValueError: impossible steps; a flow of another size than its frame.
        AnnotationError: a frame that the store's video does not have, or whose picture is missing.
        flow_cache.MissingFlowError: from the store, where it lacks a video or a field.
    """
    steps = sorted({int(step) for step in steps}, key=lambda step: (abs(step), -step))
    if not steps or 0 in steps:
        raise ValueError(f"steps {steps}, but one or more are wanted, none of them 0")
    work = _Propagation(annotations, store, threshold_px, crop or CropSettings(), min_points)
    # Nearest first: whoever arrives first keeps the place.
    counts = {step: sum((work.carry(image, step) for image in work.sources), StepCount()) for step in steps}
    sources = [person for people in work.sources.values() for person in people]
    summary = PropagationSummary(
        labelled_frames=len(work.sources),
        labelled_people=len(sources),
        labels=sum(len(person.points) for person in sources),
        steps=tuple(sorted(counts.items())),
    )
    return work.result(annotations.file), summary


def _has_labels(person: PersonAnnotation) -> bool:
    return len(person.points) > 0 or person.coarse is not None


def _is_annotated(person: PersonAnnotation) -> bool:
    return _has_labels(person) and not (
        len(person.points) and (person.source == LabelSource.PROPAGATED).all()
    )


def _key(person: PersonAnnotation) -> tuple[str, int]:
    return ("annotation", person.id) if person.track is None else ("track", person.track)


class _Propagation:
    """The annotation set as it grows."""

    def __init__(
        self,
        annotations: AnnotationSet,
        store: FlowSource,
        threshold_px: float,
        crop: CropSettings,
        min_points: int,
    ) -> None:
        self._store, self._threshold_px, self._crop, self._min_points = store, threshold_px, crop, min_points
        self._images = {image.id: image for image in annotations.images}
        self._image_of_file = {image.file: image.id for image in annotations.images}
        self._people = {(person.image.id, person.id): person for person in annotations.people}
        self._next_image = 1 + max(self._images, default=0)
        self._next_person = 1 + max((person.id for person in annotations.people), default=0)
        self._frames: dict[str, tuple[str, ...]] = {}
        self._closed: set[int] = set()  # ids of images that had labels before: they take no others
        self._taken: set[tuple[int, tuple[str, int]]] = set()  # image id and person that have arrived
        self._reached: set[int] = set()  # ids of images that got labels
        self._found: dict[tuple[int, int], PersonAnnotation] = {}  # by image id and track: no labels yet
        #: Annotated people by the image id of their frame, frames of videos only.
        self.sources: dict[int, list[PersonAnnotation]] = {}
        for person in annotations.people:
            if _has_labels(person):
                self._closed.add(person.image.id)
            elif person.track is not None and not person.crowd:
                self._found[person.image.id, person.track] = person
            if _is_annotated(person) and not person.crowd and person.image.video is not None:
                self.sources.setdefault(person.image.id, []).append(person)

    def carry(self, image_id: int, step: int) -> StepCount:
        """Carry the people of an annotated frame over a step, those who are not there yet."""
        image_0 = self._images[image_id]
        video, frame_0 = self._locate(image_0)
        names = self._frames[video]
        if not 0 <= frame_0 + step < len(names):
            return StepCount()
        image_1 = self._target(image_0, names[frame_0 + step])
        people = [
            person
            for person in self.sources[image_id]
            if image_1.id not in self._closed and (image_1.id, _key(person)) not in self._taken
        ]
        if not people:
            return StepCount()
        _require_picture(image_1, step, image_0)
        pair = FlowPair(
            read_displacement(self._store, image_0, frame_0, step),
            read_displacement(self._store, image_0, frame_0 + step, -step),
        )
        fresh = image_1.id not in self._reached
        count = sum((self._carry_person(person, pair, step, image_1) for person in people), StepCount())
        if count.people:
            self._reached.add(image_1.id)
        return replace(count, frames=int(fresh and count.people > 0))

    def _carry_person(
        self, person: PersonAnnotation, pair: FlowPair, step: int, image_1: ImageRecord
    ) -> StepCount:
        limit_px = threshold_in_image(self._threshold_px, crop_side(person.box, self._crop))
        found_1 = self._found.get((image_1.id, person.track)) if person.track is not None else None
        moved = move_person(person, pair, limit_px, step, image_1, found_1)
        person_1, fate = moved
        arrived = person_1 is not None and self._enough(person, person_1)
        if person_1 is not None and arrived:
            self._add(image_1, person_1, new=found_1 is None)
            self._taken.add((image_1.id, _key(person)))
        return count_person(fate, arrived)

    def _enough(self, person_0: PersonAnnotation, person_1: PersonAnnotation) -> bool:
        if len(person_0.points):
            return len(person_1.points) >= min(self._min_points, len(person_0.points))
        assert person_0.coarse is not None
        assert person_1.coarse is not None
        known_0, known_1 = np.mean(person_0.coarse != IGNORE), np.mean(person_1.coarse != IGNORE)
        return bool(known_1 >= 0.5 * known_0)

    def _add(self, image_1: ImageRecord, person_1: PersonAnnotation, new: bool) -> None:
        self._images[image_1.id] = replace(image_1, labelled=True)
        self._image_of_file[image_1.file] = image_1.id
        self._next_image = max(self._next_image, image_1.id + 1)
        if new:
            person_1 = replace(person_1, id=self._next_person)
            self._next_person += 1
        self._people[image_1.id, person_1.id] = person_1

    def _locate(self, image: ImageRecord) -> tuple[str, int]:
        """The video of a frame in the store and its index there."""
        video = video_of(image)
        if video not in self._frames:
            self._frames[video] = tuple(self._store.frames(video))
        return video, locate_frame(image, self._frames[video])

    def _target(self, image_0: ImageRecord, name: str) -> ImageRecord:
        """The record of another frame of the same video: the one that is listed, or a new one."""
        name = name if PurePosixPath(name).suffix else name + image_0.file.suffix
        file = image_0.file.with_name(name)
        if file in self._image_of_file:
            return self._images[self._image_of_file[file]]
        file_name = str(PurePosixPath(image_0.file_name).with_name(name))
        return replace(
            image_0,
            id=self._next_image,
            file=file,
            file_name=file_name,
            frame=frame_number(name),
            ignore_regions=(),  # drawn for the other frame
        )

    def result(self, file: Path | None) -> AnnotationSet:
        """The grown set; every person points to the final record of its image."""
        people = (replace(person, image=self._images[person.image.id]) for person in self._people.values())
        return AnnotationSet(tuple(self._images.values()), tuple(people), file)


def _require_picture(image_1: ImageRecord, step: int, image_0: ImageRecord) -> None:
    if not image_1.file.is_file():
        raise AnnotationError(
            f"{image_1.file}: no such picture, wanted as frame {step:+d} from {image_0.file}; put the frames "
            "of a video side by side in one folder"
        )
