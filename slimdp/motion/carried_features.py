"""What is known at hand of a carried label: the numbers that `LearnedCheck` judges it by.

All lengths are px of a 256 px crop of the person, so that people of all sizes are judged alike; what may be
large goes in as log(1 + x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flow_cache import FlowChain, PropagatedPoints, propagate_points, trace_points
from slimdp.motion.colour_check import LAB_WEIGHTS, read_at

#: Rings of eight places about a label that are looked at too, px of a 256 px crop.
RINGS_PX = (3.0, 8.0)
_RING = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if (x, y) != (0, 0)], dtype=np.float64)
_RING /= np.linalg.norm(_RING, axis=1, keepdims=True)
#: Of the forward-backward check: all pass whose flow is known.
_ANY_PX = 1e9
#: Stands for an offset or a spread that is not known: the flow ends outside of the frame.
_UNKNOWN_PX = 100.0
#: The region of frame 0 that places (N, 2) image px lie in, (N,) uint8; 0: none of the person.
RegionOf = Callable[[np.ndarray], np.ndarray]

FEATURES = (
    "offset_most", "offset_sum", "frames", "hops", "speed", "speed_beside_person", "person_offset",
    "person_lost", "person_colour", "colour", "same_region", "has_regions",
    *(
        f"{name}_{ring:g}"
        for ring in RINGS_PX
        for name in ("spread_most", "spread_mean", "offset_most", "offset_middle", "back_spread", "colour",
                     "texture", "same_region")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class CarriedPoints:
    """Labels of one person on their way to another frame."""

    points_0: np.ndarray  # (N, 2) x, y image px
    chain: FlowChain
    step: int  # frames
    lab_0: np.ndarray  # (H, W, 3) float32, frame 0 in Lab, blurred (`blurred_lab`)
    lab_1: np.ndarray
    crop_px: float  # a px of a 256 px crop of the person, image px
    region_of: RegionOf | None = None  # of the person's masks in frame 0; None: there are none


def carried_features(carried: CarriedPoints) -> tuple[PropagatedPoints, np.ndarray]:
    """Where labels land, kept wherever a flow is known, and (N, len(FEATURES)) float32 of them."""
    unit = carried.crop_px
    moved = propagate_points(carried.points_0, carried.chain, _ANY_PX)
    if not len(carried.points_0):
        return moved, np.zeros((0, len(FEATURES)), dtype=np.float32)
    displacement = (moved.points_1 - carried.points_0) / unit
    offset = _known(moved.offset_px / unit)
    colour = _colour_difference(carried, carried.points_0, moved.points_1)
    middle = np.nanmedian(displacement, axis=0) if np.isfinite(displacement).any() else np.zeros(2)
    frames = abs(carried.step)
    columns = {
        "offset_most": np.log1p(offset.max(axis=0)),
        "offset_sum": np.log1p(offset.sum(axis=0)),
        "frames": np.full(len(colour), np.log(frames)),
        "hops": np.full(len(colour), np.log(len(offset))),
        "speed": np.log1p(_known(np.linalg.norm(displacement, axis=1)) / frames),
        "speed_beside_person": np.log1p(_known(np.linalg.norm(displacement - middle, axis=1)) / frames),
        "person_offset": np.full(len(colour), np.log1p(np.median(offset.max(axis=0)))),
        "person_lost": np.full(len(colour), (offset.max(axis=0) > 5).mean()),
        "person_colour": np.full(len(colour), np.log1p(np.median(colour))),
        "colour": np.log1p(colour),
        **_region_columns(carried, moved.points_1),
    }
    for ring in RINGS_PX:
        columns |= _ring_columns(carried, moved.points_1, displacement, ring)
    return moved, np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float32)


def _region_columns(carried: CarriedPoints, points_1: np.ndarray) -> dict[str, np.ndarray]:
    """Whether the way back ends in the region that a label was put on, and how far that reaches about it."""
    count, ones = len(points_1), np.ones(len(points_1))
    names = [f"same_region_{ring:g}" for ring in RINGS_PX]
    if carried.region_of is None:
        return {"has_regions": 0 * ones, "same_region": ones, **dict.fromkeys(names, ones)}
    own = carried.region_of(carried.points_0)
    returned_0 = trace_points(points_1, carried.chain.reverse())
    back = carried.region_of(np.nan_to_num(returned_0, nan=-1e6))
    columns = {"has_regions": ones, "same_region": (back == own).astype(float)}
    for name, ring in zip(names, RINGS_PX, strict=True):
        about = carried.region_of(_about(carried.points_0, ring * carried.crop_px).reshape(-1, 2))
        columns[name] = (about.reshape(count, len(_RING)) == own[:, None]).mean(axis=1)
    return columns


def _ring_columns(
    carried: CarriedPoints, points_1: np.ndarray, displacement: np.ndarray, ring: float
) -> dict[str, np.ndarray]:
    """What the flow, there and back, and the colours do about labels."""
    unit, shape = carried.crop_px, (len(points_1), len(_RING))
    about_0 = _about(carried.points_0, ring * unit)
    moved = propagate_points(about_0.reshape(-1, 2), carried.chain, _ANY_PX)
    about_1 = moved.points_1.reshape(*shape, 2)
    spread = _known(np.linalg.norm((about_1 - about_0) / unit - displacement[:, None], axis=2))
    offset = _known(moved.offset_px / unit).max(axis=0).reshape(shape)
    landed = _about(np.nan_to_num(points_1), ring * unit)
    back = trace_points(landed.reshape(-1, 2), carried.chain.reverse()).reshape(*shape, 2)
    back_spread = _known(np.linalg.norm((back - landed) / unit + displacement[:, None], axis=2))
    there = _colour_difference(carried, about_0.reshape(-1, 2), moved.points_1).reshape(shape)
    own = read_at(carried.lab_0, carried.points_0)[:, None]
    texture = np.linalg.norm(read_at(carried.lab_0, about_0.reshape(-1, 2)).reshape(*shape, 3) - own, axis=2)
    columns = {
        "spread_most": np.log1p(spread.max(axis=1)), "spread_mean": np.log1p(spread.mean(axis=1)),
        "offset_most": np.log1p(offset.max(axis=1)), "offset_middle": np.log1p(np.median(offset, axis=1)),
        "back_spread": np.log1p(np.median(back_spread, axis=1)),
        "colour": np.log1p(there.mean(axis=1)), "texture": np.log1p(texture.mean(axis=1)),
    }  # fmt: skip
    return {f"{name}_{ring:g}": values for name, values in columns.items()}


def _about(points: np.ndarray, radius_px: float) -> np.ndarray:
    """Eight places about each of the points (N, 2): (N, 8, 2)."""
    return points[:, None] + radius_px * _RING  # type: ignore[no-any-return]


def _known(values: np.ndarray) -> np.ndarray:
    """Lengths, none of them infinite or NaN."""
    return np.nan_to_num(values, nan=_UNKNOWN_PX, posinf=_UNKNOWN_PX).clip(0, _UNKNOWN_PX)


def _colour_difference(carried: CarriedPoints, points_0: np.ndarray, points_1: np.ndarray) -> np.ndarray:
    """How much the colours at points differ from those where they land, (N,) in Lab of 8 bits."""
    difference = read_at(carried.lab_0, points_0) - read_at(carried.lab_1, np.nan_to_num(points_1, nan=-1e3))
    return np.linalg.norm(difference * LAB_WEIGHTS, axis=1)  # type: ignore[no-any-return]
