"""Outlines of coarse parts: polygons and brush strokes into the box frame, and GrabCut's help.

Masks are (256, 256) uint8 over a person's box, as in files: 0, the coarse parts, IGNORE where somebody is,
but the part is not said. What is drawn comes in px of the picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from slimdp.data.box_frame import FRAME, frame_pixel_centres, sample_coarse
from slimdp.structures import IGNORE

#: The longer side of what is drawn on, px: twice as fine as the masks.
_CANVAS = 512
#: The longer side of the picture that GrabCut sees, px, and its rounds: a third of a second.
_SEEN, _ROUNDS = 360, 4
#: Around the box, of its longer side: background that GrabCut learns from.
_BORDER = 0.15


def draw_polygon(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The inside of a polygon (K, 2) x, y image px, in the frame of a box (4,) xywh: (256, 256) bool."""
    canvas, scale = _canvas(box)
    fine = np.rint(16 * (points - box[:2]) * scale).clip(-(2**24), 2**24).astype(np.int32)
    cv2.fillPoly(canvas, [fine], 1, shift=4)
    return _in_frame(canvas, box, scale)


def draw_stroke(points: np.ndarray, radius: float, box: np.ndarray) -> np.ndarray:
    """A brush of a radius along a line (K, 2) x, y image px, in the frame of a box: (256, 256) bool."""
    canvas, scale = _canvas(box)
    fine = np.rint(16 * (points - box[:2]) * scale).clip(-(2**24), 2**24).astype(np.int32)
    radius_px = max(radius * scale, 0.5)
    if len(fine) > 1:
        cv2.polylines(canvas, [fine], False, 1, max(1, round(2 * radius_px)), shift=4)
    for end in fine[[0, -1]]:
        cv2.circle(canvas, end.tolist(), round(16 * radius_px), 1, -1, shift=4)
    return _in_frame(canvas, box, scale)


def paint(coarse: np.ndarray | None, drawn: np.ndarray, label: int, where: str) -> np.ndarray:
    """The mask with a label where something was drawn, (256, 256) bool; label 0 erases.

    `where` is "over" for all of it, "under" for what no part has yet, "inside" for what is somebody already.
    """
    coarse = np.zeros((FRAME, FRAME), np.uint8) if coarse is None else coarse.copy()
    allowed = {
        "over": np.ones_like(drawn), "under": (coarse == 0) | (coarse == IGNORE), "inside": coarse > 0
    }[where]  # fmt: skip
    coarse[drawn & allowed] = label
    return coarse


def grab_part(image: np.ndarray, box: np.ndarray, coarse: np.ndarray, label: int) -> np.ndarray:
    """Let the outline of one coarse part follow the picture (H, W, 3) uint8 RGB; other parts stay."""
    seen, scale, origin = _around(image, box)
    labels = _labels_of(coarse, box, seen.shape[:2], scale, origin)
    mine = labels == label
    found = _grab(seen, mine, (labels != 0) & (labels != IGNORE) & ~mine)
    changed = coarse.copy()
    changed[coarse == label] = 0
    grabbed = _sample(found, box, scale, origin)
    changed[grabbed & ((changed == 0) | (changed == IGNORE))] = label
    return changed


def grab_body(image: np.ndarray, box: np.ndarray, coarse: np.ndarray | None) -> np.ndarray:
    """Let the outline of the whole person follow the picture; a pixel that comes takes the nearest part.

    Without a mask the person is looked for in the box, and no part is said (IGNORE).
    """
    seen, scale, origin = _around(image, box)
    if coarse is None or not coarse.any():
        found = _sample(_grab_box(seen, box, scale, origin), box, scale, origin)
        return np.where(found, IGNORE, 0).astype(np.uint8)
    labels = _labels_of(coarse, box, seen.shape[:2], scale, origin)
    found = _sample(_grab(seen, labels > 0, np.zeros_like(labels, bool)), box, scale, origin)
    return np.where(found, _nearest_label(coarse), 0).astype(np.uint8)


def _canvas(box: np.ndarray) -> tuple[np.ndarray, float]:
    """An empty canvas over a box, and its px to a px of the picture."""
    scale = float(_CANVAS / max(box[2], box[3]))
    width, height = (max(1, int(np.ceil(side * scale))) for side in box[2:])
    return np.zeros((height, width), np.uint8), scale


