"""Moving the labels of one person along the flow to another frame, with the forward-backward check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flow_cache import forward_backward_offset_points, inside_frame
from slimdp.data.frame import frame_pixel_centres, sample_coarse
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation


class Fate(IntEnum):
    """What became of a label."""

    KEPT = 0
    OUTSIDE = 1  # left the frame, or the box that an annotator drew in it
    INCONSISTENT = (
        2  # the way back does not end where the way there began: hidden, a wrong flow, or none stored
    )


@dataclass(frozen=True)
class FlowPair:
    """The flow between two frames in both directions, (2, H, W) float32 px, x first."""

    flow_0to1: np.ndarray
    flow_1to0: np.ndarray

    def reverse(self) -> FlowPair:
        """The same two frames, seen from the other one."""
        return FlowPair(self.flow_1to0, self.flow_0to1)


def move_points(points_0: np.ndarray, pair: FlowPair, limit_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Move points (N, 2) x, y image px from frame 0 to frame 1.

    Returns:
        points_1 (N, 2) float64 image px, and the `Fate` of each (N,) int64: KEPT where the point stays in
        the frame and the way there and back is off by at most `limit_px` image px (Slim DensePose, 5.4).
    """
    height, width = pair.flow_0to1.shape[1:]
    points_1, offset_px = forward_backward_offset_points(points_0, pair.flow_0to1, pair.flow_1to0)
    fate = np.where(offset_px <= limit_px, Fate.KEPT, Fate.INCONSISTENT)
    known = np.isfinite(points_1).all(axis=1)
    inside = inside_frame(points_0, height, width) & inside_frame(points_1, height, width)
    fate[known & ~inside] = Fate.OUTSIDE
    return points_1, fate


def move_person(
    person_0: PersonAnnotation,
    pair: FlowPair,
    limit_px: float,
    step: int,
    image_1: ImageRecord,
    found_1: PersonAnnotation | None = None,
) -> tuple[PersonAnnotation | None, np.ndarray]:
    """The person with all labels moved to another frame.

    Args:
        person_0: in the frame that the flow starts from; keeps its id and track.
        pair: the flow to the other frame and back.
        limit_px: largest offset of a label that is kept, image px.
        step: frames from frame 0 to frame 1, noted with every label.
        image_1: the other frame.
        found_1: the same person in the other frame without points or masks: its id, box and keypoints are
            kept, and its box is not moved.

    Returns:
        The person in the other frame, None where nothing says where it went, and the `Fate` of the points
        of `person_0`, (N,).
    """
    points_1, fate = move_points(person_0.points, pair, limit_px)
    box_1 = found_1.box if found_1 is not None else _move_box(person_0, pair, limit_px, image_1)
    if box_1 is None:
        return None, fate
    in_box = ((points_1 >= box_1[:2]) & (points_1 <= box_1[:2] + box_1[2:])).all(axis=1)
    fate[(fate == Fate.KEPT) & ~in_box] = Fate.OUTSIDE
    kept = fate == Fate.KEPT
    look = found_1 if found_1 is not None and found_1.keypoints is not None else None
    moved = PersonAnnotation(
        id=person_0.id if found_1 is None else found_1.id,
        image=image_1,
        box=box_1,
        points=points_1[kept],
        part=person_0.part[kept],
        uv=person_0.uv[kept],
        source=np.full(kept.sum(), LabelSource.PROPAGATED, dtype=np.int64),
        step=np.full(kept.sum(), step, dtype=np.int64),
        track=person_0.track,
        coarse=None if person_0.coarse is None else _move_coarse(person_0, pair, limit_px, box_1),
        keypoints=look.keypoints if look else _move_keypoints(person_0.keypoints, pair, limit_px),
        keypoint_names=look.keypoint_names if look else person_0.keypoint_names,
        mask=found_1.mask if found_1 is not None else None,  # an outline is not moved
    )
    return moved, fate


def _move_box(
    person: PersonAnnotation, pair: FlowPair, limit_px: float, image_1: ImageRecord
) -> np.ndarray | None:
    """The box, each side moved as the labels' own extent on that side; (4,) xywh within the frame.

    Labels that fail the check count with the median motion of the others, so that a hidden arm does not
    shrink the box.
    """
    labels_0 = person.points
    if person.coarse is not None and (person.coarse > 0).any():
        labels_0 = np.concatenate([labels_0, frame_pixel_centres(person.box)[person.coarse > 0]])
    labels_1, fate = move_points(labels_0, pair, limit_px)
    kept = fate == Fate.KEPT
    if not kept.any():
        return None
    labels_1[~kept] = labels_0[~kept] + np.median((labels_1 - labels_0)[kept], axis=0)
    near_0, far_0 = person.box[:2], person.box[:2] + person.box[2:]
    near_1 = near_0 + labels_1.min(axis=0) - labels_0.min(axis=0)
    far_1 = far_0 + labels_1.max(axis=0) - labels_0.max(axis=0)
    limit = np.array([image_1.width, image_1.height])
    near_1, far_1 = near_1.clip(0, limit), far_1.clip(0, limit)
    # Less than a pixel of the person is left in the frame: nothing to see, and a box needs a size.
    return None if (far_1 - near_1 < 1).any() else np.concatenate([near_1, far_1 - near_1])


def _move_coarse(
    person_0: PersonAnnotation, pair: FlowPair, limit_px: float, box_1: np.ndarray
) -> np.ndarray:
    """The coarse mask over the new box: each of its pixels looks back along the flow; IGNORE where unsure."""
    assert person_0.coarse is not None
    centres_1 = frame_pixel_centres(box_1).reshape(-1, 2)
    centres_0, fate = move_points(centres_1, pair.reverse(), limit_px)
    kept = fate == Fate.KEPT
    label = np.full(len(centres_1), IGNORE, dtype=np.uint8)
    # What comes from outside the old box was not the person: the box held all of it.
    label[kept] = sample_coarse(person_0.coarse, person_0.box, centres_0[kept], outside=0)[0]
    return label.reshape(person_0.coarse.shape)


def _move_keypoints(keypoints_0: np.ndarray | None, pair: FlowPair, limit_px: float) -> np.ndarray | None:
    """Keypoints (K, 3) x, y, visibility; what was not seen or fails the check becomes 0, 0, 0."""
    if keypoints_0 is None:
        return None
    keypoints_1 = np.zeros_like(keypoints_0)
    seen = np.flatnonzero(keypoints_0[:, 2] > 0)
    points_1, fate = move_points(keypoints_0[seen, :2], pair, limit_px)
    kept = seen[fate == Fate.KEPT]
    keypoints_1[kept, :2] = points_1[fate == Fate.KEPT]
    keypoints_1[kept, 2] = keypoints_0[kept, 2]
    return keypoints_1
