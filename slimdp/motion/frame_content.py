"""Which frames of a video some pictures show, by what is seen in them and not by their names.

Pictures that were extracted from a video were compressed once more, perhaps with other colours. They are
compared as small grey pictures of mean 0 and deviation 1. Each picture allows for the frames that are
nearly as close to it as the closest one; the frames that all pictures allow for, with the distances that
their numbers have, are where they come from. What was cropped, scaled or moved is still closest to its own
frame, so displacements are estimated too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

#: Longest side of the compared pictures, px.
_SIDE = 192
#: A frame counts as close as the closest one, if it is off by at most this factor and this much (deviations).
_AS_CLOSE, _AS_CLOSE_FLAT = 1.05, 1e-3
#: Mean difference, in deviations, of a picture and its own frame at most. Pictures of two scenes: about 1.1.
LARGEST_DIFFERENCE = 0.5
#: Standard deviation in grey levels below which a picture is flat, and shows nothing to compare.
_FLAT = 1.0
#: Median displacement, px of the compared pictures, of a picture and its own frame at most. The hardest
#: compression of real and rendered pictures left 0.4; a border of 1/32 that was cut off, 2 or more.
LARGEST_SHIFT = 1.0
_LEAST_SIDE = 32  # px, for which displacements are estimated


@dataclass(frozen=True)
class Comparison:
    """How far K pictures, with their numbers, are from the F frames of a video."""

    numbers: np.ndarray  # (K,) int64: of the pictures, as their names have them
    distance: np.ndarray  # (K, F) float32, mean absolute difference in deviations
    shift: np.ndarray  # (K,) float32, median displacement to the closest frame, px of the compared pictures

    def offsets(self, least: int, most: int) -> list[int]:
        """What can be added to the numbers to give the frames: within `least` and `most`, all that fit."""
        allowed = self._allowed()
        return [
            offset
            for offset in range(least, most + 1)
            if all(allowed[row, number + offset] for row, number in enumerate(self.numbers))
        ]

    def largest(self, offset: int) -> float:
        """The largest distance of a picture from the frame that an offset gives it."""
        return float(self.distance[np.arange(len(self.numbers)), self.numbers + offset].max())

    def stride(self) -> int | None:
        """Where pictures show every n-th frame, n; None where they do not, or where n is 1."""
        best = self.distance.argmin(axis=1)
        steps, numbers = np.diff(best), np.diff(self.numbers)
        if len(steps) == 0 or (steps <= 0).any():
            return None
        ratio = float((steps / numbers).mean())
        even = np.abs(steps - ratio * numbers).max() <= 2
        return round(ratio) if even and round(ratio) > 1 else None

    def _allowed(self) -> np.ndarray:
        closest = self.distance.min(axis=1, keepdims=True)
        allowed: np.ndarray = self.distance <= closest * _AS_CLOSE + _AS_CLOSE_FLAT
        return allowed


def compare(
    numbers: Sequence[int], pictures: Sequence[np.ndarray], frames: Iterable[np.ndarray]
) -> Comparison:
    """Compare pictures with all frames of a video, of which one is held at a time.

    Args:
        numbers: of the pictures.
        pictures: (H, W, 3) uint8 RGB.
        frames: in order, of the size of the pictures.
    """
    small = [_reduced(picture) for picture in pictures]
    closest: list[tuple[float, np.ndarray]] = [(np.inf, one) for one in small]
    columns = []
    for frame in map(_reduced, frames):
        columns.append([_difference(one, frame) for one in small])
        closest = [
            (column, frame) if column < before[0] else before for column, before in zip(columns[-1], closest)
        ]
    shift = [_shift(one, frame) for one, (_, frame) in zip(small, closest)]
    return Comparison(
        np.array(numbers, np.int64), np.array(columns, np.float32).T, np.array(shift, np.float32)
    )


def _reduced(picture: np.ndarray) -> np.ndarray:
    """Grey, of `_SIDE` px at most, mean 0 and deviation 1; all 0 where it is flat."""
    scale = min(1.0, _SIDE / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()
    deviation = float(grey.std())
    return grey / deviation if deviation > _FLAT else np.zeros_like(grey)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def _shift(one: np.ndarray, other: np.ndarray) -> float:
    """The median displacement between two reduced pictures, px: small however hard one was compressed."""
    if min(one.shape) < _LEAST_SIDE:
        return 0.0
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = estimator.calc(_as_grey(one), _as_grey(other), np.zeros((*one.shape, 2), np.float32))
    return float(np.median(np.hypot(flow[..., 0], flow[..., 1])))


def _as_grey(reduced: np.ndarray) -> np.ndarray:
    grey: np.ndarray = np.clip(reduced * 45 + 128, 0, 255).astype(np.uint8)  # 2.8 deviations each way
    return grey
