"""A data set as a smaller effort of the annotators would have left it (Slim DensePose, 5.1 to 5.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from flow_cache.coco import AnnotationError
from slimdp.config import BudgetSettings, ConfigError
from slimdp.data.annotation_file import AnnotationSet
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation

T = TypeVar("T")


def apply_budget(annotations: AnnotationSet, budget: BudgetSettings) -> AnnotationSet:
    """Leave out labels as a budget says (Slim DensePose, 5.2, tables 3 and 4).

    A point that loses (u, v) goes, or with `parts: kept` stays with its part alone, uv NaN. Who is not
    labelled any more stays as a person, with box, track and, unless they are dropped, keypoints: these come
    from elsewhere. It depends on the ids of pictures and annotations and the order of a person's points,
    not on the order of the file.

    Raises AnnotationError where nobody is labelled in the videos and frames asked for, or there are no
    videos, or a share, or frames, are asked of propagated labels (take the budget first, then propagate what
    is left); ConfigError where its seed is None, which only the settings of a training run fill in.
    """
    if budget.seed is None:
        raise ConfigError("budget.seed is None, the seed of a training run, but there is none: give a number")
    _check_not_propagated(annotations, budget)
    people = annotations.people
    seen = _seen_images(annotations, budget)
    labelled = _labelled_images(people) & seen
    kept = seen if budget.images == 1 else (seen - labelled) | _draw_images(labelled, budget)
    eligible = [(p.source != LabelSource.KEYPOINT) & p.has_uv & (p.image.id in kept) for p in people]
    drawn = eligible if budget.points == 1 else _draw_points(people, eligible, budget)
    # What annotators do not see at all keeps nothing, whatever a share would leave.
    unseen = budget.replace(parts="dropped", masks="dropped")
    fewer = [
        _with_fewer(p, p.image.id in kept, keeps_uv, budget if p.image.id in seen else unseen)
        for p, keeps_uv in zip(people, drawn)
    ]
    stays = _labelled_images(fewer) | (kept - _labelled_images(people))
    images = {i.id: i if i.id in stays else replace(i, labelled=False) for i in annotations.images}
    placed = tuple(replace(person, image=images[person.image.id]) for person in fewer)
    return AnnotationSet(tuple(images.values()), placed, annotations.file)


def _seen_images(annotations: AnnotationSet, budget: BudgetSettings) -> set[int]:
    """Ids of the pictures in the videos and frames asked for; raises AnnotationError if none is labelled."""
    images = annotations.images
    seen, labelled = {image.id for image in images}, _labelled_images(annotations.people)
    chosen_frames = budget.videos is not None or budget.frames_per_video is not None or budget.frames
    name, fields = annotations.file or "annotations", "videos, frames_per_video or frames"
    if chosen_frames and all(image.video is None for image in images):
        stills = "no picture is known to be of a video (vid_id)"
        raise AnnotationError(f"{name}: {stills}, so that a budget of {fields} would leave all labels")
    if budget.videos is not None:
        names = {image.video for image in images if image.video is not None and image.id in labelled}
        chosen = {None, *_spread(sorted(names), budget.videos)}  # None: stills; videos without labels never
        seen &= {image.id for image in images if image.video in chosen}
    if budget.frames_per_video is not None:
        seen &= _spread_frames(images, labelled & seen, budget.frames_per_video)
    if budget.frames:  # a frame whose file name has no number is none of them
        numbers = range(budget.frames[0], budget.frames[1] + 1)
        seen &= {image.id for image in images if image.video is None or image.frame in numbers}
    if chosen_frames and not labelled & seen:
        nobody = "nobody is labelled in the videos and frames that"
        raise AnnotationError(f"{name}: {nobody} budget.{fields} leave")
    return seen


def _with_fewer(
    person: PersonAnnotation, stays: bool, keeps_uv: np.ndarray, budget: BudgetSettings
) -> PersonAnnotation:
    """A person's labels under a budget.

    `stays` is whether the picture keeps its labels, `keeps_uv` (N,) bool of the points that may lose (u, v).
    """
    of_keypoint = person.source == LabelSource.KEYPOINT
    loses_uv = person.has_uv & ~keeps_uv & ~of_keypoint
    if budget.parts == "kept":
        if loses_uv.any():
            person = replace(person, uv=np.where(loses_uv[:, None], np.float32(np.nan), person.uv))
    else:
        goes = loses_uv if stays else ~of_keypoint
        person, of_keypoint = person.with_points(~goes), of_keypoint[~goes]
    if not stays and not budget.keeps_masks:
        person = replace(person, coarse=None)
    if budget.keypoints != "kept":
        person = replace(person.with_points(~of_keypoint), keypoints=None)
    return person


def _labelled_images(people: Iterable[PersonAnnotation]) -> set[int]:
    return {person.image.id for person in people if person.has_labels}


def _check_not_propagated(annotations: AnnotationSet, budget: BudgetSettings) -> None:
    if budget.images == 1 and budget.points == 1 and not budget.frames and budget.frames_per_video is None:
        return
    for person in annotations.people:
        moved = (person.source == LabelSource.PROPAGATED).any()
        if moved or (person.was_carried and person.has_labels):
            raise AnnotationError(
                f"{annotations.file or 'annotations'}: annotation {person.id} of image {person.image.id}: "
                "its labels were propagated by flow, and a budget's shares and frames are of what annotators "
                "clicked: take the budget first, then propagate what it leaves"
            )


def _spread_frames(images: Iterable[ImageRecord], labelled: Container[int], count: int) -> set[int]:
    """Ids of at most `count` frames of each video, evenly spread over its labelled ones, and of stills."""
    by_video: dict[str, list[tuple[int, int]]] = {}
    kept = set()
    for image in images:
        if image.video is None:
            kept.add(image.id)
        elif image.id in labelled:
            by_video.setdefault(image.video, []).append((image.frame or 0, image.id))
    return kept.union(*([image for _, image in _spread(sorted(each), count)] for each in by_video.values()))


def _spread(row: Sequence[T], count: int) -> list[T]:
    """At most `count` different items of a row, each in the middle of its share: one is the middle one."""
    count = min(len(row), count)
    return [row[int((place + 0.5) * len(row) / count)] for place in range(count)]


# Shares are drawn by ids: the order of a file's entries does not matter. Every picture and every point has a
# rank, a number that follows from its ids and the seed alone; a share keeps those with the lowest ranks. So
# for one seed a smaller share is within a larger one, and always of the size that it says.


def _draw_images(ids: Iterable[int], budget: BudgetSettings) -> set[int]:
    """A share of images by their ids."""
    ordered = sorted(ids, key=lambda image: (*_ranks(f"image {budget.seed} {image}", 1), image))
    return set(ordered[: share_of(len(ordered), budget.images)])


def _draw_points(
    people: Sequence[PersonAnnotation], eligible: Sequence[np.ndarray], budget: BudgetSettings
) -> list[np.ndarray]:
    """A share of all eligible points of people, uniformly, not a share of each person's: (N,) bool each.

    A point is known by its picture's id, its person's and its own place in the person's list.
    """
    ranks = [_ranks(f"points {budget.seed} {p.image.id} {p.id}", len(p.points)) for p in people]
    drawn_from = np.concatenate([np.zeros(0, np.uint64), *(r[e] for r, e in zip(ranks, eligible))])
    count = share_of(len(drawn_from), budget.points)
    if count == 0:
        return [np.zeros_like(e) for e in eligible]
    highest = np.partition(drawn_from, count - 1)[count - 1]
    return [e & (r <= highest) for r, e in zip(ranks, eligible)]


def share_of(total: int, share: float) -> int:
    """A share of a number of things: the nearest whole number, halves up, and 1 at least unless it is 0."""
    return max(1, int(share * total + 0.5)) if share and total else 0


def _ranks(name: str, count: int) -> np.ndarray:
    """`count` numbers (count,) uint64, uniform and as good as different, that follow from a name alone."""
    return np.frombuffer(hashlib.shake_128(name.encode()).digest(8 * count), dtype="<u8")
