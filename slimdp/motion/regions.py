"""What shows where a label lands: the same region of the same person as where it came from?

The forward-backward check lets a label pass that is covered in frame 1 by something that moves nearly as it
does: an arm before the chest, another person, the wall that appears beside a thin limb. Where the person's
coarse mask is known in frame 0 this can be seen: what shows at the landing place is followed back along the
flow, and must come from the region that the label was put on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.config import ConfigError
from slimdp.data.box_frame import sample_coarse
from slimdp.structures import IGNORE, PersonAnnotation

#: Directions of the eight places about a point, and the point itself.
_ABOUT = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], dtype=np.float64)
_ABOUT /= np.maximum(np.linalg.norm(_ABOUT, axis=1, keepdims=True), 1)
#: What the check can go by.
REGIONS = ("none", "person", "part")


@dataclass(frozen=True)
class RegionSettings:
    """How the way back is compared with the masks of frame 0."""

    by: str = "part"  # none: not at all; person: the same person; part: the same coarse part of that person
    tolerance_px: float = 0.5  # px of a 256 px crop, by which the way back may miss the region

    def __post_init__(self) -> None:
        if self.by not in REGIONS:
            raise ConfigError(f"regions.by = {self.by!r}, but it must be one of {', '.join(REGIONS)}")
        if not self.tolerance_px >= 0:
            raise ConfigError(f"regions.tolerance_px = {self.tolerance_px}, but it must be 0 or more")


def comes_from_its_region(
    person_0: PersonAnnotation,
    others_0: Sequence[PersonAnnotation],
    returned_0: np.ndarray,
    by: str,
    tolerance_px: float,
) -> np.ndarray:
    """Whether the way back of each label ends in the region that the label lies on.

    Without a coarse mask the outline tells the person from the rest; without either, what lies on somebody
    else's mask is wrong. Labels that lie on no region, or on an unknown one, are not judged, and neither is
    what comes back to an unknown one.

    Args:
        person_0: the labels' person, N points.
        others_0: everybody else in that frame.
        returned_0: (N, 2) x, y image px of frame 0, where the way back of each label ends; NaN: no flow.
        by: `person` or `part`.
        tolerance_px: image px.

    Returns:
        (N,) bool.
    """
    if not len(returned_0):
        return np.ones(0, dtype=bool)
    region = region_at(person_0, others_0, person_0.points, by)
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
