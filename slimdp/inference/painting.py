"""Everyone in a frame, painted into maps of its size.

People who overlap are painted in the order of their scores, so that the surest one lies on top; of equal
scores the lower track does. All outputs of a video that show one value a pixel have this order.

A network's maps are coarser than the frame. They are enlarged smoothly: bilinear weights decide which part
wins a pixel, and u and v are the weighted means of that part alone, so that no value leaks over the border
of two charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from slimdp.geometry import apply_affine, invert_affine
from slimdp.structures import DensePoseInstance


@dataclass(frozen=True)
class PersonWindow:
    """A person's answer at the pixels of a window of the image."""

    x0: int  # column of the image where the window begins
    y0: int  # row
    part: np.ndarray  # (h, w) uint8, 1..P; 0 where it is not the person
    uv: np.ndarray  # (2, h, w) float32 in [0, 1]; 0 there


@dataclass(frozen=True)
class PaintedFrame:
    """Who and what is at each pixel of a frame."""

    part: np.ndarray  # (H, W) uint8, 1..P; 0 where nobody is
    uv: np.ndarray  # (2, H, W) float32 in [0, 1]; 0 there
    track: np.ndarray  # (H, W) int32, the `annotation_id` of the person; 0 there

    @cached_property
    def place(self) -> tuple[slice, slice]:
        """The rows and columns that hold everyone; none where nobody is."""
        ends = []
        for axis in (1, 0):
            there = np.flatnonzero(self.part.any(axis=axis))
            ends.append(slice(there[0], there[-1] + 1) if there.size else slice(0, 0))
        return ends[0], ends[1]

    @property
    def iuv(self) -> np.ndarray:
        """Part, 255 u, 255 v, rounded: (3, H, W) uint8, a view of an array (H, W, 3)."""
        iuv = np.zeros((*self.part.shape, 3), np.uint8)
        rows, columns = self.place
        iuv[rows, columns, 0] = self.part[rows, columns]
        iuv[rows, columns, 1:] = np.rint(255 * self.uv[:, rows, columns]).transpose(1, 2, 0)
        return iuv.transpose(2, 0, 1)


def paint_people(people: Sequence[DensePoseInstance], width: int, height: int) -> PaintedFrame:
    """Paint people into an image of `width` x `height` px, the surest one on top."""
    part, uv = np.zeros((height, width), np.uint8), np.zeros((2, height, width), np.float32)
    track = np.zeros((height, width), np.int32)
    for person in sorted(people, key=lambda each: (each.score, -each.annotation_id)):
        window = window_of(person, width, height)
        h, w = window.part.shape
        rows, columns = slice(window.y0, window.y0 + h), slice(window.x0, window.x0 + w)
        there = window.part > 0
        np.copyto(part[rows, columns], window.part, where=there)
        np.copyto(uv[:, rows, columns], window.uv, where=there)
        track[rows, columns][there] = person.annotation_id
    return PaintedFrame(part, uv, track)


def window_of(person: DensePoseInstance, width: int, height: int) -> PersonWindow:
    """A person in the smallest window of an image that holds all of its foreground."""
    column, row = (np.flatnonzero(person.foreground.any(axis=axis)) for axis in (0, 1))
    if not column.size:
        return PersonWindow(0, 0, np.zeros((0, 0), np.uint8), np.zeros((2, 0, 0), np.float32))
    # A pixel of the crop covers half a pixel about its centre.
    x = np.array([column[0] - 0.5, column[-1] + 0.5])
    y = np.array([row[0] - 0.5, row[-1] + 0.5])
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    corners = apply_affine(invert_affine(person.crop_from_image), corners)
    x0, y0 = np.floor(corners.min(axis=0)).clip(0, (width, height)).astype(int)
    x1, y1 = (np.ceil(corners.max(axis=0)) + 1).clip(0, (width, height)).astype(int)
    part, uv = smooth_window(person, x0, y0, x1 - x0, y1 - y0)
    return PersonWindow(x0, y0, part, uv)


def smooth_window(
    person: DensePoseInstance, x0: int, y0: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """A person at the image's pixels from column x0, row y0 on, between the crop's pixels bilinearly.

    A pixel is the person where at least half of its weight is; of the parts the one with most weight wins.
    At the crop's own pixels all is as in the crop.

    Returns:
        part (height, width) uint8, 0 where it is not the person; uv (2, height, width) float32, 0 there.
    """
    part, uv = np.zeros((height, width), np.uint8), np.zeros((2, height, width), np.float32)
    if not part.size:
        return part, uv
    crop_from_window = np.array(person.crop_from_image, dtype=np.float64)
    crop_from_window[:, 2] = apply_affine(crop_from_window, np.array([[x0, y0]]))[0]
    shown = _enlarged(person.foreground.astype(np.float32), crop_from_window, width, height, outside=0)
    shown = shown >= 0.5 - 1e-4
    most = np.zeros((height, width), np.float32)
    values = cv2.merge([np.ones(person.part.shape, np.float32), *person.uv.astype(np.float32)])
    near = _grown(person.foreground)
    for label in np.unique(person.part[near]):
        mine = near & (person.part == label)
        left, top, w, h = _reached(mine, crop_from_window, width, height)
        if w <= 0 or h <= 0:
            continue
        place = np.s_[top : top + h, left : left + w]
        there = crop_from_window.copy()
        there[:, 2] = apply_affine(crop_from_window, np.array([[left, top]]))[0]
        weight, u, v = cv2.split(_enlarged(values * mine[..., None], there, w, h))
        wins = (weight > most[place]) & shown[place]
        part[place][wins], most[place][wins] = label, weight[wins]
        uv[0][place][wins], uv[1][place][wins] = u[wins] / weight[wins], v[wins] / weight[wins]
    return part, uv


def _enlarged(
    maps: np.ndarray, crop_from_window: np.ndarray, width: int, height: int, outside: float | None = None
) -> np.ndarray:
    """Maps (S, S) or (S, S, C) float32 read bilinearly at the window's pixels; outside the border holds."""
    return cv2.warpAffine(
        maps,
        crop_from_window,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
        borderValue=0 if outside is None else outside,
    )


def _grown(mask: np.ndarray) -> np.ndarray:
    """A mask (S, S) and what touches it: all that has weight where the mask has some."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _reached(
    mine: np.ndarray, crop_from_window: np.ndarray, width: int, height: int
) -> tuple[int, int, int, int]:
    """Left, top, width and height of where a part (S, S) of the crop has weight, px of the window."""
    column, row = (np.flatnonzero(mine.any(axis=axis)) for axis in (0, 1))
    (x0, x1), (y0, y1) = (column[0] - 1, column[-1] + 1), (row[0] - 1, row[-1] + 1)
    corners = apply_affine(
        invert_affine(crop_from_window), np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)])
    )
    left, top = np.floor(corners.min(axis=0)).clip(0, (width, height)).astype(int)
    right, bottom = (np.ceil(corners.max(axis=0)) + 1).clip(0, (width, height)).astype(int)
    return left, top, right - left, bottom - top
