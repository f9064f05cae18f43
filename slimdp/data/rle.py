"""COCO's masks through pycocotools, checked first: its C code trusts what it is given.

Runs that do not fill a mask leave it half uninitialised, more runs than pixels are written past the end of
its memory, and polygons are drawn point by point along their sides, however long these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from flow_cache.coco import FARTHEST_PX
from flow_cache.images import MAX_PIXELS
from flow_cache.runtime.json_file import short
from slimdp.label_runs import LabelRuns

#: Length of the sides of polygons that are drawn, px: pycocotools takes 80 bytes of memory for each.
LONGEST_OUTLINE_PX = 2**22


class Runs(NamedTuple):
    """The runs of K masks, one mask after the other; in each the first, third, ... run is not set."""

    length: np.ndarray  # (R,) int64 px, down the columns
    first: np.ndarray  # (K,) int64: where the runs of each mask begin


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
    packed = [{"size": [height, width], "counts": rle["counts"]} for rle in rles]
    listed = [isinstance(rle["counts"], list) for rle in packed]
    packed = [coco_mask.frPyObjects(rle, height, width) if bare else rle for rle, bare in zip(packed, listed)]
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

    Raises ValueError for an x without a y, a corner that is not finite or farther out than `FARTHEST_PX`, or
    sides longer than `LONGEST_OUTLINE_PX` together.
    """
    _check_pixels(height, width)
    length_px = 0.0
    for polygon in polygons:
        if len(polygon) % 2:
            raise ValueError(f"a polygon of {len(polygon)} numbers: an x without a y")
        corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        if not (np.abs(corners) <= FARTHEST_PX).all():  # NaN is not below anything
            wanted = f"at most {FARTHEST_PX:,.0f} px are wanted"
            raise ValueError(f"a polygon with a corner at {np.abs(corners).max():g} px, but {wanted}")
        length_px += outline_length(corners)
    if length_px > LONGEST_OUTLINE_PX:
        most = f"at most {LONGEST_OUTLINE_PX:,} px can be drawn"
        raise ValueError(f"an outline {length_px:,.0f} px long, but {most}")


def label_runs(rles: Sequence[dict[str, Any]], labels: Sequence[int], height: int, width: int) -> LabelRuns:
    """The label map (height, width) of at most 50 masks laid over one another, without drawing any.

    Labels ascend: a mask covers those before it. Raises ValueError as `decode_rle`.
    """
    if not rles:
        return LabelRuns.at(np.zeros(1, np.int64), np.zeros(1, np.uint8), (height, width))
    runs, pixels = read_runs(rles, height, width), height * width
    count = np.diff(np.append(runs.first, len(runs.length)))
    is_set = ((np.arange(len(runs.length)) - np.repeat(runs.first, count)) % 2 == 1) & (runs.length > 0)
    # Each mask fills the picture, so that the places of all of them are one row, mask by mask.
    end = np.cumsum(runs.length)[is_set]
    start = end - runs.length[is_set]
    mask = start // pixels
    start, end = start - mask * pixels, end - mask * pixels
    is_bound = np.zeros(pixels + 1, dtype=bool)
    is_bound[0] = is_bound[start] = is_bound[end] = True
    is_bound[pixels] = False
    bounds = np.flatnonzero(is_bound)
    rank = np.empty(pixels + 1, dtype=np.int64)
    rank[bounds], rank[pixels] = np.arange(len(bounds)), len(bounds)
    # A mask is a bit, added where a run begins and taken where it ends: the sum so far is who is there.
    bit = np.ldexp(1.0, mask)
    size = len(bounds) + 1
    change = np.bincount(rank[start], bit, size) - np.bincount(rank[end], bit, size)
    there = np.cumsum(change[:-1])
    label = np.array([0, *labels], dtype=np.uint8)[np.frexp(there)[1]]  # of the highest bit
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
    count = np.diff(np.append(runs.first, len(runs.length)))
    if count.max() > height * width + 1:
        raise ValueError(f"a run-length mask of {count.max()} runs, more than its {height} x {width} pixels")
    if runs.length.min() < 0:
        raise ValueError("a run-length mask with a run shorter than nothing; it is damaged")
    filled = np.add.reduceat(runs.length, runs.first)
    for pixels in filled[filled != height * width]:
        wanted = f"{height} x {width} = {height * width} are wanted; it is cut short or damaged"
        raise ValueError(f"a run-length mask whose runs fill {pixels} pixels, but {wanted}")
    return runs


def outline_length(corners: np.ndarray) -> float:
    """The length of the sides of a polygon (K, 2), px, as pycocotools goes along them: in x or in y."""
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        most = f"masks are drawn into at most {MAX_PIXELS:,} px"
        raise ValueError(f"a picture of {width} x {height} px, but {most}")


def _join(counts: Sequence[object]) -> Runs:
    """The runs of masks as their files have them: a text, or a list of whole numbers, each."""
    if all(isinstance(one, str) for one in counts):
        return _compressed_runs([str(one) for one in counts])
    each = [_compressed_runs([one]).length if isinstance(one, str) else _listed_runs(one) for one in counts]
    first = np.cumsum([0, *map(len, each[:-1])])
    return Runs(np.concatenate(each), first)


def _listed_runs(counts: object) -> np.ndarray:
    if not isinstance(counts, list) or not {int}.issuperset(map(type, counts)):
        raise ValueError("a run-length mask whose counts are neither a string nor a list of whole numbers")
    if not counts or not 0 <= min(counts) <= max(counts) <= MAX_PIXELS:
        raise ValueError("a run-length mask that is empty, or has a run longer than any image or below 0")
    return np.array(counts, dtype=np.int64)


def _compressed_runs(counts: Sequence[str]) -> Runs:
    """The runs of compressed masks.

    COCO's code: characters of 6 bits from '0' on, 5 of a value and one that says "more follows", least
    significant first, two's complement; from the fourth run on a value is the difference to the run two
    before it.
    """
    texts = [text.encode("utf-8", "replace") for text in counts]
    # What is below '0' becomes large.
    codes = np.frombuffer(b"".join(texts), dtype=np.uint8) - np.uint8(48)
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    if not all(texts) or codes.max() > 63 or (codes[ends - 1] & 32).any():
        raise ValueError("a run-length mask that is empty, cut short, or not in COCO's code")
    last = np.flatnonzero(codes < 32)
    start = np.concatenate([[0], last[:-1] + 1])
    size = last - start + 1
    longest = int(size.max())
    if longest > 6:  # characters, as many as pycocotools reads without overflow
        raise ValueError("a run-length mask with a run longer than any image")
    value = (codes[start] & 31).astype(np.int64)
    for place in range(1, longest):
        more = np.flatnonzero(size > place)
        value[more] |= (codes[start[more] + place] & 31).astype(np.int64) << (5 * place)
    negative = np.flatnonzero(codes[last] & 16)
    value[negative] -= np.left_shift(1, 5 * size[negative])
    bounds = [0, *(np.searchsorted(last, ends - 1) + 1).tolist()]
    for begin, end in pairwise(bounds):
        # Runs 1, 3, 5, ... and 2, 4, 6, ... of a mask are two running sums; run 0 stands alone.
        for place in (1, 2):
            row = value[begin + place : end : 2]
            np.cumsum(row, out=row)
    return Runs(value, np.array(bounds[:-1]))
