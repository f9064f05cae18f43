"""COCO run-length masks through pycocotools, checked: pycocotools leaves a short one half uninitialised."""

from __future__ import annotations

from collections.abc import Sequence
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
    return decode_rle_union([rle], height, width)


def decode_rle_union(rles: Sequence[dict[str, Any]], height: int, width: int) -> np.ndarray:
    """The pixels (height, width) bool that any of several masks covers; as `decode_rle` for each of them.

    Masks are joined before they are drawn: that takes a tenth of the time of drawing each.
    """
    if not rles:
        return np.zeros((height, width), dtype=bool)
    for rle in rles:
        if rle.get("size") != [height, width]:
            raise ValueError(
                f"a run-length mask of size {rle.get('size')}, but [{height}, {width}] is wanted"
            )
    for pixels in _filled(rles):
        if pixels != height * width:
            raise ValueError(
                f"a run-length mask whose runs fill {pixels} pixels, but {height} x {width} = "
                f"{height * width} are wanted; it is cut short or damaged"
            )
    packed = [
        coco_mask.frPyObjects(rle, height, width) if isinstance(rle["counts"], list) else rle for rle in rles
    ]
    return coco_mask.decode(packed[0] if len(packed) == 1 else coco_mask.merge(packed)).view(bool)


def decode_polygons(polygons: list[list[float]], height: int, width: int) -> np.ndarray | None:
    """The union of polygons [x, y, x, y, ...] as (height, width) bool; None where none has 3 corners."""
    drawable = [polygon for polygon in polygons if len(polygon) >= 6]
    if not drawable:
        return None
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(drawable, height, width))).view(bool)


def _filled(rles: Sequence[dict[str, Any]]) -> list[int]:
    """How many pixels the runs of each mask fill."""
    compressed = []
    for rle in rles:
        counts = rle.get("counts")
        if isinstance(counts, str):
            compressed.append(counts)
        elif not isinstance(counts, list) or not all(isinstance(run, int) and run >= 0 for run in counts):
            raise ValueError(
                "a run-length mask whose counts are neither a string nor a list of whole numbers"
            )
    sums = iter(_compressed_sums(compressed).tolist() if compressed else [])
    return [sum(rle["counts"]) if isinstance(rle["counts"], list) else next(sums) for rle in rles]


def _compressed_sums(counts: Sequence[str]) -> np.ndarray:
    """The sum of the runs of each of M compressed masks: (M,) int64.

    COCO's code: characters of 6 bits from '0' on, 5 of a value and one that says "more follows", least
    significant first, two's complement; from the fourth run on a value is the difference to the run two
    before it.
    """
    texts = [text.encode("utf-8") for text in counts]
    codes = np.frombuffer(b"".join(texts), dtype=np.uint8).astype(np.int64) - 48
    ends = np.cumsum([len(text) for text in texts])
    whole = all(texts) and codes.min() >= 0 and codes.max() <= 63 and not (codes[ends - 1] & 32).any()
    if not whole:
        raise ValueError("a run-length mask that is empty, cut short, or not in COCO's code")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    digit = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if digit.max() > 7:
        raise ValueError("a run-length mask with a run longer than any image")
    value = np.add.reduceat((codes & 31) << (5 * digit), first)
    negative = (codes[last] & 16) != 0
    value[negative] -= np.left_shift(1, 5 * (digit[last[negative]] + 1))
    mask = np.searchsorted(ends, last, side="right")
    starts = np.searchsorted(mask, np.arange(len(texts)))
    place = np.arange(len(value)) - starts[mask]
    # Of each mask, runs 1, 3, 5, ... and 2, 4, 6, ... are two running sums; run 0 stands alone.
    odd, first_run = place % 2 == 1, place == 0
    odd_sums = np.cumsum(np.where(odd, value, 0))
    even_sums = np.cumsum(np.where(odd | first_run, 0, value))
    runs = np.where(odd, odd_sums - odd_sums[starts][mask], even_sums - even_sums[starts][mask])
    runs[first_run] = value[first_run]
    if (runs < 0).any():
        raise ValueError("a run-length mask with a run shorter than nothing; it is damaged")
    return np.bincount(mask, weights=runs, minlength=len(texts)).astype(np.int64)
