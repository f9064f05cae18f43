"""Shares of pictures and points, drawn by their ids: the order of a file's entries does not matter.

Every picture and every point has a rank, a number that follows from its ids and the seed alone; a share keeps
those with the lowest ranks. So for one seed a smaller share is within a larger one, and always of the size
that it says, to the nearest whole number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from slimdp.structures import PersonAnnotation


def draw_images(ids: Sequence[int], share: float, seed: int) -> set[int]:
    """A share of pictures.

    Args:
        ids: different image ids, in any order.
        share: 0..1, rounded to whole pictures; one at least unless it is 0.
        seed: of the draw.
    """
    ordered = sorted(ids, key=lambda image: (*_ranks(f"image {seed} {image}", 1), image))
    return set(ordered[: share_of(len(ordered), share)])


def draw_points(
    people: Sequence[PersonAnnotation], eligible: Sequence[np.ndarray], share: float, seed: int
) -> list[np.ndarray]:
    """A share of all points of some people, uniformly: not a share of each person's.

    A point is known by its picture's id, its person's and its own place in the person's list.

    Args:
        people: with N points each.
        eligible: (N,) bool each: the points that are drawn from.
        share: 0..1, rounded to whole points; one at least unless it is 0.
        seed: of the draw.

    Returns:
        (N,) bool each: the points that were drawn.
    """
    ranks = [_ranks(f"points {seed} {p.image.id} {p.id}", len(p.points)) for p in people]
    drawn_from = np.concatenate([np.zeros(0, np.uint64), *(r[e] for r, e in zip(ranks, eligible))])
    count = share_of(len(drawn_from), share)
    if count == 0:
        return [np.zeros_like(e) for e in eligible]
    highest = np.partition(drawn_from, count - 1)[count - 1]
    return [e & (r <= highest) for r, e in zip(ranks, eligible)]


def share_of(total: int, share: float) -> int:
    """A share of a number of things: the nearest whole number, halves up, and 1 at least unless it is 0."""
    if share == 0 or total == 0:
        return 0
    return max(1, int(share * total + 0.5))


def _ranks(name: str, count: int) -> np.ndarray:
    """`count` numbers (count,) uint64, uniform and as good as different, that follow from a name alone."""
    return np.frombuffer(hashlib.shake_128(name.encode()).digest(8 * count), dtype="<u8")
