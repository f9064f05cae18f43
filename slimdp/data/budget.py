"""Annotation budgets: what a smaller effort of the annotators would have left (Slim DensePose, 5.1 to 5.3).

A budget makes an annotation set from another one. Who is not labelled any more stays as a person: the box,
track and keypoints come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np

from slimdp.data.coco import AnnotationSet
from slimdp.data.validate import AnnotationError
from slimdp.structures import PersonAnnotation


def keep_frames(annotations: AnnotationSet, frames: Container[int]) -> AnnotationSet:
    """Labels in the frames of videos with these numbers alone; stills keep theirs.

    A frame whose file name has no number is none of them.

    Raises:
        AnnotationError: no label is left.
    """
    kept = {
        image.id
        for image in annotations.images
        if image.video is None or (image.frame is not None and image.frame in frames)
    }
    return _labelled_in(annotations, kept, "in these frames")


def keep_frames_per_video(annotations: AnnotationSet, count: int) -> AnnotationSet:
    """Labels in at most so many frames of each video, evenly spread over those that have some.

    One frame is the middle one of them. Stills keep their labels. It does not depend on chance.

    Raises:
        AnnotationError: no label is left.
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"{count} labelled frames a video, but 1 or more are wanted")
    labelled = {person.image.id for person in annotations.people if person.has_labels}
    by_video: dict[str, list[tuple[int, int]]] = {}
    kept = set()
    for image in annotations.images:
        if image.video is None:
            kept.add(image.id)
        elif image.id in labelled:
            by_video.setdefault(image.video, []).append((image.frame or 0, image.id))
    for frames in by_video.values():
        ordered = sorted(frames)
        kept.update(ordered[place][1] for place in _spread(len(ordered), count))
    return _labelled_in(annotations, kept, f"in {count} frames of each video")


def keep_videos(annotations: AnnotationSet, count: int) -> AnnotationSet:
    """Labels in at most so many videos, evenly spread over their sorted names; stills keep theirs.

    Raises:
        AnnotationError: no label is left.
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"{count} labelled videos, but 1 or more are wanted")
    videos = sorted({image.video for image in annotations.images if image.video is not None})
    chosen = {videos[place] for place in _spread(len(videos), count)}
    kept = {image.id for image in annotations.images if image.video is None or image.video in chosen}
    return _labelled_in(annotations, kept, f"in these {len(chosen)} videos")


def _spread(size: int, count: int) -> list[int]:
    """At most `count` different places in a row of `size`, each in the middle of its share."""
    count = min(size, count)
    return [int((place + 0.5) * size / count) for place in range(count)]


def _labelled_in(annotations: AnnotationSet, kept: Container[int], where: str) -> AnnotationSet:
    """The set with labels in the images of some ids alone."""
    images = {
        image.id: image if image.id in kept else replace(image, labelled=False)
        for image in annotations.images
    }
    people = tuple(
        replace(person if person.image.id in kept else _without_labels(person), image=images[person.image.id])
        for person in annotations.people
    )
    if not any(person.has_labels for person in people):
        raise AnnotationError(f"{annotations.file or 'annotations'}: nobody is labelled {where}")
    return AnnotationSet(tuple(images.values()), people, annotations.file)


def _without_labels(person: PersonAnnotation) -> PersonAnnotation:
    none = np.zeros(0, dtype=np.int64)
    return replace(
        person,
        points=np.zeros((0, 2)),
        part=none,
        uv=np.zeros((0, 2), dtype=np.float32),
        source=none,
        step=none,
        coarse=None,
        confidence=None,
    )
