"""Boxes that a network can look at: checked, whether somebody gives them or a detector of one's own does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from slimdp.inference.detectors.detector import DetectorError
from slimdp.inference.video_records import Boxes, Detector

#: The longer side of a box, by the image's: of a larger one no pixel is left of what is seen.
_MOST_TIMES = 100
#: What a detector must have to look at a video; `slimdp.inference.video_records.Detector`.
_OF_DETECTORS = ("name", "detect", "settings")


def checked_xywh(boxes: Any, image: np.ndarray) -> np.ndarray:
    """Boxes as (N, 4) float64 x, y, width, height, px of an image (H, W, 3); one alone may be (4,).

    Raises ValueError for what are no boxes, and for one of which the image shows nothing.
    """
    try:
        xywh = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"boxes {boxes!r}; wanted numbers: x, y, width, height of each, px") from None
    if not xywh.size:
        return np.zeros((0, 4))
    if xywh.shape == (4,):
        xywh = xywh[None]
    if xywh.ndim != 2 or xywh.shape[1] != 4:
        raise ValueError(f"boxes of shape {xywh.shape}; wanted (N, 4): x, y, width, height of each, px")
    height, width = image.shape[:2]
    for number, (x, y, wide, high) in enumerate(xywh):
        sound = np.isfinite(xywh[number]).all() and wide > 0 and high > 0
        sound &= max(wide, high) <= _MOST_TIMES * max(width, height)
        if not (sound and x < width and y < height and x + wide > 0 and y + high > 0):
            raise ValueError(
                f"box {number}: x, y, width, height = {x:g}, {y:g}, {wide:g}, {high:g}; wanted one that the "
                f"image of {width} x {height} px shows some of, at most {_MOST_TIMES} times as large"
            )
    return xywh


def checked_boxes(found: object, image: np.ndarray, whose: str) -> Boxes | None:
    """What a detector found in an image (H, W, 3), as float64; `whose` names it for the error.

    Raises DetectorError for what is no `Boxes`, and for boxes, scores or tracks that cannot be.
    """
    if found is None:
        return None
    if not isinstance(found, Boxes):
        raise DetectorError(
            f"{whose} gives a {type(found).__name__}; wanted Boxes(xywh, score), of "
            "slimdp.inference.video_records, or None where it knows nothing of the image"
        )
    try:
        xywh = checked_xywh(found.xywh, image)
    except ValueError as error:
        raise DetectorError(f"{whose}: {error}; a detector leaves out what is no such box") from None
    try:
        score = np.asarray(found.score, dtype=np.float64)
    except (TypeError, ValueError):
        score = np.full(len(xywh), np.nan)
    if score.shape != (len(xywh),) or not np.isfinite(score).all():
        raise DetectorError(
            f"{whose}: scores {found.score!r} of {len(xywh)} boxes; wanted a finite number for each, in 0..1"
        )
    for name, values in (("track", found.track), ("given", found.given)):
        if values is not None and np.shape(values) != (len(xywh),):
            raise DetectorError(
                f"{whose}: {name} of shape {np.shape(values)} of {len(xywh)} boxes; wanted one for each, or "
                "None"
            )
    return replace(found, xywh=xywh, score=score)


class CheckedDetector:
    """A detector of one's own for a video: what it finds is checked, all else is its.

    Raises DetectorError where it lacks what a video needs, and `detect` where it finds what no boxes are.
    """

    def __init__(self, detector: Detector) -> None:
        if missing := [name for name in _OF_DETECTORS if not hasattr(detector, name)]:
            raise DetectorError(
                f"a detector of type {type(detector).__name__} has no {' and no '.join(missing)}, which a "
                "video needs (Detector in slimdp/inference/video_records.py)"
            )
        self.name, self._detector = detector.name, detector

    @property
    def names_people(self) -> bool:
        """Whether it says who people are."""
        return bool(getattr(self._detector, "names_people", False))

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""
        return self._detector.settings()

    def __str__(self) -> str:
        return str(self._detector)

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:
        """As of `Detector`; raises DetectorError, naming the detector and the frame."""
        return checked_boxes(
            self._detector.detect(image, index), image, f"detector {self.name}, frame {index}"
        )
