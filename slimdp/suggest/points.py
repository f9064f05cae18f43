"""Which points of a person to label next: those that tell most of the places that are not known yet."""

from __future__ import annotations

import numpy as np

#: A label tells of what lies this near, as a share of the diagonal of the person's box.
SIGMA = 0.08


def suggest_points(
    places: np.ndarray,
    weight: np.ndarray,
    count: int,
    known: np.ndarray | None = None,
    sigma_px: float | None = None,
) -> np.ndarray:
    """Indices (count,) of places to label, the best first.

    A label at a place tells exp(-d^2 / (2 sigma^2)) of another that is d away; each next place is the one
    that adds most to what is told of all, weighted (a greedy cover).

    Args:
        places: (N, 2) x, y px on the person.
        weight: (N,) how much is to be learned there: a network's uncertainty, how far flow carries a label
            from there, or ones; not negative.
        count: how many, at most N.
        known: (M, 2) px, places that have labels already.
        sigma_px: how far a label tells; None: `SIGMA` of the diagonal of the box about the places.

    Raises ValueError for weights of another number, or negative, or places that are not (N, 2).
    """
    if places.ndim != 2 or places.shape[1] != 2 or weight.shape != (len(places),):
        raise ValueError(f"places {places.shape} and weights {weight.shape}; (N, 2) and (N,) are wanted")
    if not (weight >= 0).all():
        raise ValueError("a weight is negative or not finite; 0 or more is wanted")
    if not len(places):
        return np.zeros(0, dtype=np.int64)
    if sigma_px is None:
        sigma_px = max(SIGMA * float(np.linalg.norm(np.ptp(places, axis=0))), 1.0)
    told = _told(places, places, sigma_px)
    best = np.zeros(len(places)) if known is None or not len(known) else _told(known, places, sigma_px).max(0)
    chosen: list[int] = []
    for _ in range(min(count, len(places))):
        gain = (np.maximum(told - best, 0) * weight).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        best = np.maximum(best, told[chosen[-1]])
    return np.array(chosen, dtype=np.int64)


def _told(labels: np.ndarray, places: np.ndarray, sigma_px: float) -> np.ndarray:
    """How much each of labels (M, 2) tells of each of places (N, 2): (M, N) in 0..1."""
    squared = ((labels[:, None] - places[None]) ** 2).sum(axis=2)
    told: np.ndarray = np.exp(-squared / (2 * sigma_px**2))
    return told
