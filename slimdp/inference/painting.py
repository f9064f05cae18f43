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
    """A person's answer at the pixels of a window of the image, between the crop's pixels bilinearly.

    A pixel is the person where at least half of its weight is; of the parts the one with most weight wins.
    At the crop's own pixels all is as in the crop. Each map is made when it is first asked for.
    """

    person: DensePoseInstance
    x0: int  # column of the image where the window begins
    y0: int  # row
    width: int  # px
    height: int

    @property
    def place(self) -> tuple[slice, slice]:
        """The window's rows and columns of the image."""
        return slice(self.y0, self.y0 + self.height), slice(self.x0, self.x0 + self.width)

    @cached_property
    def part(self) -> np.ndarray:
        """(height, width) uint8, 1..P; 0 where it is not the person."""
        part = np.zeros((self.height, self.width), np.uint8)
        if part.size:
            np.copyto(part, self._cells.label, where=self._shown)
            between, winner, _ = self._borders
            part.ravel()[between] = winner
        return part

    @cached_property
    def uv(self) -> np.ndarray:
        """(2, height, width) float32 in [0, 1]; 0 where it is not the person."""
        uv = np.zeros((2, self.height, self.width), np.float32)
        if uv.size:
            between, _, weights = self._borders
            for values, channel in zip(uv, self.person.uv.astype(np.float32), strict=True):
                # Where all four pixels around are of one part, OpenCV's reading is that of the part alone.
                of_all = self._enlarged(channel)
                of_all.ravel()[between] = (self._cells.taps(channel, between) * weights).sum(axis=0)
                np.copyto(values, of_all, where=self._shown)
        return uv

    @cached_property
    def error_cm(self) -> np.ndarray | None:
        """(height, width) float32, 0 where it is not the person; None: not known."""
        if self.person.error_cm is None:
            return None
        error_cm = np.zeros((self.height, self.width), np.float32)
        if error_cm.size:
            np.copyto(error_cm, self._enlarged(self.person.error_cm), where=self._shown)
        return error_cm

    @cached_property
    def _shown(self) -> np.ndarray:
        """Where the person is, (height, width) bool."""
        return self._enlarged(self.person.foreground, outside=0) >= 0.5 - 1e-4

    @cached_property
    def _borders(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels of the person between those of several parts (M,), their parts (M,), and the weights (4, M)
        of what is around them."""
        between = np.flatnonzero(self._shown & (self._cells.label == 0))
        return between, *self._cells.decided(between)

    def _enlarged(self, maps: np.ndarray, outside: float | None = None) -> np.ndarray:
        """Maps (S, S) read bilinearly at the window's pixels, float32; outside the border holds."""
        return cv2.warpAffine(
            maps.astype(np.float32),
            self._crop_from_window,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
            borderValue=0 if outside is None else outside,
        )

    @cached_property
    def _crop_from_window(self) -> np.ndarray:
        affine = np.array(self.person.crop_from_image, dtype=np.float64)
        affine[:, 2] = apply_affine(affine, np.array([[self.x0, self.y0]]))[0]
        return affine

    @cached_property
    def _cells(self) -> _Cells:
        return _Cells(self.person.part, self._crop_from_window, self.width, self.height)


@dataclass(frozen=True)
class PaintedFrame:
    """Who and what is at each pixel of a frame; u, v and errors are painted when they are first asked for."""

    windows: tuple[PersonWindow, ...]  # of everyone, the surest last
    width: int  # px
    height: int

    @cached_property
    def part(self) -> np.ndarray:
        """(H, W) uint8, 1..P; 0 where nobody is."""
        part = np.zeros((self.height, self.width), np.uint8)
        for window in self.windows:
            np.copyto(part[window.place], window.part, where=window.part > 0)
        return part

    @cached_property
    def uv(self) -> np.ndarray:
        """(2, H, W) float32 in [0, 1]; 0 where nobody is."""
        uv = np.zeros((2, self.height, self.width), np.float32)
        for window in self.windows:
            rows, columns = window.place
            np.copyto(uv[:, rows, columns], window.uv, where=window.part > 0)
        return uv

    @cached_property
    def track(self) -> np.ndarray:
        """(H, W) int32, the `annotation_id` of the person; 0 where nobody is."""
        track = np.zeros((self.height, self.width), np.int32)
        for window in self.windows:
            np.copyto(track[window.place], window.person.annotation_id, where=window.part > 0)
        return track

    @cached_property
    def error_cm(self) -> np.ndarray | None:
        """(H, W) float32, 0 where nobody is; None: not known of everyone."""
        error_cm = np.zeros((self.height, self.width), np.float32)
        for window in self.windows:
            if (bars := window.error_cm) is None:
                return None
            np.copyto(error_cm[window.place], bars, where=window.part > 0)
        return error_cm

    @cached_property
    def place(self) -> tuple[slice, slice]:
        """The rows and columns that hold everyone; none where nobody is."""
        x, y, width, height = cv2.boundingRect(self.part)
        return slice(y, y + height), slice(x, x + width)

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
    order = sorted(people, key=lambda each: (each.score, -each.annotation_id))
    return PaintedFrame(tuple(window_of(person, width, height) for person in order), width, height)


def window_of(person: DensePoseInstance, width: int, height: int) -> PersonWindow:
    """A person in the smallest window of an image that holds all of its foreground."""
    column, row = (np.flatnonzero(person.foreground.any(axis=axis)) for axis in (0, 1))
    if not column.size:
        return PersonWindow(person, 0, 0, 0, 0)
    # A pixel of the crop covers half a pixel about its centre.
    x = np.array([column[0] - 0.5, column[-1] + 0.5])
    y = np.array([row[0] - 0.5, row[-1] + 0.5])
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    corners = apply_affine(invert_affine(person.crop_from_image), corners)
    x0, y0 = np.floor(corners.min(axis=0)).clip(0, (width, height)).astype(int).tolist()
    x1, y1 = (np.ceil(corners.max(axis=0)) + 1).clip(0, (width, height)).astype(int).tolist()
    return PersonWindow(person, x0, y0, x1 - x0, y1 - y0)


def smooth_window(
    person: DensePoseInstance, x0: int, y0: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Part (height, width) and u, v (2, height, width) at the image's pixels from column x0, row y0 on, as
    `PersonWindow` has them."""
    window = PersonWindow(person, x0, y0, width, height)
    return window.part, window.uv


class _Cells:
    """The four pixels of a crop (S, S) between which each pixel of a window lies.

    Beyond the border of the crop its border values hold.
    """

    def __init__(self, part: np.ndarray, crop_from_window: np.ndarray, width: int, height: int) -> None:
        self._affine, self._width = crop_from_window, width
        self._shape = part.shape
        self._part = np.pad(part, 1, "edge")
        one = self._part[:-1, :-1].copy()
        for other in (self._part[1:, 1:], self._part[1:, :-1], self._part[:-1, 1:]):
            one[one != other] = 0
        first = self._first(*self._corner(np.arange(height)[:, None], np.arange(width)[None]))
        #: (height, width) uint8: the part of all four; 0 where they are of several.
        self.label = np.pad(one, ((0, 1), (0, 1))).ravel().take(first)

    def taps(self, values: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Values (S, S) of the four pixels around some of the window's (M,): (4, M)."""
        return self._four(np.pad(values, 1, "edge").ravel(), some)

    def decided(self, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of some pixels (M,) the part with most weight, of equals the lower one, and the weights (4, M) of
        its pixels, which add up to 1."""
        label = self._four(self._part.ravel(), some)
        x, y = self._corner(*np.divmod(some, self._width))
        right, down = ((place - np.floor(place)).astype(np.float32) for place in (x, y))
        left, up = 1 - right, 1 - down
        weight = np.stack([up * left, up * right, down * left, down * right])
        total = np.stack([(weight * (label == one)).sum(axis=0) for one in label])
        wins = total >= total.max(axis=0) - 1e-6
        winner = np.where(wins, label, np.iinfo(label.dtype).max).min(axis=0)
        weight = weight * (label == winner)
        return winner, weight / weight.sum(axis=0)

    def _four(self, padded: np.ndarray, some: np.ndarray) -> np.ndarray:
        first, stride = self._first(*self._corner(*np.divmod(some, self._width))), self._shape[1] + 2
        return np.stack([padded.take(first + offset) for offset in (0, 1, stride, stride + 1)])

    def _corner(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the window's pixels lie in the crop, x and y px."""
        (a, b, c), (d, e, f) = self._affine.tolist()
        # Where nothing is turned, x is the same for a column and y for a row.
        return a * column + c + (b * row if b else 0.0), e * row + f + (d * column if d else 0.0)

    def _first(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The first of the four, in the crop with its border around it once more."""
        side_y, side_x = self._shape
        left, top = (np.floor(place).astype(np.int64) for place in (x, y))
        return (top.clip(-1, side_y - 1) + 1) * (side_x + 2) + left.clip(-1, side_x - 1) + 1
