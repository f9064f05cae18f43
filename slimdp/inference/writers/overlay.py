"""The frame with everyone's parts over it, each person outlined and numbered in the colour of the track."""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.inference.video_records import FramePose
from slimdp.report.drawing import overlay_parts
from slimdp.surface.layout import PartLayout

#: Height of a digit as a share of the frame's, and the least that can be read, px.
_DIGIT_SHARE, _LEAST_DIGIT_PX = 0.02, 9
_FONT, _FONT_PX = cv2.FONT_HERSHEY_SIMPLEX, 22  # height of a digit at scale 1
#: Hues, of OpenCV's 180, from one track to the next: the golden angle keeps neighbours apart.
_HUE_STEP = 111.25


def draw_overlay(pose: FramePose, layout: PartLayout) -> np.ndarray:
    """A frame's picture, (H, W, 3) uint8 RGB."""
    painted = pose.painted
    image, part = pose.frame.image.copy(), painted.part[painted.place]
    if part.size:  # most frames are mostly background
        image[painted.place] = overlay_parts(image[painted.place], part, part > 0)
    track = painted.track[painted.place]
    corner = painted.place[1].start, painted.place[0].start
    for person in pose.people:
        mine = (track == person.annotation_id).astype(np.uint8)
        if not mine.any():
            continue
        colour = track_colour(person.annotation_id)
        outlines, _ = cv2.findContours(mine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=corner)
        cv2.drawContours(image, outlines, -1, colour, max(1, round(len(image) / 500)), cv2.LINE_AA)
        x, y, width, _ = person.box  # steadier than what is seen of the person
        _draw_number(image, person.annotation_id, x + width / 2, y, colour)
    return image


def track_colour(track: int) -> tuple[int, int, int]:
    """A light colour (RGB) of a track, unlike those of the tracks before and after."""
    hsv = np.array([[[track * _HUE_STEP % 180, 130, 255]]]).astype(np.uint8)
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _draw_number(
    image: np.ndarray, number: int, x: float, bottom: float, colour: tuple[int, int, int]
) -> None:
    """Write a number on a plate, centred at column x over row `bottom`; it stays within the image."""
    height, width = image.shape[:2]
    digit = max(_LEAST_DIGIT_PX, _DIGIT_SHARE * height)
    scale, thick = digit / _FONT_PX, max(1, round(digit / 9))
    text_width = cv2.getTextSize(str(number), _FONT, scale, thick)[0][0]
    margin = round(digit / 3)
    plate_width, plate_height = text_width + 2 * margin, round(digit) + 2 * margin
    left = round(min(max(x - plate_width / 2, 0), max(width - plate_width, 0)))
    top = round(min(max(bottom - plate_height - margin, 0), max(height - plate_height, 0)))
    cv2.rectangle(image, (left, top), (left + plate_width, top + plate_height), colour, cv2.FILLED)
    place = left + margin, top + margin + round(digit)
    cv2.putText(image, str(number), place, _FONT, scale, (20, 20, 20), thick, cv2.LINE_AA)
