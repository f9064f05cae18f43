"""The frame with everyone's error bars over it: green where the answer is good to some cm, red where not."""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.inference.video_records import FramePose
from slimdp.settings_file import ConfigError
from slimdp.surface.layout import PartLayout

#: From here on all is green, and up to here all is red, cm; between them by the logarithm.
_LEAST_CM, _MOST_CM = 4.0, 64.0
_ALPHA = 0.7
_MARKS_CM = (4, 8, 16, 32, 64)


def draw_error(pose: FramePose, layout: PartLayout) -> np.ndarray:
    """A frame's picture, (H, W, 3) uint8 RGB, with the colours' meaning in its corner.

    Raises ConfigError where the network has no error bars.
    """
    painted = pose.painted
    if painted.error_cm is None:
        raise ConfigError("these weights have no error bars to draw; run slimdp calibrate")
    image, place = pose.frame.image.copy(), painted.place
    part = painted.part[place]
    if part.size:
        there, seen = part > 0, image[place]
        mixed = (1 - _ALPHA) * seen[there] + _ALPHA * error_colours(painted.error_cm[place][there])
        seen[there] = np.rint(mixed)
    return _with_legend(image)


def error_colours(error_cm: np.ndarray) -> np.ndarray:
    """Colours of error bars (...), cm: (..., 3) uint8 RGB from green over yellow to red."""
    clipped = np.clip(error_cm, _LEAST_CM, _MOST_CM)
    share = np.log(clipped / _LEAST_CM) / np.log(_MOST_CM / _LEAST_CM)
    red, green = np.clip(2 * share, 0, 1), np.clip(2 - 2 * share, 0, 1)
    return np.rint(255 * np.stack([red, green, np.zeros_like(red)], axis=-1)).astype(np.uint8)


def _with_legend(image: np.ndarray) -> np.ndarray:
    """Draw a plate for each mark in the lower left corner, in place, where it has room."""
    digit = max(9, round(0.02 * len(image)))
    height, width = 2 * digit, 4 * digit
    if len(image) < height or image.shape[1] < width * len(_MARKS_CM):
        return image
    for place, mark in enumerate(_MARKS_CM):
        top, left = len(image) - height, place * width
        image[top:, left : left + width] = error_colours(np.array(float(mark)))
        text = f"{mark} cm" if place + 1 == len(_MARKS_CM) else str(mark)
        at = left + digit // 3, len(image) - digit // 2
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, digit / 22, (20, 20, 20), 1, cv2.LINE_AA)
    return image
