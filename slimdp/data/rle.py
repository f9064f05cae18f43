"""COCO's masks through pycocotools, checked first: its C code trusts what it is given.

Runs that do not fill a mask leave it half uninitialised, more runs than pixels are written past the end of
its memory, and polygons are drawn point by point along their sides, however long these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from flow_cache.runtime.json_file import short
from slimdp.data.validate import FARTHEST_PX
from slimdp.label_runs import LabelRuns

#: Pixels of the largest picture that masks are drawn into: a byte each.
MOST_PIXELS = 2**30
#: Length of the sides of polygons that are drawn, px: pycocotools takes 80 bytes of memory for each.
LONGEST_OUTLINE_PX = 2**22
#: A run of this many characters is as long as pycocotools reads without overflow.
_RUN_CHARACTERS = 6


@dataclass(frozen=True)
class Runs:
    """The runs of K masks, one mask after the other; in each the first, third, ... run is not set."""

    length: np.ndarray  # (R,) int64 px, down the columns
    mask: np.ndarray  # (R,) int64: which mask a run is of
    place: np.ndarray  # (R,) int64: the run's place in its mask, from 0


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
    read_runs(rles, height, width)
    packed = [_packed(rle["counts"], height, width) for rle in rles]
    return coco_mask.decode(packed[0] if len(packed) == 1 else coco_mask.merge(packed)).view(bool)


def decode_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray | None:
    """The union of polygons [x, y, ...], image px, as (height, width) bool; None where none has 3 corners.

    Raises ValueError as `check_polygons`.
    """
    check_polygons(polygons, height, width)
    drawable = [polygon for polygon in polygons if len(polygon) >= 6]
    if not drawable:
        return None
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(drawable, height, width))).view(bool)


def check_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> None:
    """Whether polygons can be drawn into a picture.

    Raises:
        ValueError: an x without a y, a corner that is not finite or farther out than `FARTHEST_PX`, or sides
            longer than `LONGEST_OUTLINE_PX` together.
    """
    _check_pixels(height, width)
    length_px = sum(map(_checked_length, polygons))
    if length_px > LONGEST_OUTLINE_PX:
        raise ValueError(
            f"an outline {length_px:,.0f} px long, but at most {LONGEST_OUTLINE_PX:,} px can be drawn"
        )


def label_runs(rles: Sequence[dict[str, Any]], labels: Sequence[int], height: int, width: int) -> LabelRuns:
    """The label map (height, width) of masks laid over one another, without drawing any.

    Args:
        rles: masks.
        labels: of each, ascending: a mask covers those before it.
        height, width: px.

    Raises:
        ValueError: as `decode_rle`.
    """
    if not rles:
        return LabelRuns.at(np.zeros(1, np.int64), np.zeros(1, np.uint8), (height, width))
    runs = read_runs(rles, height, width)
    ends = np.cumsum(runs.length) - runs.mask * (height * width)
    is_set = (runs.place % 2 == 1) & (runs.length > 0)
    mask, end = runs.mask[is_set], ends[is_set]
    start = end - runs.length[is_set]
    bounds = np.unique(np.concatenate([[0], start, end[end < height * width]]))
    # +1 where a run of a mask begins and -1 where it ends: the sum so far is whether the mask is there.
    steps = np.zeros((len(rles), len(bounds) + 1), dtype=np.int8)
    np.add.at(steps, (mask, np.searchsorted(bounds, start)), 1)
    np.add.at(steps, (mask, np.searchsorted(bounds, end)), -1)
    there = np.cumsum(steps[:, :-1], axis=1, dtype=np.int8) > 0
    last = len(rles) - there[::-1].argmax(axis=0) - 1
    label = np.where(there.any(axis=0), np.asarray(labels, dtype=np.uint8)[last], 0)
    return LabelRuns.at(bounds, label, (height, width))


def read_runs(rles: Sequence[dict[str, Any]], height: int, width: int) -> Runs:
    """The runs of masks of (height, width), which are then known to be safe for pycocotools.

    Raises ValueError as `decode_rle`. Many at once take little longer than one.
    """
    _check_pixels(height, width)
    for rle in rles:
        size = rle.get("size")
        if size != [height, width]:
            raise ValueError(f"a run-length mask of size {short(size)}, but [{height}, {width}] is wanted")
    runs = _join([rle.get("counts") for rle in rles])
    count = np.bincount(runs.mask, minlength=len(rles))
    if count.size and count.max() > height * width + 1:
        raise ValueError(f"a run-length mask of {count.max()} runs, more than its {height} x {width} pixels")
    if (runs.length < 0).any():
        raise ValueError("a run-length mask with a run shorter than nothing; it is damaged")
    filled = np.bincount(runs.mask, weights=runs.length, minlength=len(rles))
    for pixels in filled[filled != height * width]:
        raise ValueError(
            f"a run-length mask whose runs fill {pixels:.0f} pixels, but {height} x {width} = "
            f"{height * width} are wanted; it is cut short or damaged"
        )
    return runs


def outline_length(corners: np.ndarray) -> float:
    """The length of the sides of a polygon (K, 2), px, as pycocotools goes along them: in x or in y."""
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())


def _check_pixels(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"a picture of {width} x {height} px, but masks are drawn into at most {MOST_PIXELS:,} px"
        )


def _checked_length(polygon: Sequence[float]) -> float:
    """The length of a polygon's sides, px."""
    if len(polygon) % 2:
        raise ValueError(f"a polygon of {len(polygon)} numbers: an x without a y")
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if not (np.abs(corners) <= FARTHEST_PX).all():  # NaN is not below anything
        raise ValueError(
            f"a polygon with a corner at {np.abs(corners).max():g} px, but at most {FARTHEST_PX:,.0f} px are "
            "wanted"
        )
    return outline_length(corners)


