"""Smoothing pixel by pixel, in plain Python: the reference of `slimdp.inference.smoothing`."""

from __future__ import annotations

import numpy as np


def bilinear(values: np.ndarray, x: float, y: float) -> np.ndarray:
    """Values (..., h, w) at x, y px; beyond the outermost centres the border holds."""
    height, width = values.shape[-2:]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    x0, y0 = int(min(x, max(width - 2, 0))), int(min(y, max(height - 2, 0)))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    wx, wy = x - x0, y - y0
    top = values[..., y0, x0] * (1 - wx) + values[..., y0, x1] * wx
    bottom = values[..., y1, x0] * (1 - wx) + values[..., y1, x1] * wx
    return np.asarray(top * (1 - wy) + bottom * wy)


def smooth_slowly(
    maps: list[dict[str, np.ndarray]],
    affines: list[np.ndarray],
    shifts: list[np.ndarray],
    middle: int,
    stride: int,
) -> dict[str, np.ndarray]:
    """The mean of frames' maps in the crop of `middle`, where the image moves by `shifts` px between frames.

    Args:
        maps: of each frame, by head, (C, h, w).
        affines: of each frame, (2, 3), image px to crop px.
        shifts: (2,) x, y image px from each frame to the next.
        middle: the frame.
        stride: crop px of a map px.
    """
    own = maps[middle]
    height, width = own["u"].shape[1:]
    out = {head: np.array(values, dtype=np.float64) for head, values in own.items()}
    inverse = np.linalg.inv(np.vstack([affines[middle], [0, 0, 1]]))
    for row in range(height):
        for column in range(width):
            crop = [stride * column + (stride - 1) / 2, stride * row + (stride - 1) / 2, 1]
            image = (inverse @ crop)[:2]
            seen = []
            for other in range(len(maps)):
                moved = image.copy()
                for between in range(middle, other):
                    moved = moved + shifts[between]
                for between in range(other, middle):
                    moved = moved - shifts[between]
                x, y = affines[other] @ [*moved, 1]
                if not (-0.5 <= x <= stride * width - 0.5 and -0.5 <= y <= stride * height - 0.5):
                    continue
                place = (x - (stride - 1) / 2) / stride, (y - (stride - 1) / 2) / stride
                seen.append({head: bilinear(values, *place) for head, values in maps[other].items()})
            for head in ("fine_segm", "coarse_segm"):
                out[head][:, row, column] = np.mean([values[head] for values in seen], axis=0)
            for part in range(own["u"].shape[0]):
                agree = [values for values in seen if values["fine_segm"][1:].argmax() == part]
                for head in ("u", "v"):
                    if agree:
                        mean = np.mean([np.clip(values[head][part], 0, 1) for values in agree])
                        out[head][part, row, column] = mean
    return out