def _in_frame(canvas: np.ndarray, box: np.ndarray, scale: float) -> np.ndarray:
    """What the centres of the frame's pixels show of a canvas, (256, 256) bool."""
    at = np.arange(FRAME) / FRAME
    columns = np.rint(at * box[2] * scale).astype(int).clip(0, canvas.shape[1] - 1)
    rows = np.rint(at * box[3] * scale).astype(int).clip(0, canvas.shape[0] - 1)
    return canvas[rows[:, None], columns[None]] > 0


def _around(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The picture around a box, BGR, small; its px to a px of the picture; where it begins (2,) px."""
    border = _BORDER * max(box[2], box[3])
    low = np.floor(box[:2] - border).clip(0).astype(int)
    high = np.ceil(box[:2] + box[2:] + border).astype(int).clip(None, image.shape[1::-1])
    part = image[low[1] : high[1], low[0] : high[0], ::-1]
    scale = min(1.0, _SEEN / max(part.shape[:2]))
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    return cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA), scale, low


def _labels_of(
    coarse: np.ndarray, box: np.ndarray, shape: tuple[int, int], scale: float, origin: np.ndarray
) -> np.ndarray:
    """The mask as labels (h, w) of the small picture."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    places = np.stack([column.ravel(), row.ravel()], axis=1) / scale + origin
    return sample_coarse(coarse, box, places, outside=0)[0].reshape(shape)


def _sample(found: np.ndarray, box: np.ndarray, scale: float, origin: np.ndarray) -> np.ndarray:
    """What the frame's pixel centres show of the small picture, (256, 256) bool."""
    at = np.rint((frame_pixel_centres(box) - origin) * scale).astype(int)
    column = at[..., 0].clip(0, found.shape[1] - 1)
    row = at[..., 1].clip(0, found.shape[0] - 1)
    return found[row, column]


def _grab(seen: np.ndarray, mine: np.ndarray, others: np.ndarray) -> np.ndarray:
    """GrabCut around a rough mask (h, w) bool: its core is sure, and so is what lies far from it."""
    if not mine.any():
        return mine
    reach = max(3, round(0.25 * np.sqrt(mine.sum())))
    inner = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach | 1, reach | 1))
    outer = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    trimap = np.full(mine.shape, cv2.GC_BGD, np.uint8)
    trimap[cv2.dilate(mine.astype(np.uint8), outer) > 0] = cv2.GC_PR_BGD
    trimap[mine] = cv2.GC_PR_FGD
    trimap[cv2.erode(mine.astype(np.uint8), inner) > 0] = cv2.GC_FGD
    trimap[others] = cv2.GC_BGD
    return _run(seen, trimap, mine)


def _grab_box(seen: np.ndarray, box: np.ndarray, scale: float, origin: np.ndarray) -> np.ndarray:
    """GrabCut from a box alone."""
    trimap = np.full(seen.shape[:2], cv2.GC_BGD, np.uint8)
    low = np.rint((box[:2] - origin) * scale).astype(int).clip(0)
    high = np.rint((box[:2] + box[2:] - origin) * scale).astype(int)
    trimap[low[1] : high[1], low[0] : high[0]] = cv2.GC_PR_FGD
    return _run(seen, trimap, trimap == cv2.GC_PR_FGD)


def _run(seen: np.ndarray, trimap: np.ndarray, before: np.ndarray) -> np.ndarray:
    """GrabCut's mask; that of before where it finds nothing, or has nothing to tell apart."""
    front = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if front.all() or not front.any():
        return before
    cv2.setRNGSeed(0)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(seen, trimap, (0, 0, 1, 1), *model, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return found if found.any() else before


def _nearest_label(coarse: np.ndarray) -> np.ndarray:
    """The label of the nearest pixel that has one, (256, 256) uint8."""
    _, nearest = cv2.distanceTransformWithLabels(
        (coarse == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(nearest.max() + 1, np.uint8)
    table[nearest[coarse > 0]] = coarse[coarse > 0]
    return table[nearest]
