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


def log_odds(scores: np.ndarray) -> float:
    """All classes (C,) against the first one."""
    return float(np.log(np.exp(scores[1:].astype(np.float64)).sum()) - scores[0])


def smooth_slowly(
    maps: list[dict[str, np.ndarray]],
    affines: list[np.ndarray],
    shifts: list[np.ndarray],
    middle: int,
    stride: int,
    reach: int,
) -> dict[str, np.ndarray]:
    """The means of frames' maps in the crop of `middle`, where the image moves by `shifts` px between frames.

    Args:
        maps: of each frame, by head, (C, h, w).
        affines: of each frame, (2, 3), image px to crop px.
        shifts: (2,) x, y image px from each frame to the next.
        middle: the frame.
        stride: crop px of a map px.
        reach: how far away frames say whether a person is there; all of them say where on the body.

    Returns:
        at twice the resolution "log_odds" (2 h, 2 w) of a person, and where these are over 0 or a pixel away,
        "near", means of "parts", "u" and "v" (P, 2 h, 2 w).
    """
    own = maps[middle]
    parts, height, width = own["u"].shape
    odds = [
        np.array([[[sum(log_odds(of[head][:, y, x]) for head in ("fine_segm", "coarse_segm"))
                    for x in range(width)] for y in range(height)]])
        for of in maps
    ]  # fmt: skip
    height, width, finer = 2 * height, 2 * width, stride // 2
    out = {name: np.zeros((parts, height, width)) for name in ("parts", "u", "v")}
    out["log_odds"] = np.zeros((height, width))
    inverse = np.linalg.inv(np.vstack([affines[middle], [0, 0, 1]]))
    for row in range(height):
        for column in range(width):
            crop = [finer * column + (finer - 1) / 2, finer * row + (finer - 1) / 2, 1]
            image = (inverse @ crop)[:2]
            seen, says = [], []
            for other in range(len(maps)):
                moved = image.copy()
                for between in range(middle, other):
                    moved = moved + shifts[between]
                for between in range(other, middle):
                    moved = moved - shifts[between]
                x, y = affines[other] @ [*moved, 1]
                if not (-0.5 <= x <= finer * width - 0.5 and -0.5 <= y <= finer * height - 0.5):
                    continue
                place = (x - (stride - 1) / 2) / stride, (y - (stride - 1) / 2) / stride
                values = {head: bilinear(of_head, *place) for head, of_head in maps[other].items()}
                seen.append(values)
                if other == middle:
                    mine = values
                if abs(other - middle) <= reach:  # the frame's own odds count twice
                    says += [bilinear(odds[other], *place)] * (2 if other == middle else 1)
            out["log_odds"][row, column] = np.mean(says)
            out["parts"][:, row, column] = np.mean([values["fine_segm"][1:] for values in seen], axis=0)
            for part in range(parts):
                agree = [values for values in seen if values["fine_segm"][1:].argmax() == part]
                for head in ("u", "v"):
                    mean = np.mean([np.clip(values[head][part], 0, 1) for values in agree or [mine]])
                    out[head][part, row, column] = mean if agree else mine[head][part]
    person = np.pad(out["log_odds"] > 0, 1)
    out["near"] = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            out["near"][row, column] = person[row : row + 3, column : column + 3].any()
    return out
