"""Keypoints as a batch tells of them: by name, in one order, and as labels of the body's surface.

Data sets name different keypoints (COCO 17, PoseTrack 15). A network has a heat map for each name of their
union; people of a set without a name do not know that keypoint, and their crops teach nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flow_cache.coco import AnnotationError
from slimdp.structures import PersonAnnotation

if TYPE_CHECKING:
    from slimdp.surface.body import BodySurface

HIDDEN, SEEN = 1, 2  # visibility of a labelled keypoint


@dataclass(frozen=True)
class KeypointAnchors:
    """The place of the body's surface that each of A keypoints marks (Slim DensePose, 5.2)."""

    names: tuple[str, ...]
    part: np.ndarray  # (A,) int64, 1..P
    uv: np.ndarray  # (A, 2) float32 in [0, 1]


def surface_anchors(surface: BodySurface, names: Sequence[str] | None = None) -> KeypointAnchors:
    """Anchors of keypoints; None: of all that the surface knows. Raises ValueError for a name it does not."""
    chosen = tuple(surface.keypoints if names is None else names)
    part, uv = surface.chart(*surface.anchors(chosen))
    return KeypointAnchors(chosen, part.astype(np.int64), uv)


def keypoint_union(people: Sequence[PersonAnnotation]) -> tuple[str, ...]:
    """All names of people's keypoints, in the order in which they first appear."""
    lists = dict.fromkeys(person.keypoint_names for person in people if person.keypoints is not None)
    return tuple(dict.fromkeys(name for names in lists for name in names))


def mirrored_order(names: Sequence[str]) -> np.ndarray:
    """For each of K names the position of its mirror image: (K,) int64, left_knee's at right_knee.

    Raises ValueError where the other side is missing: a mirrored crop would have no channel for it.
    """
    order = []
    for name in names:
        if (mirror := mirror_name(name)) not in names:
            raise ValueError(f"keypoint {name!r} without {mirror!r}; mirrored crops need both")
        order.append(list(names).index(mirror))
    return np.array(order, dtype=np.int64)


def mirror_name(name: str) -> str:
    """The name of a keypoint's mirror image: left_knee's is right_knee, nose's is nose."""
    side, _, rest = name.partition("_")
    other = {"left": "right_", "right": "left_"}.get(side)
    return name if other is None else other + rest


def arrange_keypoints(person: PersonAnnotation, names: Sequence[str]) -> np.ndarray:
    """A person's keypoints by name: (K, 3) float64 x, y image px, visibility, all 0 where unknown."""
    arranged = np.zeros((len(names), 3))
    if person.keypoints is not None:
        for to, name in enumerate(names):
            if name in person.keypoint_names:
                arranged[to] = person.keypoints[person.keypoint_names.index(name)]
    arranged[arranged[:, 2] == 0] = 0
    return arranged


def seen_from(people: Sequence[PersonAnnotation]) -> int:
    """The visibility from which on a keypoint of a data set is seen: 2, or 1 where none has 2.

    COCO tells hidden keypoints (1) from visible ones (2); PoseTrack gives 1 to every labelled one.
    """
    some = any((person.keypoints[:, 2] == SEEN).any() for person in people if person.keypoints is not None)
    return SEEN if some else HIDDEN


def check_names(people: Sequence[PersonAnnotation], names: Sequence[str], where: str) -> None:
    """Each name must be somebody's keypoint; raises AnnotationError with the names that there are."""
    known = keypoint_union(people)
    missing = [name for name in names if name not in known]
    if missing:
        there_are = ", ".join(known) or "none that its category names"
        raise AnnotationError(f"{where}: nobody has a keypoint {missing[0]!r}; there are: {there_are}")
