"""One person without a detector: a frame's box is drawn around the network's outline in the one before."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from slimdp.geometry import (
    apply_affine,
    box_edges,
    box_overlaps,
    box_within,
    crop_from_map,
    invert_affine,
)
from slimdp.inference.decoding import person_log_odds
from slimdp.inference.video_records import Boxes, FrameMaps, PersonMaps, TrackedPerson, VideoFrame

#: Less of the crop than this is no outline of a person.
_LEAST_AREA = 0.01
#: Room at each side of the outline, as a share of its longer side: half a map pixel, and motion.
_ROOM = 0.05
#: How much farther a box reaches where the outline meets the border of the crop, and where it is lost.
_REACH, _SEARCH = 0.25, 1.3
#: Share of the way that a box shrinks in a frame; it grows at once, for who reaches out must be seen.
_SHRINK = 0.3
#: Who has been found is looked at again in the outline's box, in the same frame, until two boxes in turn
#: overlap by so much of their union, so many times at most: a crop of the whole frame shows little.
_STILL, _LOOKS = 0.85, 6


class OutlineTracker:
    """Follows one person by the network's own outline; where that is lost, the box grows up to the frame.

    In the frame where a search ends, and in the first one, the network looks again until its outline stands
    still.
    """

    observes = True

    def __init__(self) -> None:
        self._box: np.ndarray | None = None  # x, y, width, height px
        self._size = (1, 1)  # of the frame, px
        self._searching = True
        self._looks = 0  # at this frame, in boxes of its own outline

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        return {"tracker": "outline", "looks": _LOOKS}

    def due(self, frame: VideoFrame) -> bool:
        """In the first frame alone, for the box to begin with."""
        return self._box is None

    def update(self, frame: VideoFrame, found: Boxes | None) -> list[TrackedPerson]:
        """The person, number 1; nobody until a detector gave a box, the best of which is taken.

        A later one moves the box: of several that which lies nearest.
        """
        height, width = frame.image.shape[:2]
        self._size = width, height
        if found is not None and len(found):
            best = int(found.score.argmax()) if self._box is None else _nearest(found.xywh, self._box)
            self._box = found.xywh[best]
        return [] if self._box is None else [TrackedPerson(1, self._box, 1.0)]

    def observe(self, pose: FrameMaps) -> bool:
        """Draw the box around the outline of the person, or search for them; whether to look again."""
        for person in pose.people:
            outline = outline_box(person)
            edges = box_edges(person.person.box)
            if outline is None:
                middle, half = (edges[:2] + edges[2:]) / 2, (edges[2:] - edges[:2]) / 2 * _SEARCH
                self._box = self._within_frame(np.concatenate([middle - half, middle + half]))
                self._searching = True
            elif self._searching:
                return self._found(person.person.box, box_edges(outline))
            else:
                self._box = self._within_frame(_towards(edges, box_edges(outline)))
        self._looks = 0
        return False

    def state(self) -> dict[str, Any]:
        """The box, and whether the person is in it."""
        return {"box": None if self._box is None else self._box.tolist(), "searching": self._searching}

    def restore(self, state: dict[str, Any], last: VideoFrame) -> None:
        """Go on from a `state`."""
        self._box = None if state["box"] is None else np.array(state["box"])
        self._searching = state["searching"]

    def _found(self, before: np.ndarray, outline: np.ndarray) -> bool:
        """Take the box of an outline in an earlier one; whether it is worth a look of its own."""
        self._box = self._within_frame(outline)
        still = box_overlaps(before[None], self._box[None])[0, 0] >= _STILL
        self._searching = not still and self._looks < _LOOKS
        self._looks = self._looks + 1 if self._searching else 0
        return self._searching

    def _within_frame(self, edges: np.ndarray) -> np.ndarray:
        return box_within(edges, *self._size)


def outline_box(person: PersonMaps) -> np.ndarray | None:
    """The box (4,) xywh image px, with some room, of the largest region where the network sees the person.

    Where the region meets the border of the crop, the box reaches out of it. None without a region.
    """
    seen = (person_log_odds(person.maps)[0] > 0).numpy().astype(np.uint8)
    count, _, regions, _ = cv2.connectedComponentsWithStats(seen, connectivity=8)
    if count < 2:
        return None
    left, top, width, height, area = regions[1 + int(regions[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    rows, columns = seen.shape
    if area < _LEAST_AREA * seen.size:
        return None
    room = _ROOM * max(width, height)
    near = np.array([left, top]) - room - _REACH * max(width, height) * np.array([left == 0, top == 0])
    far = np.array([left + width, top + height]) + room
    far = far + _REACH * max(width, height) * np.array([left + width == columns, top + height == rows])
    # Edges of map px, half a px from their centres, to edges of crop px, and of image px.
    stride = person.stride
    corners = crop_from_map(np.stack([near, far]) - 0.5, stride)
    image = apply_affine(invert_affine(person.crop_from_image), corners) + 0.5
    return np.concatenate([image[0], image[1] - image[0]])


def _nearest(boxes: np.ndarray, box: np.ndarray) -> int:
    """Which of boxes (N, 4) has its centre nearest to that of another one."""
    apart = (boxes[:, :2] + boxes[:, 2:] / 2) - (box[:2] + box[2:] / 2)
    return int(np.hypot(*apart.T).argmin())


def _towards(edges: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """The edges of the next box, from those of the last one and of the outline in it."""
    outward = np.array([-1, -1, 1, 1])
    grows = (outline - edges) * outward > 0
    return np.where(grows, outline, edges + _SHRINK * (outline - edges))