def _packed(counts: str | list[int], height: int, width: int) -> dict[str, Any]:
    rle = {"size": [height, width], "counts": counts}
    return coco_mask.frPyObjects(rle, height, width) if isinstance(counts, list) else rle


def _join(counts: Sequence[object]) -> Runs:
    """The runs of masks as their files have them: a text, or a list of whole numbers, each."""
    if all(isinstance(one, str) for one in counts):
        return _compressed_runs([str(one) for one in counts])
    each = [_compressed_runs([one]).length if isinstance(one, str) else _listed_runs(one) for one in counts]
    sizes = [len(lengths) for lengths in each]
    place = np.concatenate([np.arange(size) for size in sizes])
    return Runs(np.concatenate(each), np.repeat(np.arange(len(each)), sizes), place)


def _listed_runs(counts: object) -> np.ndarray:
    if not isinstance(counts, list) or not {int}.issuperset(map(type, counts)):
        raise ValueError("a run-length mask whose counts are neither a string nor a list of whole numbers")
    if not counts or not 0 <= min(counts) <= max(counts) <= MOST_PIXELS:
        raise ValueError("a run-length mask that is empty, or has a run longer than any image or below 0")
    return np.array(counts, dtype=np.int64)


def _compressed_runs(counts: Sequence[str]) -> Runs:
    """The runs of compressed masks.

    COCO's code: characters of 6 bits from '0' on, 5 of a value and one that says "more follows", least
    significant first, two's complement; from the fourth run on a value is the difference to the run two
    before it.
    """
    texts = [text.encode("utf-8", "replace") for text in counts]
    codes = np.frombuffer(b"".join(texts), dtype=np.uint8).astype(np.int64) - 48
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    whole = all(texts) and codes.size and codes.min() >= 0 and codes.max() <= 63
    if not whole or (codes[ends - 1] & 32).any():
        raise ValueError("a run-length mask that is empty, cut short, or not in COCO's code")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    size = last - first + 1
    if size.max() > _RUN_CHARACTERS:
        raise ValueError("a run-length mask with a run longer than any image")
    digit = np.arange(codes.size) - np.repeat(first, size)
    value = np.add.reduceat((codes & 31) << (5 * digit), first)
    negative = (codes[last] & 16) != 0
    value[negative] -= np.left_shift(1, 5 * size[negative])
    mask = np.searchsorted(ends, last, side="right")
    starts = np.searchsorted(mask, np.arange(len(texts)))
    place = np.arange(len(value)) - starts[mask]
    # Of each mask, runs 1, 3, 5, ... and 2, 4, 6, ... are two running sums; run 0 stands alone.
    odd, first_run = place % 2 == 1, place == 0
    odd_sums = np.cumsum(np.where(odd, value, 0))
    even_sums = np.cumsum(np.where(odd | first_run, 0, value))
    length = np.where(odd, odd_sums - odd_sums[starts][mask], even_sums - even_sums[starts][mask])
    length[first_run] = value[first_run]
    return Runs(length, mask, place)
