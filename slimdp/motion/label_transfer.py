"""Everything that is known of one person, moved along the flow to another frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flow_cache import threshold_in_image
from slimdp.config import ConfigError, CropSettings
from slimdp.data.box_frame import frame_pixel_centres, sample_coarse
from slimdp.data.crops import crop_side
from slimdp.motion.confidence import FallingConfidence
from slimdp.motion.point_transfer import (
    FlowChain,
    Mover,
    PointStatus,
    PropagatedPoints,
    mover,
    propagate_points,
    trace_points,
)
from slimdp.motion.regions import RegionSettings, at_pixels, comes_from_its_region, shows_somebody
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation


@dataclass(frozen=True)
class TransferSettings:
    """Which labels are kept on the way, and how much they are trusted."""

    threshold_px: float = (
        5.0  # largest offset of the forward-backward check, px of a 256 px crop of the person
    )
    crop: CropSettings = field(default_factory=CropSettings)  # its margin: for the crop of the threshold
    regions: RegionSettings = field(default_factory=RegionSettings)
    confidence: FallingConfidence | None = None  # None: labels keep what they had
    min_points: int = 5  # with fewer left a person is dropped

    def __post_init__(self) -> None:
        for name in ("threshold_px", "min_points"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)} of a propagation, but it must be positive")

    def in_image(self, person: PersonAnnotation, length_px: float) -> float:
        """A length in px of a 256 px crop of a person, in px of the image."""
        return threshold_in_image(length_px, crop_side(person.box, self.crop)) if length_px else 0.0


@dataclass(frozen=True)
class TransferResult:
    """One person carried from a labelled frame to another one."""

    person_0: PersonAnnotation  # N points
    image_1: ImageRecord
    step: int  # frames
    hops: int
    person_1: PersonAnnotation | None  # None where nothing says where the person went
    points_1: (
        np.ndarray
    )  # (N, 2) float64 x, y image px: where all labels went, dropped ones too; NaN: no flow
    status: np.ndarray  # (N,) int64, a PointStatus
    mask_status: np.ndarray | None = None  # (256, 256) uint8 of the pixels of the new coarse mask


def transfer_person(
    person_0: PersonAnnotation,
    chain: FlowChain,
    step: int,
    image_1: ImageRecord,
    settings: TransferSettings,
    found_1: PersonAnnotation | None = None,
    others_0: Sequence[PersonAnnotation] = (),
    others_1: Sequence[PersonAnnotation] = (),
) -> TransferResult:
    """The person with all labels moved to another frame.

    Args:
        person_0: in the frame that the flow starts from; keeps its id and track.
        chain: the flows to the other frame and back.
        step: frames from frame 0 to frame 1, noted with every label.
        image_1: the other frame.
        settings: what is kept.
        found_1: the same person in the other frame without points or coarse masks: its id, box, keypoints and
            outline are kept, and its box is not moved.
        others_0: everybody else in frame 0, by whose masks a label is told from those of its neighbours.
        others_1: everybody else who was in frame 1 before; a label that lands on an outline is dropped.
    """
    limit_px = settings.in_image(person_0, settings.threshold_px)
    carried = propagate_points(person_0.points, chain, limit_px)
    points_1, status = carried.points_1, carried.status
    _drop_what_is_elsewhere(person_0, chain, settings, carried, others_0)
    _drop_what_misses_outlines(carried, found_1, others_1)
    move = mover(chain, limit_px)
    box_1 = found_1.box if found_1 is not None else _move_box(person_0, move, image_1)
    if box_1 is None:
        return TransferResult(person_0, image_1, step, len(chain.pairs), None, points_1, status)
    in_box = ((points_1 >= box_1[:2]) & (points_1 <= box_1[:2] + box_1[2:])).all(axis=1)
    status[(status == PointStatus.KEPT) & ~in_box] = PointStatus.OUTSIDE
    kept = status == PointStatus.KEPT
    person_1 = PersonAnnotation(
        id=person_0.id if found_1 is None else found_1.id,
        image=image_1,
        box=box_1,
        points=points_1[kept],
        part=person_0.part[kept],
        uv=person_0.uv[kept],
        source=np.full(kept.sum(), LabelSource.PROPAGATED, dtype=np.int64),
        step=np.full(kept.sum(), step, dtype=np.int64),
        track=person_0.track,
        keypoints=_move_keypoints(person_0.keypoints, move),
        keypoint_names=person_0.keypoint_names,
        confidence=_confidence(person_0, carried.offset_px, kept, step, settings),
    )
    mask_status = None
    if person_0.coarse is not None:
        coarse, mask_status = _move_coarse(person_0, mover(chain.reverse(), limit_px), box_1)
        person_1 = replace(person_1, coarse=coarse)
    if found_1 is not None:
        person_1 = _as_found(person_1, found_1)
    return TransferResult(person_0, image_1, step, len(chain.pairs), person_1, points_1, status, mask_status)


def _as_found(person_1: PersonAnnotation, found_1: PersonAnnotation) -> PersonAnnotation:
    """A moved person with what the file knows of them in the other frame; an outline is not moved."""
    person_1 = replace(person_1, mask=found_1.mask)
    if found_1.keypoints is None:
        return person_1
    return replace(person_1, keypoints=found_1.keypoints, keypoint_names=found_1.keypoint_names)


def _drop_what_is_elsewhere(
    person_0: PersonAnnotation,
    chain: FlowChain,
    settings: TransferSettings,
    carried: PropagatedPoints,
    others_0: Sequence[PersonAnnotation],
) -> None:
    """Change the status of labels at whose place something else shows, as the masks of frame 0 say."""
    regions = settings.regions
    if regions.by == "none" or not len(carried.status):
        return
    returned_0 = trace_points(carried.points_1, chain.reverse())
    tolerance_px = settings.in_image(person_0, regions.tolerance_px)
    same = comes_from_its_region(person_0, others_0, returned_0, regions.by, tolerance_px)
    carried.status[(carried.status == PointStatus.KEPT) & ~same] = PointStatus.ELSEWHERE


def _drop_what_misses_outlines(
    carried: PropagatedPoints, found_1: PersonAnnotation | None, others_1: Sequence[PersonAnnotation]
) -> None:
    """Change the status of labels that land beside the person's own outline in frame 1, or on another one."""
    kept = np.flatnonzero(carried.status == PointStatus.KEPT)
    points_1 = carried.points_1[kept]
    if found_1 is not None and found_1.mask is not None:
        elsewhere = ~at_pixels(found_1.mask, points_1)
    else:
        elsewhere = shows_somebody(others_1, points_1)
    carried.status[kept[elsewhere]] = PointStatus.ELSEWHERE


