"""Flow over many frames from flow over few: stored fields, one after another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from flow_cache.codec import encode_known
from flow_cache.consistency import inside_frame, sample_flow
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.plan import Field, checked_steps, plan_video
from flow_cache.runtime.progress import Tracker
from flow_cache.schema import VideoRecord
from flow_cache.store import FlowField, FlowStore
from flow_cache.video import as_video
from flow_cache.writer import FlowWriter

#: What the name of the estimator of chained flow begins with.
CHAINED = "chained "


def plan_chain(
    frame: int, step: int, steps: tuple[int, ...], held: Callable[[int, int], bool]
) -> tuple[int, ...]:
    """The hops that lead from a frame to the one `step` later: as few as can be, the longest ones first.

    A hop is a stored flow there together with the one back. The direct flow is a single hop and so comes
    before all others; with flow of one to three frames, 7 frames are 3 + 3 + 1. Hops lead towards the target
    alone: none goes past it and back, nor begins the other way.

    Args:
        frame: index of the frame to start from.
        step: how many frames later it ends, not 0.
        steps: what hops there may be.
        held: whether the flow from a frame over a step is stored, one way.

    Returns:
        Steps that add up to `step`; () where no stored flows lead there.
    """
    towards = sorted({s for s in steps if s * step > 0 and abs(s) <= abs(step)}, key=abs, reverse=True)
    target = frame + step
    reached: dict[int, tuple[int, ...]] = {
        frame: ()
    }  # frames by breadth: the first way there is the shortest
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

    Each is read where the one before has ended; no flow and no image is resampled.
    """

    pairs: tuple[FlowPair, ...]
    origin: tuple[int, int] = (0, 0)  # x, y px of the frames: where all flows, cut to one window, begin

    def reverse(self) -> FlowChain:
        """The same chain, seen from the other end."""
        return FlowChain(tuple(pair.reverse() for pair in reversed(self.pairs)), self.origin)


class FlowSource(Protocol):
    """What flow is read from: a `FlowStore`, or what stands for one."""

    def frames(self, video: str) -> tuple[str, ...]:
        """The names of a video's frames in order; MissingFlowError for a video that is not there."""

    def record(self, video: str) -> VideoRecord:
        """What is known of a video and of how its flow was made."""

    def steps(self, video: str) -> tuple[int, ...]:
        """The steps that a video has room for."""

    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are there: (frames,) bool."""

    def read(self, video: str, frame: int, step: int, box: Sequence[float] | None = None) -> FlowField:
        """The flow from the frame with an index to the frame `step` later, in a box or everywhere."""


class FlowChainReader:
    """Finds and reads chains between the frames of the videos of a store.

    `longest_hop` is how many frames one flow may lead over, 1 for chains from frame to frame; None: all there
    are.
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
            there, back = (
                self._store.read(video, *field, box) for field in ((frame, hop), (frame + hop, -hop))
            )
            pairs.append(FlowPair(there.displacement, back.displacement))
            frame += hop
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
        if within is not None and not (
            within[0] <= frame <= within[1] and within[0] <= frame + step <= within[1]
        ):
            return False  # another video may begin there
        key = video, step
        if key not in self._finished:
            self._finished[key] = self._store.finished(*key)
        finished = self._finished[key]
        return bool(0 <= frame < len(finished) and finished[frame])


@dataclass(frozen=True)
class ChainSummary:
    """How many fields `chain_flow` wrote, and how many it found finished."""

    chained: int
    found: int


