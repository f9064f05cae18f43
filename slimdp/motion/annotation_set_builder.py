"""An annotation set that grows by people in further frames of its videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from slimdp.data import AnnotationError, AnnotationSet
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation


def annotated_people(annotations: AnnotationSet) -> dict[int, list[PersonAnnotation]]:
    """Whose labels are carried on: people whom somebody labelled in frames of videos, by image id."""
    found: dict[int, list[PersonAnnotation]] = {}
    for person in annotations.people:
        if _is_annotated(person) and not person.crowd and person.image.video is not None:
            found.setdefault(person.image.id, []).append(person)
    return found


class AnnotationSetBuilder:
    """The pictures and people of a file, and those who arrive.

    A person is known in another frame by the track, else by the annotation id.
    """

    def __init__(self, annotations: AnnotationSet) -> None:
        self.images = {image.id: image for image in annotations.images}
        #: Annotated people by the image id of their frame, frames of videos only.
        self.sources = annotated_people(annotations)
        self._image_of_file = {image.file: image.id for image in annotations.images}
        self._people = {(person.image.id, person.id): person for person in annotations.people}
        self._before = annotations.people_by_image()
        self._next_image = 1 + max(self.images, default=0)
        self._next_person = 1 + max((person.id for person in annotations.people), default=0)
        # Images that had labels before: they take no others.
        self._closed = {person.image.id for person in annotations.people if person.has_labels}
        self._taken: set[tuple[int, tuple[str, int]]] = set()  # image id and person that have arrived
        self._reached: set[int] = set()  # ids of images that got labels

    def wanted(self, people_0: Sequence[PersonAnnotation], image_1: ImageRecord) -> list[PersonAnnotation]:
        """Those of some people of one frame whom another frame still lacks."""
        if image_1.id in self._closed:
            return []
        return [person for person in people_0 if (image_1.id, _key(person)) not in self._taken]

    def found(self, person_0: PersonAnnotation, image_1: ImageRecord) -> PersonAnnotation | None:
        """The same person, as the file has them in another frame without labels."""
        for person in self._before.get(image_1.id, ()):
            if person.track is not None and person.track == person_0.track and not person.crowd:
                return None if person.has_labels else person
        return None

    def neighbours(self, person_0: PersonAnnotation) -> list[PersonAnnotation]:
        """Everybody else in a person's frame."""
        return [person for person in self._before[person_0.image.id] if person.id != person_0.id]

    def outlined(self, person_0: PersonAnnotation, image_1: ImageRecord) -> list[PersonAnnotation]:
        """Everybody with a known other track whom the file has in another frame."""
        return [
            person
            for person in self._before.get(image_1.id, ())
            if None not in (person.track, person_0.track) and person.track != person_0.track
        ]

    def was_reached(self, image: ImageRecord) -> bool:
        """Whether somebody has arrived in a frame."""
        return image.id in self._reached

    def add(self, image_1: ImageRecord, person_0: PersonAnnotation, person_1: PersonAnnotation) -> None:
        """Put a person who came from another frame into this one."""
        self.images[image_1.id] = replace(image_1, labelled=True)
        self._image_of_file[image_1.file] = image_1.id
        self._next_image = max(self._next_image, image_1.id + 1)
        if self.found(person_0, image_1) is None:
            person_1 = replace(person_1, id=self._next_person)
            self._next_person += 1
        self._people[image_1.id, person_1.id] = person_1
        self._taken.add((image_1.id, _key(person_0)))
        self._reached.add(image_1.id)

    def target(self, image_0: ImageRecord, file: Path, step: int) -> ImageRecord | None:
        """The record of another frame of the same video: the one that is listed, or a new one.

        None where the file lists the picture as one of another video, or of none.
        """
        if file in self._image_of_file:
            image_1 = self.images[self._image_of_file[file]]
            return image_1 if image_1.video == image_0.video else None
        return replace(
            image_0,
            id=self._next_image,
            file=file,
            file_name=str(PurePosixPath(image_0.file_name).with_name(file.name)),
            frame=None if image_0.frame is None else image_0.frame + step,
            ignore_regions=(),  # drawn for the other frame
        )

    def result(self, file: Path | None) -> AnnotationSet:
        """The grown set; every person points to the final record of its image."""
        people = (replace(person, image=self.images[person.image.id]) for person in self._people.values())
        return AnnotationSet(tuple(self.images.values()), tuple(people), file)


def require_picture(image_1: ImageRecord, step: int, image_0: ImageRecord) -> None:
    """Raise AnnotationError where the picture of a frame that is to get labels is missing."""
    if not image_1.file.is_file():
        raise AnnotationError(
            f"{image_1.file}: no such picture, wanted as frame {step:+d} from {image_0.file}; put the frames "
            "of a video side by side in one folder"
        )


def _is_annotated(person: PersonAnnotation) -> bool:
    return person.has_labels and not (len(person.points) and (person.source == LabelSource.PROPAGATED).all())


def _key(person: PersonAnnotation) -> tuple[str, int]:
    return ("annotation", person.id) if person.track is None else ("track", person.track)