def _confidence(
    person_0: PersonAnnotation,
    offset_px: np.ndarray,
    kept: np.ndarray,
    step: int,
    settings: TransferSettings,
) -> np.ndarray | None:
    """Of the kept labels; None: full."""
    before = None if person_0.confidence is None else person_0.confidence[kept]
    if settings.confidence is None:
        return before
    trust = settings.confidence.of(offset_px[:, kept] / settings.in_image(person_0, 1.0), step)
    return trust if before is None else trust * before


def _move_box(person: PersonAnnotation, move: Mover, image_1: ImageRecord) -> np.ndarray | None:
    """The box, each side moved as the labels' own extent on that side; (4,) xywh within the frame.

    Labels that fail the check count with the median motion of the others, so that a hidden arm does not
    shrink the box.
    """
    labels_0 = person.points
    if person.coarse is not None and (person.coarse > 0).any():
        labels_0 = np.concatenate([labels_0, frame_pixel_centres(person.box)[person.coarse > 0]])
    labels_1, status = move(labels_0)
    kept = status == PointStatus.KEPT
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
    person_0: PersonAnnotation, move_back: Mover, box_1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The coarse mask over the new box: each of its pixels looks back along the flow; IGNORE where unsure.

    Returns:
        (256, 256) uint8 labels, and (256, 256) uint8 the PointStatus of the way back.
    """
    assert person_0.coarse is not None
    centres_1 = frame_pixel_centres(box_1).reshape(-1, 2)
    centres_0, status = move_back(centres_1)
    kept = status == PointStatus.KEPT
    label = np.full(len(centres_1), IGNORE, dtype=np.uint8)
    # What comes from outside the old box was not the person: the box held all of it.
    label[kept] = sample_coarse(person_0.coarse, person_0.box, centres_0[kept], outside=0)[0]
    shape = person_0.coarse.shape
    return label.reshape(shape), status.astype(np.uint8).reshape(shape)


def _move_keypoints(keypoints_0: np.ndarray | None, move: Mover) -> np.ndarray | None:
    """Keypoints (K, 3) x, y, visibility; what was not seen or fails the check becomes 0, 0, 0."""
    if keypoints_0 is None:
        return None
    keypoints_1 = np.zeros_like(keypoints_0)
    seen = np.flatnonzero(keypoints_0[:, 2] > 0)
    points_1, status = move(keypoints_0[seen, :2])
    kept = seen[status == PointStatus.KEPT]
    keypoints_1[kept, :2] = points_1[status == PointStatus.KEPT]
    keypoints_1[kept, 2] = keypoints_0[kept, 2]
    return keypoints_1
