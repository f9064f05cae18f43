"""COCO run-length masks through pycocotools, checked: pycocotools leaves a short one half uninitialised."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) bool as {"size": [H, W], "counts": str}, fit for JSON."""
    rle = coco_mask.encode(np.asfortranarray(mask).view(np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode_rle(rle: dict[str, Any], height: int, width: int) -> np.ndarray:
    """A run-length mask, compressed or as a list of runs, to (height, width) bool.

    Raises ValueError where it is of another size or its runs do not fill that size.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise ValueError(f"a run-length mask of size {size}, but [{height}, {width}] is wanted")
    if isinstance(counts, str):
        runs = _runs(counts)
    elif isinstance(counts, list) and all(isinstance(run, int) for run in counts):
        runs = np.array(counts, dtype=np.int64)
    else:
        raise ValueError("a run-length mask whose counts are neither a string nor a list of whole numbers")
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(
            f"a run-length mask whose runs fill {runs.sum()} pixels, but {height} x {width} = "
            f"{height * width} are wanted; it is cut short or damaged"
        )
    if isinstance(counts, list):
        rle = coco_mask.frPyObjects(rle, height, width)
    return coco_mask.decode(rle).view(bool)


def decode_polygons(polygons: list[list[float]], height: int, width: int) -> np.ndarray | None:
    """The union of polygons [x, y, x, y, ...] as (height, width) bool; None where none has 3 corners."""
    drawable = [polygon for polygon in polygons if len(polygon) >= 6]
    if not drawable:
        return None
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(drawable, height, width))).view(bool)


def _runs(counts: str) -> np.ndarray:
    """Run lengths of a compressed mask: (R,) int64.

    COCO's code: characters of 6 bits from '0' on, 5 of a value and one that says "more follows", least
    significant first, two's complement; from the fourth run on a value is the difference to the run two
    before it.
    """
    codes = np.frombuffer(counts.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("a run-length mask that is empty, cut short, or not in COCO's code")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    digit = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if digit.max() > 7:
        raise ValueError("a run-length mask with a run longer than any image")
    value = np.add.reduceat((codes & 31) << (5 * digit), first)
    negative = (codes[last] & 16) != 0
    value[negative] -= np.left_shift(1, 5 * (digit[last[negative]] + 1))
    # Runs 1, 3, 5, ... and 2, 4, 6, ... are two running sums; run 0 stands alone.
    runs = value.copy()
    runs[1::2] = np.cumsum(value[1::2])
    runs[2::2] = np.cumsum(value[2::2])
    return runs
