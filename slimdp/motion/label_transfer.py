"""The labels of one person, moved along the flow to another frame: for files and training pairs alike.

The forward-backward check lets a label pass that is covered in frame 1 by something that moves nearly as it
does: an arm before the chest, another person, the wall that appears beside a thin limb. Where masks are known
this can be seen. What shows at the landing place is followed back along the flow, and must come from the
region of frame 0 that the label was put on; an outline that is known in frame 1 says it directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import model_validator
from typing_extensions import Self

from flow_cache import FlowChain, PointStatus, PropagatedPoints, propagate_points, threshold_in_image
from flow_cache.chain import trace_points
from slimdp.config import CropSettings
from slimdp.config.base import NotNegative, Positive, PositiveInt, Settings, Share, Wanted, require
from slimdp.data.box_frame import frame_pixel_centres, sample_coarse
from slimdp.data.crops import crop_side
from slimdp.motion.colour_check import Alike
from slimdp.motion.learned_check import JudgedPoints
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation

#: Directions of the eight places about a point, and the point itself.
_ABOUT = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], dtype=np.float64)
_ABOUT /= np.maximum(np.linalg.norm(_ABOUT, axis=1, keepdims=True), 1)
#: Moves points (N, 2) px, keeps those that are likely right, and says how likely.
Judge = Callable[[np.ndarray], JudgedPoints]
#: Moves points (N, 2) px, and says where to and which can be believed, (N,) bool.
Mover = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


# ---- the settings of a transfer


class RegionSettings(Settings):
    """How masks tell a label from what covers it."""

    # none: not at all; person: the same person; part: the same coarse part of that person.
    by: Literal["none", "person", "part"] = "part"
    tolerance_px: NotNegative = 0.5  # px of a 256 px crop, by which the way back may miss the region
    outlines: bool = True  # drop what lands beside the person's own outline in frame 1, or on somebody else's


_Factor = Annotated[
    float, Wanted("in 0..1, 0 left out", lambda x: 0 < x <= 1, {"exclusiveMinimum": 0, "maximum": 1})
]


class FallingConfidence(Settings):
    """Trust that falls with the distance and with what the forward-backward check measured.

        confidence = per_frame^|step| * per_hop^(hops - 1) * per_px^(sum over hops of the offset)

    The offset is how far the way there and back was off in a hop, in px of a 256 px crop of the person. It is
    multiplied by the confidence that the label had. Each factor is in (0, 1]; 1 switches it off.

    By default it is about the chance that the label is right. Of labels that DIS moved over 1 to 8 frames
    of rendered clips, those with an offset of 0 to 0.5 px were within 5 cm of the truth on the body for 96 to
    87 %, at 2 to 3 px for 43 to 25 %, at 4 to 5 px for 27 to 16 %; the most likely factors are 0.70 a px,
    0.999 a frame and 1 a hop, and for RAFT-small 0.78, 0.99 and 1 (docs/propagation.md).
    """

    per_frame: _Factor = 0.98  # for every frame between the labelled one and this one
    per_hop: _Factor = 0.98  # for every flow after the first
    per_px: _Factor = 0.72  # 5 px, the threshold of the paper, leave 0.19

    def of(self, offset_px: np.ndarray, step: int) -> np.ndarray:
        """The confidence (N,) float32 in (0, 1] of labels that passed the check, `step` frames from theirs.

        `offset_px` (hops, N) is that of the check in each hop, px of a 256 px crop.
        """
        distance = self.per_frame ** abs(step) * self.per_hop ** (len(offset_px) - 1)
        tiny = np.finfo(np.float32).tiny  # a label that passed counts, however little
        return np.maximum(distance * self.per_px ** offset_px.sum(axis=0), tiny).astype(np.float32)


class TransferSettings(Settings):
    """Which labels are kept on the way to another frame, and how much they are trusted there."""

    threshold_px: Positive = 5.0  # largest offset of the forward-backward check, px of a 256 px crop
    regions: RegionSettings = RegionSettings()
    confidence: FallingConfidence | None = None  # null: labels keep what they had
    # Frames that one flow may lead over; null: as many as the store has. What it lacks is made of several.
    longest_hop: PositiveInt | None = None
    # Of point labels, by the learned check in the place of the threshold; the probability that they are right
    # is also their confidence. null: the forward-backward check.
    least_probability: Share | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        ok = self.least_probability is None or self.confidence is None
        require(ok, "confidence", self.confidence, "left out beside least_probability, which gives one")
        return self


# ---- from frame to frame


@dataclass(frozen=True)
class LabelTransfer:
    """The way of a person's labels from frame 0 to frame 1, with all checks that they must pass.

    `slimdp propagate` and pairs of training crops move labels by this alone. Points are image px.
    """

    person_0: PersonAnnotation
    chain: FlowChain  # from frame 0 to frame 1, and back
    step: int  # frames from frame 0 to frame 1
    settings: TransferSettings
    crop: CropSettings = field(default_factory=CropSettings)  # its margin: for the crop of the thresholds
    others_0: Sequence[PersonAnnotation] = ()  # everybody else in frame 0
    people_1: Sequence[PersonAnnotation] = ()  # whom the file has in frame 1, the person maybe among them
    alike: Alike | None = None  # whether labels show the same colours where they land; None: not looked at
    judge: Judge | None = None  # takes the place of the forward-backward check of point labels

    @cached_property
    def limit_px(self) -> float:
        """The largest offset of the forward-backward check, image px."""
        return self._image_px(self.settings.threshold_px)

    def move(self, points_0: np.ndarray) -> PropagatedPoints:
        """Any points of frame 0 in frame 1, by the forward-backward check alone."""
        return propagate_points(points_0, self.chain, self.limit_px)

    def move_labels(self, points_0: np.ndarray) -> PropagatedPoints:
        """Point labels of the person in frame 1, by all checks."""
        moved = self.move(points_0) if self.judge is None else self.judge(points_0)
        regions = self.settings.regions
        if regions.by != "none" and len(points_0):
            returned_0 = trace_points(moved.points_1, self.chain.reverse())
            off_px = self._image_px(regions.tolerance_px)
            regions_0 = self.person_0, self.others_0, points_0, returned_0
            same = comes_from_its_region(*regions_0, regions.by, off_px)
            moved.status[moved.kept & ~same] = PointStatus.ELSEWHERE
        if regions.outlines:
            kept = np.flatnonzero(moved.kept)
            moved.status[kept[self._misses_outlines(moved.points_1[kept])]] = PointStatus.ELSEWHERE
        if self.alike is not None:
            kept = np.flatnonzero(moved.kept)
            alike = self.alike(points_0[kept], moved.points_1[kept])
            moved.status[kept[~alike]] = PointStatus.ELSEWHERE
        return moved

    def trust(self, moved: PropagatedPoints, before: np.ndarray | None) -> np.ndarray | None:
        """The confidence (N,) of labels that were kept, beside the one that they had; None: full."""
        if isinstance(moved, JudgedPoints):
            trust = moved.probability
        elif self.settings.confidence is None:
            return before
        else:
            trust = self.settings.confidence.of(moved.offset_px / self._image_px(1.0), self.step)
        return trust if before is None else trust * before

    def _misses_outlines(self, points_1: np.ndarray) -> np.ndarray:
        """Which points (N, 2) lie beside the person's own outline in frame 1, or on somebody else's; (N,)."""
        found_1 = same_person(self.person_0, self.people_1)
        if found_1 is not None and found_1.mask is not None:
            return ~at_pixels(found_1.mask, points_1)
        track = self.person_0.track
        others_1 = [p for p in self.people_1 if None not in (p.track, track) and p.track != track]
        return shows_somebody(others_1, points_1)

    def _image_px(self, length_px: float) -> float:
        return image_px(length_px, self.person_0, self.crop)


def image_px(length_px: float, person: PersonAnnotation, crop: CropSettings) -> float:
    """A length in px of a 256 px crop of a person, in px of the image."""
    return threshold_in_image(length_px, crop_side(person.box, crop)) if length_px else 0.0


def same_person(person_0: PersonAnnotation, people_1: Sequence[PersonAnnotation]) -> PersonAnnotation | None:
    """The same person, by the track, among those of another frame; None where labels are there already."""
    for person in people_1:
        if person.track is not None and person.track == person_0.track and not person.crowd:
            return None if person.has_labels else person
    return None


def move_keypoints(keypoints_0: np.ndarray, seen: np.ndarray, move: Mover) -> np.ndarray:
    """Keypoints (K, 3) x, y, visibility of frame 1; what was not `seen` (K,) or is lost is 0, 0, 0."""
    keypoints_1 = np.zeros_like(keypoints_0)
    chosen = np.flatnonzero(seen)
    if not len(chosen):
        return keypoints_1
    points_1, kept = move(keypoints_0[chosen, :2])
    keypoints_1[chosen[kept]] = np.column_stack([points_1, keypoints_0[chosen, 2]])[kept]
    return keypoints_1


def coarse_labels(
    points_0: np.ndarray, known: np.ndarray, read_0: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The coarse labels (N,) uint8 of pixels of frame 1 that come from points_0 (N, 2) of frame 0.

    IGNORE where that is not `known` (N,); `read_0` has the labels of frame 0 at places (M, 2).
    """
    label = np.full(len(points_0), IGNORE, dtype=np.uint8)
    label[known] = read_0(points_0[known])
    return label


