"""Point labels along optical flow, and what each of them must pass.

The forward-backward check lets a label pass that is covered in frame 1 by something that moves nearly as it
does: an arm before the chest, another person, the wall that appears beside a thin limb. Where masks are known
this can be seen. What shows at the landing place is followed back along the flow, and must come from the
region of frame 0 that the label was put on; an outline that is known in frame 1 says it directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Literal

import numpy as np

from flow_cache import FlowChain, FlowPair, forward_backward_offset_points, inside_frame, sample_flow
from slimdp.config.base import NotNegative, Positive, PositiveInt, Settings, Wanted
from slimdp.data.box_frame import sample_coarse
from slimdp.structures import IGNORE, PersonAnnotation

#: Directions of the eight places about a point, and the point itself.
_ABOUT = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], dtype=np.float64)
_ABOUT /= np.maximum(np.linalg.norm(_ABOUT, axis=1, keepdims=True), 1)


class PointStatus(IntEnum):
    """What became of a label."""

    KEPT = 0
    OUTSIDE = 1  # left the frame, or the box that an annotator drew in it
    INCONSISTENT = 2  # the way back does not end where the way there began: hidden, a wrong flow, none stored
    ELSEWHERE = 3  # what is seen where it lands is another person, another part, or the background


@dataclass(frozen=True)
class PropagatedPoints:
    """Where N points of frame 0 have got to in frame 1."""

    points_1: np.ndarray  # (N, 2) float64 x, y image px; of a dropped point, where it would be; NaN: no flow
    status: np.ndarray  # (N,) int64, a PointStatus
    offset_px: np.ndarray  # (hops, N) float64: of the check in each hop; infinite from where a point was lost

    @property
    def kept(self) -> np.ndarray:
        """(N,) bool."""
        return self.status == PointStatus.KEPT  # type: ignore[no-any-return]


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

    By default it is about the chance that the label is right. Of labels that DIS carried over 1 to 8 frames
    of rendered clips, those with an offset of 0 to 0.5 px were within 5 cm of the truth on the body for 96 to
    87 %, at 2 to 3 px for 43 to 25 %, at 4 to 5 px for 27 to 16 %; the most likely factors are 0.70 a px,
    0.999 a frame and 1 a hop, and for RAFT-small 0.78, 0.99 and 1 (docs/propagation.md).
    """

    per_frame: _Factor = 0.98  # for every frame between the labelled one and this one
    per_hop: _Factor = 0.98  # for every flow after the first
    per_px: _Factor = 0.72  # 5 px, the threshold of the paper, leave 0.19

    def of(self, offset_px: np.ndarray, step: int) -> np.ndarray:
        """The confidence of labels that passed the check.

        Args:
            offset_px: (hops, N) of the check in each hop, px of a 256 px crop.
            step: frames from the labelled one.

        Returns:
            (N,) float32 in (0, 1].
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


# ---- along the flow


def propagate_points(points_0: np.ndarray, chain: FlowChain, limit_px: float) -> PropagatedPoints:
    """Move points (N, 2) x, y image px along several flows; each hop has its own forward-backward check.

    A point is KEPT where it stays in the frame, and the way there and back is off by at most `limit_px` image
    px in every hop (Slim DensePose, 5.4). What a hop drops is gone, with the status that it met there; it
    goes on without the check, to say where it would have been.
    """
    here = np.array(points_0, dtype=np.float64).reshape(-1, 2) - chain.origin
    status = np.full(len(here), PointStatus.KEPT, dtype=np.int64)
    offset_px = np.full((len(chain.pairs), len(here)), np.inf)
    for hop, pair in enumerate(chain.pairs):
        known = np.isfinite(here).all(axis=1)
        here[known], status_here, offset_here_px = _move(here[known], pair, limit_px)
        kept = status[known] == PointStatus.KEPT
        offset_px[hop, known] = np.where(kept, offset_here_px, np.inf)
        status[known] = np.where(kept, status_here, status[known])
    return PropagatedPoints(here + chain.origin, status, offset_px)


def trace_points(points_0: np.ndarray, chain: FlowChain) -> np.ndarray:
    """Move points (N, 2) x, y image px along several flows unchecked; NaN where a flow is not known."""
    here = np.array(points_0, dtype=np.float64).reshape(-1, 2) - chain.origin
    for pair in chain.pairs:
        known = np.isfinite(here).all(axis=1)
        here[known] += sample_flow(pair.flow_0to1, here[known])
    return here + chain.origin  # type: ignore[no-any-return]


def _move(points_0: np.ndarray, pair: FlowPair, limit_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, 2), status and offset (N,) px of the check, over one flow."""
    height, width = pair.flow_0to1.shape[1:]
    points_1, offset_px = forward_backward_offset_points(points_0, pair.flow_0to1, pair.flow_1to0)
    status = np.where(offset_px <= limit_px, PointStatus.KEPT, PointStatus.INCONSISTENT)
    known = np.isfinite(points_1).all(axis=1)
    inside = inside_frame(points_0, height, width) & inside_frame(points_1, height, width)
    status[known & ~inside] = PointStatus.OUTSIDE
    return points_1, status, offset_px


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
    what comes back to an unknown one.

    Args:
        person_0: the labels' person.
        others_0: everybody else in that frame.
        points_0: (N, 2) x, y image px, the labels.
        returned_0: (N, 2) x, y image px of frame 0, where the way back of each label ends; NaN: no flow.
        by: `person` or `part`.
        tolerance_px: image px.

    Returns:
        (N,) bool.
    """
    if not len(returned_0):
        return np.ones(0, dtype=bool)
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
