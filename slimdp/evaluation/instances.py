"""What the per-instance measures compare: annotated people, and detected ones, in their images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Boxes, and whatever a file says in px, that reach farther are mistakes.
FARTHEST_PX = 1e9


@dataclass(frozen=True)
class ImageMask:
    """Pixels of an image, kept as the rectangle that holds them."""

    x: int  # column of the rectangle's first pixel
    y: int  # row
    pixels: np.ndarray  # (h, w) bool
    count: int  # how many are set

    @staticmethod
    def of(pixels: np.ndarray, x: int = 0, y: int = 0) -> ImageMask:
        """A mask whose pixels (h, w) bool begin at column x, row y of the image."""
        return ImageMask(x, y, pixels, int(np.count_nonzero(pixels)))

    @staticmethod
    def empty() -> ImageMask:
        """A mask of no pixel."""
        return ImageMask(0, 0, np.zeros((0, 0), dtype=bool), 0)

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """Its first column and row, and those past its last."""
        height, width = self.pixels.shape
        return self.x, self.y, self.x + width, self.y + height

    def cropped(self) -> ImageMask:
        """The same pixels in the smallest rectangle, copied."""
        rows, columns = np.flatnonzero(self.pixels.any(axis=1)), np.flatnonzero(self.pixels.any(axis=0))
        if not rows.size:
            return ImageMask.empty()
        held = self.pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return ImageMask(self.x + int(columns[0]), self.y + int(rows[0]), held, self.count)

    def shared(self, other: ImageMask) -> int:
        """How many pixels both masks have."""
        (mine_x0, mine_y0, mine_x1, mine_y1), (x0, y0, x1, y1) = self.rectangle, other.rectangle
        x0, y0, x1, y1 = max(x0, mine_x0), max(y0, mine_y0), min(x1, mine_x1), min(y1, mine_y1)
        if x0 >= x1 or y0 >= y1:
            return 0
        mine = self.pixels[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x]
        others = other.pixels[y0 - other.y : y1 - other.y, x0 - other.x : x1 - other.x]
        return int(np.count_nonzero(mine & others))


@dataclass(frozen=True)
class DensePoints:
    """The annotated points of one person, where the evaluation looks them up."""

    places: np.ndarray  # (N, 2) float64 x, y, image px, in the scale of `truths.py`
    part: np.ndarray  # (N,) int64, 1..P
    uv: np.ndarray  # (N, 2) float32 in [0, 1]


@dataclass(frozen=True)
class GroundTruth:
    """One annotated person."""

    id: int
    image_id: int
    box: np.ndarray  # (4,) float64 x, y, width, height, image px
    area: float  # px^2, as the file says it: of the person, not of the box
    crowd: bool
    points: DensePoints | None  # None: without dense pose, and so neither right nor wrong to detect
    mask: ImageMask


@dataclass(frozen=True)
class Detection:
    """One detected person: what is at each pixel of the box, in the scale of the image.

    Pixel (row j, column i) of the map answers for places x0 + i <= x < x0 + i + 1, y0 + j <= y < y0 + j + 1.
    """

    image_id: int
    box: np.ndarray  # (4,) float64 x0, y0, width, height, image px
    score: float
    iuv: np.ndarray  # (3, H, W) uint8: part 0..P (0 background), 255 u, 255 v
