"""No detector: one person, who begins in a given box or fills the frame, and is followed by the outline."""

from __future__ import annotations

from typing import Any

import numpy as np

from slimdp.inference.detectors.detector import DetectorError, DetectorRequest
from slimdp.inference.video_records import Boxes


class FollowDetector:
    """Gives a box in the first frame, and looks at no other; the tracker does the rest.

    Args:
        box: x, y, width, height, px of the first frame; None: the whole frame.

    Raises:
        DetectorError: a box without size, or with numbers that are not finite.
    """

    name = "follow"

    def __init__(self, box: tuple[float, float, float, float] | None = None) -> None:
        if box is not None and not (np.isfinite(box).all() and box[2] > 0 and box[3] > 0):
            raise DetectorError(
                f"a box of {box[2]:g} x {box[3]:g} px at {box[0]:g},{box[1]:g}; wanted x,y,width,height, "
                "finite, with a size"
            )
        self.box = box

    @classmethod
    def from_request(cls, request: DetectorRequest) -> FollowDetector:
        """From what follows `follow:` on the command line: x,y,width,height px; nothing: the whole frame."""
        if not request.source:
            return cls()
        try:
            x, y, width, height = (float(number) for number in request.source.split(","))
        except ValueError:
            raise DetectorError(f"follow:{request.source}: wanted follow:x,y,width,height in px") from None
        return cls((x, y, width, height))

    @classmethod
    def at_hand(cls) -> str | None:
        """It needs nothing."""
        return ""

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        return {"box": self.box}

    def __str__(self) -> str:
        begins = (
            "the whole frame"
            if self.box is None
            else "x,y,width,height " + ",".join(f"{number:g}" for number in self.box)
        )
        return f"nobody: one person is followed by the network's own outline, from {begins}"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:
        """The given box, within the image, in frame 0; None in others, of which it knows nothing."""
        if index:
            return None
        height, width = image.shape[:2]
        if self.box is None:
            return Boxes(np.array([[0.0, 0, width, height]]), np.ones(1))
        x, y, wide, high = self.box
        near, far = np.clip([x, y], 0, [width, height]), np.clip([x + wide, y + high], 0, [width, height])
        if (far - near < 1).any():
            raise DetectorError(
                f"the box {x:g},{y:g},{wide:g},{high:g} lies outside of the frame, {width} x {height} px"
            )
        return Boxes(np.concatenate([near, far - near])[None], np.ones(1))
