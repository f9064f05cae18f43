"""How far labels of each frame of a video would get along its flow: what one labelled frame is worth.

The same chains, check and trust as in `propagate`, for points spread over each frame instead of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flow_cache import FlowChainReader, FlowSource
from flow_cache.chain import PropagatedPoints, propagate_points
from flow_cache.runtime.progress import tracked
from slimdp.motion.label_transfer import FallingConfidence

#: Points along each side of what is looked at in a frame.
CELLS = 8


@dataclass(frozen=True)
class FrameReach:
    """What labels of one frame are worth in those around it.

    Of F frames in a row, `trust[f, reach + s, k]` is how much a label would be trusted, 0..1, that came along
    flow from frame f to cell k of frame f + s; 0 where it would be dropped, 1 in frame f itself.
    """

    trust: np.ndarray  # (F, 2 reach + 1, K) float32

    @property
    def reach(self) -> int:
        """How many frames to either side were looked at."""
        return self.trust.shape[1] // 2

    def window(self, frame: int) -> tuple[slice, slice]:
        """The frames around one, and where they are in `trust[frame]`."""
        first, last = max(0, frame - self.reach), min(len(self.trust), frame + self.reach + 1)
        return slice(first, last), slice(first - frame + self.reach, last - frame + self.reach)

    def covered(self, labelled: Sequence[int]) -> np.ndarray:
        """The best trust (F, K) that each cell gets from labelled frames."""
        best = np.zeros((len(self.trust), self.trust.shape[2]), dtype=np.float32)
        for frame in labelled:
            there, mine = self.window(frame)
            best[there] = np.maximum(best[there], self.trust[frame, mine])
        return best


def grid_in_box(box: np.ndarray, cells: int = CELLS) -> np.ndarray:
    """The middles (cells^2, 2) x, y px of the cells of a box x, y, width, height, row by row."""
    share = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(box[0] + share * box[2] - 0.5, box[1] + share * box[3] - 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def measure_reach(
    store: FlowSource,
    video: str,
    points: np.ndarray,
    crop_px: np.ndarray,
    reach: int,
    first: int = 0,
    threshold_px: float = 5.0,
    confidence: FallingConfidence | None = None,
    longest_hop: int | None = None,
    follow: Callable[[int], None] | None = None,
) -> FrameReach:
    """Follow points of every frame to the frames around it, there and back.

    Args:
        store, video: where the flow is.
        points: (F, K, 2) x, y px, spread over each frame, from frame `first` of the video on.
        crop_px: (F,) image px of 1 px of a person's 256 px crop, in which the threshold is stated.
        reach: frames to either side.
        threshold_px, confidence, longest_hop: as `TransferSettings`; None: the default trust, all flow.
        follow: is told the place of each frame in the row as its turn comes.

    A chain that the store does not hold reaches nothing.
    """
    reader, trust_in = FlowChainReader(store, longest_hop), confidence or FallingConfidence()
    count, cells = points.shape[:2]
    trust = np.zeros((count, 2 * reach + 1, cells), dtype=np.float32)
    trust[:, reach] = 1
    span = (first, first + count - 1)
    for index in tracked(range(count), "reach of the flow", "frames"):
        if follow is not None:
            follow(index)
        for way in (1, -1):
            walk = _Walk(reader, video, first + index, points[index], span, threshold_px * crop_px[index])
            for distance in range(1, reach + 1):
                step = way * distance
                moved = walk.to(step)
                if not 0 <= index + step < count or moved is None:
                    continue
                offset = np.where(moved.kept, moved.offset_px, 0) / crop_px[index]
                found = np.where(moved.kept, trust_in.of(offset, step), 0)
                # Labels come the other way: from the frame where the point has got to.
                trust[index + step, reach - step] = found
    return FrameReach(trust)


class _Walk:
    """Points of one frame on their way, so that each hop is made once."""

    def __init__(
        self,
        reader: FlowChainReader,
        video: str,
        frame: int,
        points: np.ndarray,
        span: tuple[int, int],
        limit_px: float,
    ) -> None:
        self._reader, self._video, self._frame, self._span = reader, video, frame, span
        self._limit_px = limit_px
        here = PropagatedPoints(
            points.astype(np.float64), np.zeros(len(points), np.int64), np.zeros((0, len(points)))
        )
        self._known: dict[tuple[int, ...], PropagatedPoints] = {(): here}

    def to(self, step: int) -> PropagatedPoints | None:
        """The points `step` frames on; None where no chain of flow leads there."""
        hops = self._reader.hops(self._video, self._frame, step, self._span)
        return self._along(hops) if hops else None

    def _along(self, hops: tuple[int, ...]) -> PropagatedPoints:
        if hops not in self._known:
            before = self._along(hops[:-1])
            chain = self._reader.read(self._video, self._frame + sum(hops[:-1]), hops[-1:])
            hop = propagate_points(before.points_1, chain, self._limit_px)
            status = np.where(before.kept, hop.status, before.status)
            offset_px = np.concatenate([before.offset_px, hop.offset_px])
            self._known[hops] = PropagatedPoints(hop.points_1, status, offset_px)
        return self._known[hops]
