"""Points along flow: over one stored field or several in a row, and back again.

The forward-backward check asks where a point ends that goes along the flow and back. Points are (x, y) in px
with pixel centres at integers; a frame of width W and height H covers [-0.5, W - 0.5] x [-0.5, H - 0.5], and
its border pixels hold up to that edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.schema import VideoRecord
from flow_cache.store import FlowField

#: Whole fields are checked in bands of so many pixels, whose points stay in the processor's cache.
_PIXELS_AT_ONCE = 2**15


def inside_frame(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which of the points (N, 2) x, y px lie in a frame; (N,) bool, False for NaN."""
    x, y = points[:, 0], points[:, 1]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def sample_flow(flow: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read a flow (2, H, W) px, x first, bilinearly at points (N, 2) x, y px, finite: (N, 2) float64 px.

    The border holds beyond the outermost pixel centres; NaN where a pixel that a point lies between is.
    """
    height, width = flow.shape[1:]
    x = np.clip(points[:, 0], 0, width - 1)
    y = np.clip(points[:, 1], 0, height - 1)
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    wx, wy = x - x0, y - y0
    # A pixel of weight 0 is not looked at: it may lie in the next tile, which is not known.
    right, below = (wx > 0).astype(np.int64), width * (wy > 0)
    values, first = flow.reshape(2, -1), width * y0 + x0
    top = values.take(first, axis=1) * (1 - wx) + values.take(first + right, axis=1) * wx
    first += below
    bottom = values.take(first, axis=1) * (1 - wx) + values.take(first + right, axis=1) * wx
    return (top * (1 - wy) + bottom * wy).T


def forward_backward_offset_points(
    points_0: np.ndarray,
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Move points along a flow, and measure how far from the start the opposite flow returns them.

    Flows are (2, H, W) px, NaN where not known, or where their valid (H, W) bool is not. Points (N, 2) x, y
    px become points_1 (N, 2) float64 px in frame 1, NaN where the way there is not known, and the offset (N,)
    float64 px, infinite where the point lies outside of frame 0, lands outside of frame 1, or either way is
    not known. Raises FlowCacheError for wrong shapes, or points that are not finite.

    Source: Slim DensePose (Neverova et al., 2019), the check that propagated labels must pass.
    """
    flow_0to1, flow_1to0 = _known_flows(flow_0to1, flow_1to0, valid_0, valid_1)
    points_0 = np.asarray(points_0, dtype=np.float64)
    if points_0.ndim != 2 or points_0.shape[1] != 2:
        raise FlowCacheError(f"points of shape {points_0.shape}; wanted (N, 2) x, y px")
    if not (finite := np.isfinite(points_0).all(axis=1)).all():
        raise FlowCacheError(f"points that are not finite, first in row {int(finite.argmin())}")
    return _there_and_back(points_0, flow_0to1, flow_1to0)[:2]


def forward_backward_offset(
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> np.ndarray:
    """The offset of `forward_backward_offset_points` at every pixel of frame 0: (H, W) float64 px."""
    flow_0to1, flow_1to0 = _known_flows(flow_0to1, flow_1to0, valid_0, valid_1)
    height, width = flow_0to1.shape[1:]
    offset_px = np.empty((height, width))
    rows = max(_PIXELS_AT_ONCE // width, 1)
    for top in range(0, height, rows):
        y, x = np.mgrid[top : min(top + rows, height), 0:width].astype(np.float64)
        points_0 = np.stack([x.ravel(), y.ravel()], axis=1)
        points_1 = points_0 + flow_0to1[:, top : top + rows].reshape(2, -1).T
        offset_px[top : top + rows] = _offset_px(points_0, points_1, flow_1to0)[0].reshape(-1, width)
    return offset_px


def consistent(
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    threshold_px: float,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> np.ndarray:
    """Which pixels of frame 0 pass the forward-backward check: (H, W) bool; arguments and errors as there.

    `threshold_px` is the largest offset that passes, px of these flows; `threshold_in_image` converts one
    that was stated for crops of another size.
    """
    offset_px = forward_backward_offset(flow_0to1, flow_1to0, valid_0, valid_1)
    return _within(offset_px, threshold_px)


def consistent_points(
    points_0: np.ndarray,
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    threshold_px: float,
    valid_0: np.ndarray | None = None,
    valid_1: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Move points, and tell which pass the check: points_1 (N, 2) float64 px in frame 1, and (N,) bool."""
    points_1, offset_px = forward_backward_offset_points(points_0, flow_0to1, flow_1to0, valid_0, valid_1)
    return points_1, _within(offset_px, threshold_px)


def threshold_in_image(threshold_px: float, crop_side_px: float, reference_side_px: float = 256.0) -> float:
    """A threshold that was stated for crops of one size, in px of the image.

    Slim DensePose drops offsets above 5 px in crops of 256 px. A person whose square crop is `crop_side_px`
    image px wide is scaled by 256 / crop_side_px, so 5 crop px are 5 * crop_side_px / 256 image px.
    """
    if not (threshold_px > 0 and crop_side_px > 0 and reference_side_px > 0):
        raise FlowCacheError(
            f"threshold {threshold_px} px, crop side {crop_side_px} px, reference side "
            f"{reference_side_px} px; wanted three positive numbers"
        )
    return threshold_px * crop_side_px / reference_side_px


# ---- chains of flow


@dataclass(frozen=True)
class FlowPair:
    """The flow between two frames in both directions, (2, H, W) float32 px, x first."""

    flow_0to1: np.ndarray
    flow_1to0: np.ndarray


@dataclass(frozen=True)
class FlowChain:
    """Flows one after another: the first pair leads from frame 0 to a frame between, the last one to frame 1.

    Each is read where the one before has ended; no flow and no image is resampled.
    """

    pairs: tuple[FlowPair, ...]
    origin: tuple[int, int] = (0, 0)  # x, y px of the frames: where all flows, cut to one window, begin

    def reverse(self) -> FlowChain:
        """The same chain, seen from the other end."""
        pairs = (FlowPair(pair.flow_1to0, pair.flow_0to1) for pair in reversed(self.pairs))
        return FlowChain(tuple(pairs), self.origin)


class PointStatus(IntEnum):
    """What became of a point that went along a flow, such as a label."""

    KEPT = 0
    OUTSIDE = 1  # left the frame, or the box that an annotator drew in it
    INCONSISTENT = 2  # the way back does not end where the way there began: hidden, a wrong flow, none stored
    ELSEWHERE = 3  # what shows where it lands is something else, as masks say


@dataclass(frozen=True)
class PropagatedPoints:
    """Where N points of frame 0 have got to in frame 1."""

    points_1: np.ndarray  # (N, 2) float64 x, y image px; of a dropped point, where it would be; NaN: no flow
    status: np.ndarray  # (N,) int64, a PointStatus
    offset_px: np.ndarray  # (hops, N) float64: of the check in each hop; infinite from where a point was lost

    @property
    def kept(self) -> np.ndarray:
        """(N,) bool."""
        return self.status == PointStatus.KEPT  # type: ignore[no-any-return]


def propagate_points(points_0: np.ndarray, chain: FlowChain, limit_px: float) -> PropagatedPoints:
    """Move points (N, 2) x, y image px along several flows; each hop has its own forward-backward check.

    A point is KEPT where it stays in the frame, and the way there and back is off by at most `limit_px` image
    px in every hop (Slim DensePose, 5.4). What a hop drops is gone, with the status that it met there; it
    goes on without the check, to say where it would have been.
    """
    here = np.array(points_0, dtype=np.float64).reshape(-1, 2) - chain.origin
    status = np.full(len(here), PointStatus.KEPT, dtype=np.int64)
    offset_px = np.full((len(chain.pairs), len(here)), np.inf)
    for hop, pair in enumerate(chain.pairs):
        finite = np.isfinite(here)
        # Nearly always; the copies below take as long as the check.
        if not hop and finite.all():
            here, status, offset_px[hop] = _move(here, pair, limit_px)
            continue
        known = finite.all(axis=1)
        here[known], status_here, offset_here_px = _move(here[known], pair, limit_px)
        kept = status[known] == PointStatus.KEPT
        offset_px[hop, known] = np.where(kept, offset_here_px, np.inf)
        status[known] = np.where(kept, status_here, status[known])
    return PropagatedPoints(here + chain.origin, status, offset_px)


def trace_points(points_0: np.ndarray, chain: FlowChain) -> np.ndarray:
    """Move points (N, 2) x, y image px along several flows unchecked; NaN where a flow is not known."""
    here = np.array(points_0, dtype=np.float64).reshape(-1, 2) - chain.origin
    for pair in chain.pairs:
        known = np.isfinite(here).all(axis=1)
        here[known] += sample_flow(pair.flow_0to1, here[known])
    return here + chain.origin  # type: ignore[no-any-return]


# ---- from a store


class FlowSource(Protocol):
    """What flow is read from: a `FlowStore`, or what stands for one; all as of `FlowStore`."""

    def frames(self, video: str) -> tuple[str, ...]: ...
    def record(self, video: str) -> VideoRecord: ...
    def steps(self, video: str) -> tuple[int, ...]: ...
    def finished(self, video: str, step: int) -> np.ndarray: ...
    def read(self, video: str, frame: int, step: int, box: Sequence[float] | None = None) -> FlowField: ...


class FlowChainReader:
    """Finds and reads chains between the frames of the videos of a store.

    One flow leads over `longest_hop` frames at most, 1 for chains from frame to frame; None: all there are.
    """

    def __init__(self, store: FlowSource, longest_hop: int | None = None) -> None:
        if longest_hop is not None and longest_hop < 1:
            raise ValueError(f"longest hop of {longest_hop} frames, but 1 or more are wanted")
        self._store, self._longest = store, longest_hop
        self._steps: dict[str, tuple[int, ...]] = {}
        self._finished: dict[tuple[str, int], np.ndarray] = {}

    def hops(
        self, video: str, frame: int, step: int, within: tuple[int, int] | None = None
    ) -> tuple[int, ...]:
        """`plan_chain` with what the store holds of a video; () where no chain leads there.

        `within` is the first and the last frame that the chain may touch; None: all of the video.
        """
        if video not in self._steps:
            self._steps[video] = self._store.steps(video)
        short = tuple(s for s in self._steps[video] if self._longest is None or abs(s) <= self._longest)
        return plan_chain(frame, step, short, lambda f, s: self._held(video, f, s, within))

    def require_hops(
        self, video: str, frame: int, step: int, within: tuple[int, int] | None = None
    ) -> tuple[int, ...]:
        """As `hops`, but MissingFlowError where there are none; it names the command that makes the flow."""
        hops = self.hops(video, frame, step, within)
        if not hops:
            raise self._why_none(video, frame, step)
        return hops

    def read(
        self, video: str, frame: int, hops: Sequence[int], box: Sequence[float] | None = None
    ) -> FlowChain:
        """The flows from a frame along hops that `hops` gave, and back, in a box x, y, width, height px."""
        pairs = []
        for hop in hops:
            there = self._store.read(video, frame, hop, box)
            frame += hop
            pairs.append(FlowPair(there.displacement, self._store.read(video, frame, -hop, box).displacement))
        return FlowChain(tuple(pairs), there.origin)

    def _why_none(self, video: str, frame: int, step: int) -> MissingFlowError:
        between = f"frame {frame} to frame {frame + step} of video {video!r}"
        longest = self._longest or abs(step)
        for start, one_way in ((frame, step), (frame + step, -step)):
            try:
                self._store.read(video, start, max(min(one_way, longest), -longest), (0, 0, 1, 1))
            except MissingFlowError as error:
                return MissingFlowError(
                    f"no stored flows lead from {between} and back (steps {step:+d} and {-step:+d}, or "
                    f"shorter ones in a row, both ways); {error}"
                )
        raise AssertionError(f"a store that holds both flows of {between} offers no chain")

    def _held(self, video: str, frame: int, step: int, within: tuple[int, int] | None) -> bool:
        if within and not within[0] <= min(frame, frame + step) <= max(frame, frame + step) <= within[1]:
            return False  # another video may begin there
        key = video, step
        if key not in self._finished:
            self._finished[key] = self._store.finished(*key)
        finished = self._finished[key]
        return bool(0 <= frame < len(finished) and finished[frame])


def plan_chain(
    frame: int, step: int, steps: tuple[int, ...], held: Callable[[int, int], bool]
) -> tuple[int, ...]:
    """The hops that lead from a frame to the one `step` later: as few as can be, the longest ones first.

    A hop is a stored flow there together with the one back. The direct flow is a single hop and so comes
    before all others; with flow of one to three frames, 7 frames are 3 + 3 + 1. Hops lead towards the target
    alone: none goes past it and back, nor begins the other way. They add up to `step`, which is not 0; ()
    where no stored flows lead there. `steps` are the hops that there may be; `held` tells whether the flow
    from a frame over a step is stored, one way.
    """
    towards = sorted({s for s in steps if s * step > 0 and abs(s) <= abs(step)}, key=abs, reverse=True)
    target = frame + step
    # Frames by breadth: the first way there is the shortest.
    reached: dict[int, tuple[int, ...]] = {frame: ()}
    row = [frame]
    while row and target not in reached:
        following = []
        for start in row:
            for hop in towards:
                end = start + hop
                beyond = abs(end - frame) > abs(step)
                if end not in reached and not beyond and held(start, hop) and held(end, -hop):
                    reached[end] = (*reached[start], hop)
                    following.append(end)
        row = following
    return reached.get(target, ())


def _move(points_0: np.ndarray, pair: FlowPair, limit_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finite points (N, 2) over one flow: where they land, their status, and the offset (N,) px."""
    _check_pair(pair.flow_0to1, pair.flow_1to0)
    points_1, offset_px, inside = _there_and_back(points_0, pair.flow_0to1, pair.flow_1to0)
    status = np.where(offset_px <= limit_px, PointStatus.KEPT.value, PointStatus.INCONSISTENT.value)
    outside = np.flatnonzero(~inside)
    status[outside[np.isfinite(points_1[outside]).all(axis=1)]] = PointStatus.OUTSIDE
    return points_1, status, offset_px


def _there_and_back(
    points_0: np.ndarray, flow_0to1: np.ndarray, flow_1to0: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`forward_backward_offset_points` of finite points, and which of them are inside both frames, (N,)."""
    points_1 = points_0 + sample_flow(flow_0to1, points_0)
    offset_px, inside = _offset_px(points_0, points_1, flow_1to0)
    inside &= inside_frame(points_0, *flow_0to1.shape[1:])
    offset_px[~inside] = np.inf
    return points_1, offset_px, inside


def _offset_px(
    points_0: np.ndarray, points_1: np.ndarray, flow_1to0: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far from points_0 the way back ends, (N,) px, infinite where not known; which points_1 are in."""
    inside = inside_frame(points_1, *flow_1to0.shape[1:])
    start_1 = points_1[inside]
    returned_0 = start_1 + sample_flow(flow_1to0, start_1)
    offset_px = np.full(len(points_0), np.inf)
    offset_px[inside] = np.hypot(*(returned_0 - points_0[inside]).T)
    offset_px[np.isnan(offset_px)] = np.inf
    return offset_px, inside


def _known_flows(
    flow_0to1: np.ndarray, flow_1to0: np.ndarray, valid_0: np.ndarray | None, valid_1: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Flows, NaN where they are not valid; they and what is valid were checked."""
    flows = []
    for name, flow, valid in (("flow_0to1", flow_0to1, valid_0), ("flow_1to0", flow_1to0, valid_1)):
        if valid is not None and (valid.dtype != bool or valid.shape != flow.shape[1:]):
            raise FlowCacheError(
                f"validity of {name} of shape {valid.shape} and type {valid.dtype}; wanted "
                f"{flow.shape[1:]} bool"
            )
        flows.append(np.ascontiguousarray(flow) if valid is None else np.where(valid, flow, np.nan))
    _check_pair(*flows)
    return flows[0], flows[1]


def _within(offset_px: np.ndarray, threshold_px: float) -> np.ndarray:
    if not threshold_px > 0:
        raise FlowCacheError(f"threshold {threshold_px} px of the check; wanted a positive number")
    return offset_px <= threshold_px


def _check_pair(flow_0to1: np.ndarray, flow_1to0: np.ndarray) -> None:
    for name, flow in (("flow_0to1", flow_0to1), ("flow_1to0", flow_1to0)):
        if flow.ndim != 3 or flow.shape[0] != 2 or 0 in flow.shape:
            raise FlowCacheError(f"{name} of shape {flow.shape}; wanted (2, H, W) px, x first")
    if flow_0to1.shape != flow_1to0.shape:
        raise FlowCacheError(
            f"flow_0to1 of shape {flow_0to1.shape} and flow_1to0 of shape {flow_1to0.shape}; wanted the same"
        )
