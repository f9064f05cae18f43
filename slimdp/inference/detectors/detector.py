"""What all detectors share: what they are made from, their faults, files at hand, and boxes that overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import Boxes
from slimdp.inference.weights import FOLDER
from slimdp.settings_file import ConfigError
from slimdp.surface.cache import cache_folder

#: Boxes of less than this, px, show nobody.
LEAST_PX = 1.0
#: The least score of a box that counts, 0..1, where nobody says it.
LEAST_SCORE = 0.3


class DetectorError(ConfigError):
    """A detector that is not there, cannot run, or was asked for what it cannot do."""


class VideoWantedError(DetectorError):
    """A detector that is made for one video alone, and no video is known yet: `DetectorRequest.frames`."""


@dataclass(frozen=True)
class DetectorRequest:
    """What a detector is made from."""

    source: str = ""  # what follows its name and a colon: a file, a model, numbers; "": its default
    frames: FrameSource | None = None  # the video that it will look at
    side: int | None = None  # of what the network sees, px; None: its own
    score: float = LEAST_SCORE  # the least that counts, 0..1
    device: str = "cpu"
    #: Reads a checkpoint: the network, in evaluation mode on the CPU, and the settings of its run.
    load: Callable[[Path], tuple[Any, Any]] | None = None

    def __post_init__(self) -> None:
        require_score(self.score)


class DetectorKind(Protocol):
    """A class of detectors, as `DETECTORS` lists it: made from words, each object a `Detector`."""

    name: str

    @classmethod
    def from_request(cls, request: DetectorRequest) -> Any:
        """A detector; raises DetectorError where it cannot be, VideoWantedError where it lacks the video."""

    @classmethod
    def at_hand(cls) -> str | None:
        """What it would be made from if nothing were named; None where it would need something."""


def require_score(score: float) -> None:
    """Raise DetectorError for a least score of boxes that is not in 0..1."""
    if isinstance(score, bool) or not isinstance(score, Real) or not 0 <= score <= 1:
        raise DetectorError(f"score = {score!r}, but a number in 0..1 is wanted")


def require_share(**values: float) -> None:
    """Raise DetectorError for a value that is not above 0, and at most 1."""
    for name, value in values.items():
        if not 0 < value <= 1:
            raise DetectorError(f"{name} {value}; wanted more than 0 and at most 1")


def find_cached(pattern: str) -> Path | None:
    """The first file of a name, as yolox*.onnx, that comes with slimdp or lies in its cache folder."""
    for folder in (FOLDER, cache_folder()):
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    return None


def suppress_overlaps(xywh: np.ndarray, score: np.ndarray, nms: float) -> Boxes:
    """Boxes (N, 4) px and scores (N,), best first, without those that a better one overlaps by over `nms`."""
    if not len(score):
        return no_boxes()
    kept = np.array(cv2.dnn.NMSBoxes(xywh.tolist(), score.tolist(), 0.0, nms), np.int64)
    kept = kept[(xywh[kept, 2:] >= LEAST_PX).all(axis=1)]
    return Boxes(xywh[kept], score[kept])


def no_boxes() -> Boxes:
    """Nobody."""
    return Boxes(np.zeros((0, 4)), np.zeros(0))
