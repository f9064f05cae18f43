"""People's boxes from a file, as annotators or another detector wrote them: COCO JSON, by frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache import Video, read_people_boxes
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.progress import log_line
from slimdp.inference.detectors.detector import (
    DetectorError,
    DetectorRequest,
    VideoWantedError,
    no_boxes,
)
from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import Boxes

#: Maps of tracks are of 32 bits.
_MOST_TRACK = 2**31 - 1


class BoxFileDetector:
    """The boxes of a video that a COCO file lists (`flow_cache.read_people_boxes`), each with score 1.

    People keep their `track_id` where all have one; where the least is 0, which stands for nobody in outputs,
    all are higher by 1.

    Args:
        path: the JSON; `file_name` is VIDEO/FRAME, as tools/detect_people.py writes it.
        frames: the video.

    Raises:
        DetectorError: no such file, one without boxes of this video, or tracks that cannot be.
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
        self._tracks = None if people.tracks is None else _checked_tracks(path, people.tracks)
        listed = np.array(sorted(people.boxes))
        self._first, self._step = int(listed[0]), int(np.diff(listed).min(initial=len(names)))

    @classmethod
    def from_request(cls, request: DetectorRequest) -> BoxFileDetector:
        """From the file that follows `boxes:` on the command line."""
        if not request.source:
            raise DetectorError("boxes: needs a file: boxes:FILE.json")
        if request.frames is None:
            raise VideoWantedError(
                f"boxes:{request.source}: the boxes are of a video, but no video is known here"
            )
        return cls(Path(request.source), request.frames)

    @classmethod
    def at_hand(cls) -> str | None:
        """A file must be named."""
        return None

    @property
    def names_people(self) -> bool:
        """Whether the file says who people are."""
        return self._tracks is not None

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
        track = None if self._tracks is None else self._tracks[index][kept]
        count = int(kept.sum())
        xywh = np.concatenate([near, far - near], axis=1)[kept]
        return Boxes(xywh, np.ones(count), track, np.ones(count, bool))


def _checked_tracks(path: Path, tracks: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Tracks (N,) by frame, from 1 on; DetectorError for one that is twice in a frame, or no such number."""
    for frame, of_frame in tracks.items():
        if len(np.unique(of_frame)) < len(of_frame):
            raise DetectorError(f"{path}: a track_id is twice in frame {frame}: {sorted(of_frame.tolist())}")
        if of_frame.min() < 0 or of_frame.max() >= _MOST_TRACK:
            raise DetectorError(
                f"{path}: frame {frame} has track_id {of_frame.tolist()}; wanted 0 to {_MOST_TRACK - 1}"
            )
    least = min(int(of_frame.min()) for of_frame in tracks.values())
    if least == 0:
        log_line(f"{path}: track_id begins at 0, which is nobody in outputs; people's numbers are 1 higher")
    return {frame: of_frame + (least == 0) for frame, of_frame in tracks.items()}