def chain_flow(
    store: FlowStore,
    out: Path,
    steps: Sequence[int],
    frames: Mapping[str, Iterable[int]] | None = None,
    filter: str = "zstd",
) -> ChainSummary:
    """Write the flow over some steps into another store, each field made of as few stored ones as can be.

    Few frames apart, an estimator sees small motion, and sees it well; a chain inherits that, where the
    direct estimate over as many frames loses people who turn or run. Its errors add up, and it follows
    whatever covers a point on the way: the forward-backward check between both ends is to be made as ever.
    What leaves the frame on the way, or meets what is not stored, is NaN. Finished fields are left alone, so
    that an interrupted run goes on.

    Args:
        store: flow both ways over short steps (`plan_chain` says which of them lead where).
        out: the .h5 file to write.
        steps: frames from the first to the last of a chain; those that the store holds are copied.
        frames: by the name of a video, only fields that start or end at one of these; None for all fields.
        filter: a key of `schema.FILTERS`.

    Raises:
        FlowCacheError: bad steps, frames that a video does not have, an `out` that is part of the store, or
            that holds other flow.
        MissingFlowError: no stored flow leads along a step; found before the first field is written.
    """
    steps = checked_steps(steps)
    videos = store.videos() if frames is None else tuple(frames)
    if any(store.file(video).resolve() == Path(out).resolve() for video in videos):
        raise FlowCacheError(f"{out} is what the flow is read from; write chained flow to a file of its own")
    planned = {video: _plan(store, video, steps, frames) for video in videos}
    chained = found = 0
    with (
        FlowWriter(out, filter) as writer,
        Tracker("chain", "fields", sum(map(len, planned.values()))) as tracker,
    ):
        for video, ways in planned.items():
            writer.add_video(_record(store.record(video)), steps, ways)
            finished = {step: writer.finished(video, step) for step in steps}
            there = [field for field in ways if finished[field[1]][field[0]]]
            tracker.find(len(there))
            found += len(there)
            for (frame, step), hops in ways.items():
                if not finished[step][frame]:
                    flow = chained_field(store, video, frame, hops)
                    writer.write(video, frame, step, encode_known(flow, np.isfinite(flow).all(axis=0)))
                    tracker.advance()
                    chained += 1
    return ChainSummary(chained, found)


def chained_field(store: FlowStore, video: str, frame: int, hops: Sequence[int]) -> np.ndarray:
    """The flow from a frame along stored fields over these hops: (2, H, W) float32 px, x first.

    NaN where the way leaves the frame before its end, or meets what is not stored.
    """
    width, height = store.size(video)
    starts = np.mgrid[:height, :width][::-1].reshape(2, -1).T.astype(np.float64)  # x, y px
    here = starts.copy()
    known = np.ones(len(here), dtype=bool)
    for hop in hops:
        flow = store.read(video, frame, hop).displacement
        known &= inside_frame(here, height, width)
        here[known] += sample_flow(flow, here[known])
        known &= np.isfinite(here).all(axis=1)
        frame += hop
    displacement = np.where(known[:, None], here - starts, np.nan)
    return displacement.T.reshape(2, height, width).astype(np.float32)


def _plan(
    store: FlowStore, video: str, steps: tuple[int, ...], frames: Mapping[str, Iterable[int]] | None
) -> dict[Field, tuple[int, ...]]:
    """The hops of every field that is wanted."""
    reader, chains = FlowChainReader(store), {}
    for frame, step in plan_video(as_video(store.record(video)), steps, frames, None):
        chains[frame, step] = hops = reader.hops(video, frame, step)
        if not hops:
            raise MissingFlowError(
                f"no stored flows lead from frame {frame} to frame {frame + step} of video {video!r} and "
                f"back; the store has steps {', '.join(f'{s:+d}' for s in store.steps(video))}, not of "
                "every frame: precompute one of them for all frames, or ask for the frames that have flow "
                "(--frames)"
            )
    return chains


def _record(record: VideoRecord) -> VideoRecord:
    """The video's record with what tells its chained flow from any other."""
    made_of = json.dumps([CHAINED, record.settings_hash, record.around], sort_keys=True)
    return replace(
        record,
        estimator=CHAINED + record.estimator,
        settings_hash=hashlib.sha256(made_of.encode()).hexdigest(),
        around="",
    )
