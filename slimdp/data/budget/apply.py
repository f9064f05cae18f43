"""A data set as a smaller effort of the annotators would have left it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from slimdp.config import BudgetSettings, ConfigError
from slimdp.config.budget import DROPPED, KEPT
from slimdp.data.annotation_file import AnnotationSet
from slimdp.data.budget.frames import between, spread_frames, spread_videos
from slimdp.data.budget.shares import draw_images, draw_points
from slimdp.data.json_record import AnnotationError
from slimdp.structures import LabelSource, PersonAnnotation


def apply_budget(annotations: AnnotationSet, budget: BudgetSettings) -> AnnotationSet:
    """Leave out labels as a budget says (Slim DensePose, 5.2, tables 3 and 4).

    A point that loses (u, v) goes, or with `parts: kept` stays with its part alone, uv NaN. Who is not
    labelled any more stays as a person, with box, track and, unless they are dropped, keypoints: these come
    from elsewhere. It depends on the ids of pictures and annotations and the order of a person's points,
    not on the order of the file.

    Raises:
        AnnotationError: nobody is labelled in the videos and frames asked for, or there are no videos, or
            a share, or frames, are asked of labels that flow has carried (take the budget first, then carry
            what is left).
        ConfigError: its seed is None, which only the settings of a training run fill in.
    """
    if budget.seed is None:
        raise ConfigError("budget.seed is None, the seed of a training run, but there is none: give a number")
    _check_not_carried(annotations, budget)
    people = annotations.people
    seen = _seen_images(annotations, budget)
    labelled = _labelled_images(people) & seen
    chosen = labelled if budget.images == 1 else draw_images(sorted(labelled), budget.images, budget.seed)
    kept = (seen - labelled) | chosen
    clicked = [person.source != LabelSource.KEYPOINT for person in people]
    eligible = [c & p.has_uv & (p.image.id in kept) for p, c in zip(people, clicked)]
    drawn = eligible if budget.points == 1 else draw_points(people, eligible, budget.points, budget.seed)
    # What annotators do not see at all keeps nothing, whatever a share would leave.
    unseen = budget.replace(parts=DROPPED, masks=DROPPED)
    fewer = [
        _with_fewer(p, p.image.id in kept, keeps_uv, budget if p.image.id in seen else unseen)
        for p, keeps_uv in zip(people, drawn)
    ]
    before, after = _labelled_images(people), _labelled_images(fewer)
    images = {
        image.id: image
        if image.id in after or (image.id in kept and image.id not in before)
        else replace(image, labelled=False)
        for image in annotations.images
    }
    placed = tuple(replace(person, image=images[person.image.id]) for person in fewer)
    return AnnotationSet(tuple(images.values()), placed, annotations.file)


def _seen_images(annotations: AnnotationSet, budget: BudgetSettings) -> set[int]:
    """Ids of the pictures in the videos and frames asked for; raises AnnotationError if none is labelled."""
    images = annotations.images
    seen = {image.id for image in images}
    labelled = _labelled_images(annotations.people)
    chosen_frames = budget.videos is not None or budget.frames_per_video is not None or budget.frames
    if chosen_frames and all(image.video is None for image in images):
        raise AnnotationError(
            f"{annotations.file or 'annotations'}: no picture is known to be of a video (vid_id), so that a "
            "budget of videos, frames_per_video or frames would leave all labels"
        )
    if budget.videos is not None:
        seen &= spread_videos(images, labelled, budget.videos)
    if budget.frames_per_video is not None:
        seen &= spread_frames(images, labelled & seen, budget.frames_per_video)
    if budget.frames:
        seen &= between(images, *budget.frames)
    if chosen_frames and not labelled & seen:
        raise AnnotationError(
            f"{annotations.file or 'annotations'}: nobody is labelled in the videos and frames that "
            "budget.videos, frames_per_video or frames leave"
        )
    return seen


def _with_fewer(
    person: PersonAnnotation, stays: bool, keeps_uv: np.ndarray, budget: BudgetSettings
) -> PersonAnnotation:
    """A person's labels under a budget.

    Args:
        person: with N points.
        stays: whether the picture keeps its labels.
        keeps_uv: (N,) bool, of the points that may lose (u, v).
        budget: what else stays.
    """
    of_keypoint = person.source == LabelSource.KEYPOINT
    loses_uv = person.has_uv & ~keeps_uv & ~of_keypoint
    if budget.parts == KEPT:
        if loses_uv.any():
            person = replace(person, uv=np.where(loses_uv[:, None], np.float32(np.nan), person.uv))
    else:
        goes = loses_uv if stays else ~of_keypoint
        person, of_keypoint = person.with_points(~goes), of_keypoint[~goes]
    if not stays and not budget.keeps_masks:
        person = replace(person, coarse=None)
    if budget.keypoints != KEPT:
        person = replace(person.with_points(~of_keypoint), keypoints=None)
    return person


def _labelled_images(people: tuple[PersonAnnotation, ...] | list[PersonAnnotation]) -> set[int]:
    return {person.image.id for person in people if person.has_labels}


def _check_not_carried(annotations: AnnotationSet, budget: BudgetSettings) -> None:
    if budget.images == 1 and budget.points == 1 and not budget.frames and budget.frames_per_video is None:
        return
    for person in annotations.people:
        if (person.source == LabelSource.PROPAGATED).any():
            raise AnnotationError(
                f"{annotations.file or 'annotations'}: annotation {person.id} of image {person.image.id}: "
                "its labels were carried by flow, and a budget's shares and frames are of what annotators "
                "clicked: take the budget first, then propagate what it leaves"
            )