# ---- a whole person, for an annotation file


@dataclass(frozen=True)
class TransferResult:
    """One person transferred from a labelled frame to another one."""

    person_0: PersonAnnotation  # N points
    image_1: ImageRecord
    step: int  # frames
    hops: int
    person_1: PersonAnnotation | None  # None where nothing says where the person went
    points_1: np.ndarray  # (N, 2) float64 x, y image px: where all labels went, dropped too; NaN: no flow
    status: np.ndarray  # (N,) int64, a PointStatus
    mask_status: np.ndarray | None = None  # (256, 256) uint8 of the pixels of the new coarse mask


def transfer_person(transfer: LabelTransfer, image_1: ImageRecord) -> TransferResult:
    """The person with all labels moved to another frame; keeps its id and track.

    Where the file has the person there without labels, that one's id, box, keypoints, outline and area are
    kept, and the box is not moved. `image_1` is the record of the frame.
    """
    person_0, step = transfer.person_0, transfer.step
    found_1 = same_person(person_0, transfer.people_1)
    moved = transfer.move_labels(person_0.points)
    points_1, status = moved.points_1, moved.status
    result = TransferResult(person_0, image_1, step, len(transfer.chain.pairs), None, points_1, status)
    box_1 = found_1.box if found_1 is not None else _move_box(transfer, image_1)
    if box_1 is None:
        return result
    in_box = ((points_1 >= box_1[:2]) & (points_1 <= box_1[:2] + box_1[2:])).all(axis=1)
    status[moved.kept & ~in_box] = PointStatus.OUTSIDE
    kept, trust = moved.kept, transfer.trust(moved, person_0.confidence)
    coarse, mask_status = (None, None) if person_0.coarse is None else _move_coarse(transfer, box_1)
    has_keypoints = found_1 if found_1 is not None and found_1.keypoints is not None else None
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
        coarse=coarse,
        mask=None if found_1 is None else found_1.mask,  # an outline is not moved
        keypoints=_keypoints(transfer) if has_keypoints is None else has_keypoints.keypoints,
        keypoint_names=(has_keypoints or person_0).keypoint_names,
        confidence=None if trust is None else trust[kept],
        layout=person_0.layout,
        propagated=True,
        area=None if found_1 is None else found_1.area,  # of the other frame, as box and outline
    )
    return replace(result, person_1=person_1, mask_status=mask_status)


