"""Labels of annotated frames, propagated by flow to the frames around them (Slim DensePose, 3.2.2, 5.4).

What comes out is an ordinary annotation set: the annotated frames and people, and the new ones, whose
labels say how many frames they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from flow_cache import FlowChain, FlowChainReader, FlowSource, PointStatus
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import counted
from slimdp.config import ConfigError, CropSettings
from slimdp.data import AnnotationSet
from slimdp.motion.arrivals import Arrivals
from slimdp.motion.colour_check import ColourCheck
from slimdp.motion.frame_places import FramePlaces, lone_frames, require_image
from slimdp.motion.judged_transfer import check_of, judged
from slimdp.motion.label_transfer import (
    LabelTransfer,
    TransferResult,
    TransferSettings,
    image_px,
    same_person,
    transfer_person,
)
from slimdp.motion.learned_check import LearnedCheck
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation


def propagate(
    annotations: AnnotationSet,
    store: FlowSource,
    steps: Sequence[int] = (-3, -2, -1, 1, 2, 3),
    settings: TransferSettings | None = None,
    crop: CropSettings | None = None,
    min_points: int = 5,
    observe: Callable[[TransferResult], None] | None = None,
    places: FramePlaces | None = None,
    colours: ColourCheck | None = None,
) -> tuple[AnnotationSet, PropagationSummary]:
    """Propagate the labels of every annotated person to the frames at some steps from theirs.

    A step that the store does not hold is made of several flows in a row, as few as can be (`plan_chain`).
    A label is dropped where the way there and back is off by more than the threshold in one of them, where it
    leaves the frame, or where something else shows (`regions`, `colours`). A frame with annotators' labels
    takes no others. Where two annotated frames reach the same person (by track id, else by the place:
    `Arrivals`) in one frame, the nearer one gives the labels. A person whom the target frame already has by
    track, without labels, keeps id, box, keypoints, outline and area. Labels that were themselves propagated
    go no further. Steps past the ends of a clip, or to a frame of another `vid_id`, and stills, are skipped,
    and so are pictures alone in their folder of whose video there is no flow.

    Args:
        steps: frames from an annotated frame, without 0; the store needs flow both ways of each.
        min_points: people with fewer labels left are dropped; those who began with fewer must keep all. A
            person with masks alone must keep half of their known pixels.
        observe: is told how each person was transferred, arrived or not.
        places: where the annotated frames are in the store; None: look them up, and compare all pictures.
        colours: also drop labels that show other colours where they land.

    Returns the annotated and the new frames and people, and what was dropped why. Raises ValueError for
    impossible steps, ConfigError for a `min_points` that is not positive, AnnotationError for a frame that
    the store's video does not have, or whose picture is missing or another than its flow was computed from
    (`FramePlaces`), and flow_cache.MissingFlowError where the store lacks a video, or flows to a frame.
    """
    steps = sorted({int(step) for step in steps}, key=lambda step: (abs(step), -step))
    if not steps or 0 in steps:
        raise ValueError(f"steps {steps}, but one or more are wanted, none of them 0")
    if not min_points > 0:
        raise ConfigError(f"min_points = {min_points} of a propagation, but it must be positive")
    grown = AnnotationSetBuilder(annotations, annotated_people(annotations, store))
    if places is None:
        annotated = (grown.images[image] for image in grown.sources)
        places = FramePlaces(store, annotated, annotations.images)
    settings = settings or TransferSettings()
    chains = FlowChainReader(store, settings.longest_hop)
    work = _Propagation(
        grown,
        places,
        chains,
        settings,
        crop or CropSettings(),
        min_points,
        observe,
        colours,
        check_of(settings),
    )
    counts = {step: StepCount() for step in steps}
    # Nearest first: whoever arrives first keeps the place.
    for step, image in tracked(list(product(steps, grown.sources)), "propagate", "frames"):
        counts[step] += work.propagate(image, step)
    people = [person for frame in grown.sources.values() for person in frame]
    labels = sum(len(person.points) for person in people)
    summary = PropagationSummary(len(grown.sources), len(people), labels, tuple(sorted(counts.items())))
    return grown.result(annotations.file), summary


class _Propagation(NamedTuple):
    """The annotation set as it grows, and the flow that it grows along."""

    grown: AnnotationSetBuilder
    places: FramePlaces
    chains: FlowChainReader
    settings: TransferSettings
    crop: CropSettings
    min_points: int
    observe: Callable[[TransferResult], None] | None
    colours: ColourCheck | None
    check: LearnedCheck | None

    def propagate(self, image_id: int, step: int) -> StepCount:
        """Propagate the people of an annotated frame over a step, those who are not there yet."""
        image_0, people_0 = self.grown.images[image_id], self.grown.sources[image_id]
        place, image_1 = self.places.place(image_0), None
        if place.holds(place.index + step):
            image_1 = self.grown.target(image_0, self.places.image_file(image_0, place.index + step), step)
        if image_1 is None:
            return StepCount(past_end=len(people_0))
        people = self.grown.wanted(people_0, image_1)
        count = StepCount(taken=len(people_0) - len(people))
        if not people:
            return count
        require_image(image_1.file, image_0)
        hops = self.chains.require_hops(place.video, place.index, step, place.span)
        chain = self.chains.read(place.video, place.index, hops)
        fresh = image_1.id not in self.grown.reached
        results = self.grown.not_there([self._transfer(person, chain, step, image_1) for person in people])
        count += StepCount(taken=len(people) - len(results))
        for result in results:
            if result.person_1 is not None:
                self.grown.add(image_1, result.person_0, result.person_1)
            if self.observe is not None:
                self.observe(result)
            count += count_transfer(result)
        return replace(count, frames=int(fresh and count.people > 0))

    def _transfer(
        self, person_0: PersonAnnotation, chain: FlowChain, step: int, image_1: ImageRecord
    ) -> TransferResult:
        """A person transferred over a step; not arrived where too few of the labels did."""
        others_0 = [p for p in self.grown.people_before(person_0.image) if p.id != person_0.id]
        people_1 = self.grown.people_before(image_1)
        alike = None
        if self.colours is not None:
            crop_px = image_px(1.0, person_0, self.crop)
            alike = self.colours.between(person_0.image.file, image_1.file, crop_px)
        transfer = LabelTransfer(person_0, chain, step, self.settings, self.crop, others_0, people_1, alike)
        result = transfer_person(judged(transfer, self.check, image_1.file), image_1)
        if result.person_1 is not None and not _enough(person_0, result.person_1, self.min_points):
            result = replace(result, person_1=None)
        return result


def _enough(person_0: PersonAnnotation, person_1: PersonAnnotation, min_points: int) -> bool:
    """Whether a person has kept enough labels to count."""
    if len(person_0.points):
        return len(person_1.points) >= min(min_points, len(person_0.points))
    assert person_0.coarse is not None
    assert person_1.coarse is not None
    known_0, known_1 = np.mean(person_0.coarse != IGNORE), np.mean(person_1.coarse != IGNORE)
    return bool(known_1 >= 0.5 * known_0)


# ---- the annotation set


def annotated_people(
    annotations: AnnotationSet, store: FlowSource | None = None
) -> dict[int, list[PersonAnnotation]]:
    """Whose labels are propagated: people whom somebody labelled in frames of videos, by image id.

    With a store, without those in frames that no label can leave (`lone_frames`).
    """
    found: dict[int, list[PersonAnnotation]] = {}
    for person in annotations.people:
        of_annotator = person.has_labels and not person.was_carried
        if of_annotator and not person.crowd and person.image.video is not None:
            found.setdefault(person.image.id, []).append(person)
    lone = set() if store is None else lone_frames(store, (people[0].image for people in found.values()))
    return {image: people for image, people in found.items() if image not in lone}


class AnnotationSetBuilder:
    """The pictures and people of a file, and those who arrive.

    A person is known in another frame by the track, else by the place where the labels arrive.

    Args:
        sources: whose labels are propagated, by the image id of their frame.
    """

    def __init__(self, annotations: AnnotationSet, sources: Mapping[int, Sequence[PersonAnnotation]]) -> None:
        self.images = {image.id: image for image in annotations.images}
        self.sources = sources
        self._image_of_file = {image.file: image.id for image in annotations.images}
        self._people = {(person.image.id, person.id): person for person in annotations.people}
        self._before = annotations.people_by_image()
        self._next_image = 1 + max(self.images, default=0)
        self._next_person = 1 + max((person.id for person in annotations.people), default=0)
        # Images that had labels before: they take no others.
        self._closed = {person.image.id for person in annotations.people if person.has_labels}
        self._arrivals = Arrivals()
        self.reached: set[int] = set()  # ids of images that got labels

    def wanted(self, people_0: Sequence[PersonAnnotation], image_1: ImageRecord) -> list[PersonAnnotation]:
        """Those of some people of one frame whom another frame still lacks, as far as tracks tell."""
        if image_1.id in self._closed:
            return []
        there = self._arrivals.tracks(image_1.id)
        return [person for person in people_0 if person.track not in there]

    def not_there(self, results: Sequence[TransferResult]) -> list[TransferResult]:
        """Transfers from one frame to another, without those of people who are there from a nearer frame."""
        arrived = [result for result in results if result.person_1 is not None]
        people_1 = [result.person_1 for result in arrived if result.person_1 is not None]
        fresh = self._arrivals.fresh(people_1, results[0].image_1.id)
        twice = {id(result) for result, is_fresh in zip(arrived, fresh) if not is_fresh}
        return [result for result in results if id(result) not in twice]

    def people_before(self, image: ImageRecord) -> Sequence[PersonAnnotation]:
        """Everybody whom the file has in a frame."""
        return self._before.get(image.id, ())

    def add(self, image_1: ImageRecord, person_0: PersonAnnotation, person_1: PersonAnnotation) -> None:
        """Put a person who came from another frame into this one."""
        self.images[image_1.id] = replace(image_1, labelled=True)
        self._image_of_file[image_1.file] = image_1.id
        self._next_image = max(self._next_image, image_1.id + 1)
        if same_person(person_0, self.people_before(image_1)) is None:
            person_1 = replace(person_1, id=self._next_person)
            self._next_person += 1
        self._people[image_1.id, person_1.id] = person_1
        self._arrivals.add(person_0.image.id, person_1)
        self.reached.add(image_1.id)

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


# ---- what was done


@dataclass(frozen=True)
class StepCount:
    """People, labels (points) and mask pixels that were to be moved over one step.

    Of the labelled people (`PropagationSummary.labelled_people`), each is in one of `people`,
    `people_dropped`, `past_end` and `taken`. labels_in = labels_out + outside + inconsistent + elsewhere +
    with_person, of the first two; pixels_in = pixels_out + pixels_outside + pixels_inconsistent +
    pixels_unknown, of the first. Pixels are those of coarse masks, 256 x 256 a person.
    """

    frames: int = 0  # that got labels
    people: int = 0  # that got there
    people_dropped: int = 0  # with too few labels left
    people_left: int = 0  # of these, those most of whose labels left the frame
    past_end: int = 0  # people whose video has no such frame
    taken: int = 0  # people whose target frame has an annotator's labels, or theirs from a nearer frame
    hops: int = 0  # the most flows in a row that were needed
    labels_in: int = 0
    labels_out: int = 0
    outside: int = 0  # dropped: out of the frame, or of an annotator's box
    inconsistent: int = 0  # dropped by the forward-backward check
    elsewhere: int = 0  # dropped: what shows there comes from another place
    with_person: int = 0  # dropped with their person
    pixels_in: int = 0
    pixels_out: int = 0  # with a known label
    pixels_outside: int = 0  # ignored: they come from outside of the frame
    pixels_inconsistent: int = 0  # ignored: the check fails
    pixels_unknown: int = 0  # ignored: not known in the labelled frame either

    def __add__(self, other: StepCount) -> StepCount:
        total = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return StepCount(**{**total, "hops": max(self.hops, other.hops)})


def count_transfer(result: TransferResult) -> StepCount:
    """The count of one person who was moved, and got there or not."""
    statuses = np.bincount(result.status, minlength=len(PointStatus)).tolist()
    kept, outside, inconsistent, elsewhere = statuses  # as PointStatus has them
    count = StepCount(
        hops=result.hops, labels_in=len(result.status),
        outside=outside, inconsistent=inconsistent, elsewhere=elsewhere,
    )  # fmt: skip
    if result.person_1 is None:
        left = 2 * outside > len(result.status) - kept
        return replace(count, people_dropped=1, people_left=int(left), with_person=kept)
    count = replace(count, people=1, labels_out=kept)
    if result.person_1.coarse is None or result.mask_status is None:
        return count
    known, status = result.person_1.coarse != IGNORE, result.mask_status
    return replace(
        count, pixels_in=known.size, pixels_out=int(known.sum()),
        pixels_outside=int((status == PointStatus.OUTSIDE).sum()),
        pixels_inconsistent=int((status == PointStatus.INCONSISTENT).sum()),
        pixels_unknown=int((~known & (status == PointStatus.KEPT)).sum()),
    )  # fmt: skip


#: Tables of the text form: the columns of each, a field and its title, and the one that the others are shares
#: of; people are few enough for plain counts.
_TABLES: tuple[tuple[Mapping[str, str], str | None], ...] = (
    ({
        "hops": "hops", "frames": "frames", "people": "people", "people_dropped": "dropped",
        "people_left": "(left the picture)", "past_end": "past the end", "taken": "labelled already",
    }, None),
    ({
        "labels_in": "labels", "labels_out": "kept", "outside": "outside",
        "inconsistent": "inconsistent", "elsewhere": "elsewhere", "with_person": "with the person",
    }, "labels_in"),
    ({
        "pixels_in": "mask pixels", "pixels_out": "known", "pixels_outside": "outside",
        "pixels_inconsistent": "inconsistent", "pixels_unknown": "unknown before",
    }, "pixels_in"),
)  # fmt: skip


@dataclass(frozen=True)
class PropagationSummary:
    """What a propagation started from, and what it did by step."""

    labelled_frames: int
    labelled_people: int
    labels: int  # points in the labelled frames
    steps: tuple[tuple[int, StepCount], ...]  # by step, ascending

    @property
    def total(self) -> StepCount:
        """All steps together."""
        return sum((count for _, count in self.steps), StepCount())

    def table(self) -> str:
        """The counts as text: people, then labels, then mask pixels in percent, a line a step."""
        people = counted(self.labelled_people, "person", "people")
        frames = counted(self.labelled_frames, "labelled frame")
        counts = [*((f"{step:+d}", count) for step, count in self.steps), ("all", self.total)]
        blocks = [_block(columns, whole, counts) for columns, whole in _TABLES]
        labels = counted(self.labels, "label")
        return "\n\n".join(filter(None, [f"{labels} of {people} in {frames}", *blocks]))

    def as_json(self) -> dict[str, Any]:
        """{"labelled_frames": ..., "steps": {"-3": {"people": ...}, ...}, "all": {...}}."""
        steps = {f"{step:+d}": asdict(count) for step, count in self.steps}
        return {**vars(self), "steps": steps, "all": asdict(self.total)}


def _block(columns: Mapping[str, str], whole: str | None, counts: Sequence[tuple[str, StepCount]]) -> str:
    """One table; "" where there is nothing to take shares of. Shares stand in percent behind the whole."""
    if whole is not None and not getattr(counts[-1][1], whole):
        return ""
    rows = [("step", *columns.values())]
    for name, count in counts:
        of = None if whole is None else getattr(count, whole)
        cells = []
        for field in columns:
            value = getattr(count, field)
            if of is None or field == whole:
                cells.append(str(value))
            else:
                cells.append(f"{100 * value / of:.1f} %" if of else "-")
        rows.append((name, *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)
