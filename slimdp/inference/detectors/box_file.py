"""People's boxes from a file, as annotators or another detector wrote them: COCO JSON, by frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache import Video, read_people_boxes
from flow_cache.runtime.checksums import file_sha256
from slimdp.inference.detectors.detector import DetectorError, DetectorRequest, no_boxes
from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import Boxes


class BoxFileDetector:
    """The boxes of a video that a COCO file lists (`flow_cache.read_people_boxes`), each with score 1.

    Args:
        path: the JSON; `file_name` is VIDEO/FRAME, as tools/detect_people.py writes it.
        frames: the video.

    Raises:
        DetectorError: no such file, or one without boxes of this video.
    """

    name = "boxes"

    def __init__(self, path: Path, frames: FrameSource) -> None:
        self.path = path
        info = frames.info
        # Names by count where the file says none: a frame beyond it would be an error of the JSON.
        names = frames.frame_names()
        video = Video(info.path, info.name, info.width, info.height, names, source_hash="")
        try:
            people = read_people_boxes(path, [video], margin=0)[info.name]
        except ValueError as error:
            raise DetectorError(str(error)) from error
        self._boxes: Mapping[int, np.ndarray] = people.boxes
        listed = np.array(sorted(people.boxes))
        self._first, self._step = int(listed[0]), int(np.diff(listed).min(initial=len(names)))

    @classmethod
    def from_request(cls, request: DetectorRequest) -> BoxFileDetector:
        """From the file that follows `boxes:` on the command line."""
        if not request.source or request.frames is None:
            raise DetectorError("boxes: needs a file: boxes:FILE.json")
        return cls(Path(request.source), request.frames)

    @classmethod
    def at_hand(cls) -> str | None:
        """A file must be named."""
        return None

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        return {"file": file_sha256(self.path).hex()}

    def __str__(self) -> str:
        return f"the boxes in {self.path}"

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:
        """The boxes of frame `index`, cut to the image; None where the file leaves the frame out.

        A file that lists every tenth frame leaves out those between, and says of a tenth one without boxes
        that nobody is in it.
        """
        boxes = self._boxes.get(index)
        if boxes is None:
            return None if (index - self._first) % self._step else no_boxes()
        height, width = image.shape[:2]
        near = np.clip(boxes[:, :2], 0, [width, height])
        far = np.clip(boxes[:, :2] + boxes[:, 2:], 0, [width, height])
        kept = (far - near >= 1).all(axis=1)
        return Boxes(np.concatenate([near, far - near], axis=1)[kept], np.ones(int(kept.sum())))