def _move_box(transfer: LabelTransfer, image_1: ImageRecord) -> np.ndarray | None:
    """The box, each side moved as the labels' own extent on that side; (4,) xywh within the frame.

    Labels that fail the check count with the median motion of the others, so that a hidden arm does not
    shrink the box.
    """
    person, coarse, labels_0 = transfer.person_0, transfer.person_0.coarse, transfer.person_0.points
    if coarse is not None:
        labels_0 = np.concatenate([labels_0, frame_pixel_centres(person.box)[coarse > 0]])
    moved = transfer.move(labels_0)
    labels_1, kept = moved.points_1, moved.kept
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


def _move_coarse(transfer: LabelTransfer, box_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coarse mask over the new box, each of whose pixels looks back along the flow.

    (256, 256) uint8 labels, and (256, 256) uint8 the PointStatus of the way back.
    """
    coarse_0, box_0 = transfer.person_0.coarse, transfer.person_0.box
    assert coarse_0 is not None
    centres_1 = frame_pixel_centres(box_1).reshape(-1, 2)
    back = propagate_points(centres_1, transfer.chain.reverse(), transfer.limit_px)
    # What comes from outside the old box was not the person: the box held all of it.
    label = coarse_labels(
        back.points_1, back.kept, lambda at: sample_coarse(coarse_0, box_0, at, outside=0)[0]
    )
    return label.reshape(coarse_0.shape), back.status.astype(np.uint8).reshape(coarse_0.shape)


def _keypoints(transfer: LabelTransfer) -> np.ndarray | None:
    def move(points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = transfer.move(points_0)
        return moved.points_1, moved.kept

    keypoints_0 = transfer.person_0.keypoints
    return None if keypoints_0 is None else move_keypoints(keypoints_0, keypoints_0[:, 2] > 0, move)


# ---- what shows where a label lands


def comes_from_its_region(
    person_0: PersonAnnotation,
    others_0: Sequence[PersonAnnotation],
    points_0: np.ndarray,
    returned_0: np.ndarray,
    by: str,
    tolerance_px: float,
) -> np.ndarray:
    """Whether the way back of each label ends in the region that the label lies on.

    Without a coarse mask the outline tells the person from the rest; without either, what lies on somebody
    else's mask is wrong. Labels that lie on no region, or on an unknown one, are not judged, and neither is
    what comes back to an unknown one. The labels points_0 (N, 2), and where the way back of each ends in
    frame 0, returned_0 (N, 2), are x, y image px, NaN: no flow; `by` is `person` or `part`. (N,) bool.
    """
    region = region_at(person_0, others_0, points_0, by)
    about = returned_0[:, None] + tolerance_px * _ABOUT  # (N, 9, 2)
    known = np.isfinite(returned_0).all(axis=1)
    found = np.full(about.shape[:2], IGNORE, dtype=np.uint8)
    found[known] = region_at(person_0, others_0, about[known].reshape(-1, 2), by).reshape(-1, len(_ABOUT))
    same = ((found == region[:, None]) | (found == IGNORE)).any(axis=1)
    return same | (region == 0) | (region == IGNORE)


def region_at(
    person: PersonAnnotation, others: Sequence[PersonAnnotation], points: np.ndarray, by: str
) -> np.ndarray:
    """What the masks of a frame show at points (N, 2) px: (N,) uint8.

    A coarse part of the person, with `by` person 1 for any of them; 0: somebody else, or the background;
    IGNORE: not known.
    """
    if person.coarse is not None:
        label = sample_coarse(person.coarse, person.box, points, outside=0)[0]
    elif person.mask is not None:
        label = at_pixels(person.mask, points).astype(np.uint8)
    else:
        label = np.ones(len(points), dtype=np.uint8)
        label[shows_somebody(others, points)] = 0
    if by == "person":
        label[(label > 0) & (label != IGNORE)] = 1
    return label


def shows_somebody(people: Sequence[PersonAnnotation], points: np.ndarray) -> np.ndarray:
    """Which points (N, 2) px lie on the mask or the coarse parts of one of these people; (N,) bool."""
    found = np.zeros(len(points), dtype=bool)
    for person in people:
        if person.coarse is not None:
            label = sample_coarse(person.coarse, person.box, points, outside=0)[0]
            found |= (label > 0) & (label != IGNORE)
        elif person.mask is not None:
            found |= at_pixels(person.mask, points)
    return found


def at_pixels(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A mask (H, W) bool read at points (N, 2) x, y px, nearest pixel; (N,), False outside."""
    column, row = np.floor(points + 0.5).astype(np.int64).T
    height, width = mask.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = np.zeros(len(points), dtype=bool)
    found[inside] = mask[row[inside], column[inside]]
    return found
