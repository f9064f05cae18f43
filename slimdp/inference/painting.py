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
    error_cm: np.ndarray | None = None  # (h, w) float32, 0 there; None: not known


@dataclass(frozen=True)
class PaintedFrame:
    """Who and what is at each pixel of a frame."""

    part: np.ndarray  # (H, W) uint8, 1..P; 0 where nobody is
    uv: np.ndarray  # (2, H, W) float32 in [0, 1]; 0 there
    track: np.ndarray  # (H, W) int32, the `annotation_id` of the person; 0 there
    error_cm: np.ndarray | None = None  # (H, W) float32, 0 there; None: not known of everyone

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
    known = all(person.error_cm is not None for person in people)
    error_cm = np.zeros((height, width), np.float32) if known else None
    for person in sorted(people, key=lambda each: (each.score, -each.annotation_id)):
        window = window_of(person, width, height)
        h, w = window.part.shape
        rows, columns = slice(window.y0, window.y0 + h), slice(window.x0, window.x0 + w)
        there = window.part > 0
        np.copyto(part[rows, columns], window.part, where=there)
        np.copyto(uv[:, rows, columns], window.uv, where=there)
        track[rows, columns][there] = person.annotation_id
        if error_cm is not None and window.error_cm is not None:
            np.copyto(error_cm[rows, columns], window.error_cm, where=there)
    return PaintedFrame(part, uv, track, error_cm)


def window_of(person: DensePoseInstance, width: int, height: int) -> PersonWindow:
    """A person in the smallest window of an image that holds all of its foreground."""
    column, row = (np.flatnonzero(person.foreground.any(axis=axis)) for axis in (0, 1))
    if not column.size:
        nothing = np.zeros((0, 0), np.float32)
        bars = None if person.error_cm is None else nothing
        return PersonWindow(0, 0, nothing.astype(np.uint8), np.zeros((2, 0, 0), np.float32), bars)
    # A pixel of the crop covers half a pixel about its centre.
    x = np.array([column[0] - 0.5, column[-1] + 0.5])
    y = np.array([row[0] - 0.5, row[-1] + 0.5])
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    corners = apply_affine(invert_affine(person.crop_from_image), corners)
    x0, y0 = np.floor(corners.min(axis=0)).clip(0, (width, height)).astype(int)
    x1, y1 = (np.ceil(corners.max(axis=0)) + 1).clip(0, (width, height)).astype(int)
    part, uv = smooth_window(person, x0, y0, x1 - x0, y1 - y0)
    return PersonWindow(x0, y0, part, uv, _error_window(person, x0, y0, part))


def _error_window(person: DensePoseInstance, x0: int, y0: int, part: np.ndarray) -> np.ndarray | None:
    """The error bars where a window (h, w) from column x0, row y0 on shows the person, 0 elsewhere."""
    if person.error_cm is None or not part.size:
        return None if person.error_cm is None else np.zeros(part.shape, np.float32)
    crop_from_window = np.array(person.crop_from_image, dtype=np.float64)
    crop_from_window[:, 2] = apply_affine(crop_from_window, np.array([[x0, y0]]))[0]
    bars = person.error_cm.astype(np.float32)
    found = _enlarged(bars, crop_from_window, part.shape[1], part.shape[0])
    return np.where(part > 0, found, 0).astype(np.float32)


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
    place = np.flatnonzero(shown >= 0.5 - 1e-4)
    cells = _Cells(person.part, crop_from_window, place, width)
    part.ravel()[place] = cells.label
    between = np.flatnonzero(~cells.even)
    winner, weights = cells.decided(between)
    part.ravel()[place[between]] = winner
    for values, channel in zip(uv, person.uv.astype(np.float32), strict=True):
        # Where all four pixels around are of one part, OpenCV's own reading is that of the part alone.
        of_all = _enlarged(channel, crop_from_window, width, height).ravel()[place]
        of_all[between] = (cells.taps(channel, between) * weights).sum(axis=0)
        values.ravel()[place] = of_all
    return part, uv


class _Cells:
    """The four pixels of a crop (S, S) between which pixels of a window lie, by their places in it (N,).

    Beyond the border of the crop its border values hold.
    """

    def __init__(self, part: np.ndarray, crop_from_window: np.ndarray, place: np.ndarray, width: int) -> None:
        row, column = np.divmod(place, width)
        x, y = (a * column + b * row + c for a, b, c in crop_from_window)
        side_y, side_x = part.shape
        left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        self._right, self._down = (x - left).astype(np.float32), (y - top).astype(np.float32)
        self._stride = side_x + 2  # of the crop with its border around it once more
        self._first = (top.clip(-1, side_y - 1) + 1) * self._stride + left.clip(-1, side_x - 1) + 1
        self._part = np.pad(part, 1, "edge")
        even = np.zeros(self._part.shape, bool)
        even[:-1, :-1] = (self._part[:-1, :-1] == self._part[1:, 1:]) & (
            (self._part[:-1, :-1] == self._part[1:, :-1]) & (self._part[:-1, :-1] == self._part[:-1, 1:])
        )
        self.label = self._part.ravel().take(self._first)  # of the first of the four
        self.even = even.ravel().take(self._first)  # whether all four are of one part

    def taps(self, values: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Values (S, S) of the four pixels around some of the window's (M,): (4, M)."""
        return self._four(np.pad(values, 1, "edge").ravel(), some)

    def decided(self, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of some pixels (M,) the part with most weight, of equals the lower one, and the weights (4, M) of
        its pixels, which add up to 1."""
        label = self._four(self._part.ravel(), some)
        right, down = self._right[some], self._down[some]
        left, up = 1 - right, 1 - down
        weight = np.stack([up * left, up * right, down * left, down * right])
        total = np.stack([(weight * (label == one)).sum(axis=0) for one in label])
        wins = total >= total.max(axis=0) - 1e-6
        winner = np.where(wins, label, np.iinfo(label.dtype).max).min(axis=0)
        weight = weight * (label == winner)
        return winner, weight / weight.sum(axis=0)

    def _four(self, padded: np.ndarray, some: np.ndarray) -> np.ndarray:
        first = self._first[some]
        return np.stack([padded.take(first + offset) for offset in (0, 1, self._stride, self._stride + 1)])


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
