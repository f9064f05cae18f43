"""DensePose's 256 x 256 box frame, and the one place where its scale is chosen.

A person's box is stretched, not padded, to 256 x 256; points and coarse masks live there. Two conventions
meet in public code: training maps x = x0 + dp_x * w / 256, the evaluator of average precision maps with
w / 255. Labels here use 256, for points and for coarse masks alike: the centre of mask pixel (row j,
column i) is where a point with dp_x = i, dp_y = j lies. Code that wants 255 says so where it does.
"""

from __future__ import annotations

import numpy as np

#: Side of the frame, px.
FRAME = 256
_ROUNDING = 1e-6  # px of the frame


def image_from_frame(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Points (N, 2) x, y in the frame of a box (4,) xywh image px -> (N, 2) float64 image px."""
    box = np.asarray(box, dtype=np.float64)
    return box[:2] + np.asarray(points, dtype=np.float64).reshape(-1, 2) * (box[2:] / FRAME)


def frame_from_image(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Points (N, 2) x, y image px -> (N, 2) float64 in the frame of a box (4,) xywh image px."""
    box = np.asarray(box, dtype=np.float64)
    return (np.asarray(points, dtype=np.float64).reshape(-1, 2) - box[:2]) * (FRAME / box[2:])


def beyond_box(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Which points (N, 2) x, y lie outside of a box (4,) xywh, both image px, by more than rounding; (N,)."""
    at = frame_from_image(points, box)
    beyond: np.ndarray = (at < -_ROUNDING) | (at > FRAME + _ROUNDING)
    return np.any(beyond, axis=1)


def frame_pixel_centres(box: np.ndarray) -> np.ndarray:
    """Where the pixels of a coarse mask lie: (256, 256, 2) float64 x, y image px, rows first."""
    row, column = np.mgrid[0:FRAME, 0:FRAME]
    return image_from_frame(np.stack([column, row], axis=-1), box).reshape(FRAME, FRAME, 2)


def sample_coarse(
    coarse: np.ndarray, box: np.ndarray, points: np.ndarray, outside: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read a coarse mask (256, 256) uint8 over a box (4,) xywh at points (N, 2) x, y image px, nearest pixel.

    Returns (N,) uint8 labels, `outside` for points outside the box; (N,) bool, true for those in it.
    """
    column, row = np.floor(frame_from_image(points, box) + 0.5).T
    inside = (column >= 0) & (column < FRAME) & (row >= 0) & (row < FRAME)
    label = np.full(len(column), outside, dtype=np.uint8)
    label[inside] = coarse[row[inside].astype(int), column[inside].astype(int)]
    return label, inside
