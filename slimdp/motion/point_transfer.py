"""Points along optical flow, with the forward-backward check: over one flow, or over several in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flow_cache import forward_backward_offset_points, inside_frame, sample_flow


class PointStatus(IntEnum):
    """What became of a label."""

    KEPT = 0
    OUTSIDE = 1  # left the frame, or the box that an annotator drew in it
    INCONSISTENT = (
        2  # the way back does not end where the way there began: hidden, a wrong flow, or none stored
    )
    ELSEWHERE = 3  # what is seen where it lands is another person, another part, or the background


@dataclass(frozen=True)
class FlowPair:
    """The flow between two frames in both directions, (2, H, W) float32 px, x first."""

    flow_0to1: np.ndarray
    flow_1to0: np.ndarray

    def reverse(self) -> FlowPair:
        """The same two frames, seen from the other one."""
        return FlowPair(self.flow_1to0, self.flow_0to1)


@dataclass(frozen=True)
class FlowChain:
    """Flows one after another: the first pair leads from frame 0 to a frame between, the last one to frame 1.

    Points go from flow to flow, each read where the one before has ended; no flow and no picture is
    resampled.
    """

    pairs: tuple[FlowPair, ...]

    def reverse(self) -> FlowChain:
        """The same way, seen from the other end."""
        return FlowChain(tuple(pair.reverse() for pair in reversed(self.pairs)))


@dataclass(frozen=True)
class PropagatedPoints:
    """Where N points of frame 0 have got to in frame 1."""

    points_1: np.ndarray  # (N, 2) float64 x, y image px; of a dropped point, where it would be; NaN: no flow
    status: np.ndarray  # (N,) int64, a PointStatus
    offset_px: np.ndarray  # (hops, N) float64: of the check in each hop; infinite from where a point was lost


def move_points(points_0: np.ndarray, pair: FlowPair, limit_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Move points (N, 2) x, y image px from frame 0 to frame 1.

    Returns:
        points_1 (N, 2) float64 image px, and the `PointStatus` of each (N,) int64: KEPT where the point stays
        in the frame and the way there and back is off by at most `limit_px` image px (Slim DensePose, 5.4).
    """
    points_1, status, _ = _move(points_0, pair, limit_px)
    return points_1, status


def propagate_points(points_0: np.ndarray, chain: FlowChain, limit_px: float) -> PropagatedPoints:
    """Move points (N, 2) x, y image px along several flows; each hop has its own forward-backward check.

    What a hop drops is gone, with the status that it met there; it goes on without the check, to say where it
    would have been.
    """
    here = np.array(points_0, dtype=np.float64).reshape(-1, 2)
    status = np.full(len(here), PointStatus.KEPT, dtype=np.int64)
    offset_px = np.full((len(chain.pairs), len(here)), np.inf)
    for hop, pair in enumerate(chain.pairs):
        known = np.isfinite(here).all(axis=1)
        here[known], status_here, offset_here_px = _move(here[known], pair, limit_px)
        kept = status[known] == PointStatus.KEPT
        offset_px[hop, known] = np.where(kept, offset_here_px, np.inf)
        status[known] = np.where(kept, status_here, status[known])
    return PropagatedPoints(here, status, offset_px)


def trace_points(points_0: np.ndarray, chain: FlowChain) -> np.ndarray:
    """Move points (N, 2) x, y image px along several flows unchecked; NaN where a flow is not known."""
    here = np.array(points_0, dtype=np.float64).reshape(-1, 2)
    for pair in chain.pairs:
        known = np.isfinite(here).all(axis=1)
        here[known] += sample_flow(pair.flow_0to1, here[known])
    return here


#: Moves points (N, 2) px, and says where to and their `PointStatus`: it moves boxes, masks and keypoints.
Mover = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def mover(chain: FlowChain, limit_px: float) -> Mover:
    """`propagate_points` along a chain, of any points."""

    def move(points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        carried = propagate_points(points_0, chain, limit_px)
        return carried.points_1, carried.status

    return move


def _move(points_0: np.ndarray, pair: FlowPair, limit_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`move_points`, and the offset of each (N,) px."""
    height, width = pair.flow_0to1.shape[1:]
    points_1, offset_px = forward_backward_offset_points(points_0, pair.flow_0to1, pair.flow_1to0)
    status = np.where(offset_px <= limit_px, PointStatus.KEPT, PointStatus.INCONSISTENT)
    known = np.isfinite(points_1).all(axis=1)
    inside = inside_frame(points_0, height, width) & inside_frame(points_1, height, width)
    status[known & ~inside] = PointStatus.OUTSIDE
    return points_1, status, offset_px
