"""Flow over many frames, written once: each field of it is a chain of stored ones over few frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flow_cache.chain import FlowChainReader, inside_frame, sample_flow
from flow_cache.codec import encode_known
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.plan import (
    Field,
    check_steps_stay,
    checked_steps,
    plan_video,
    steps_leaving,
    warn_of_steps_leaving,
)
from flow_cache.runtime.progress import Tracker
from flow_cache.schema import VideoRecord
from flow_cache.store import FlowStore
from flow_cache.video import as_video
from flow_cache.writer import FlowWriter

#: What the name of the estimator of chained flow begins with.
CHAINED = "chained "


@dataclass(frozen=True)
class ChainSummary:
    """Fields of `chain_flow`."""

    chained: int  # written
    found: int  # finished before


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
    that an interrupted run goes on. `out` and `filter` are as of `precompute`.

    Args:
        store: flow both ways over short steps (`plan_chain` says which of them lead where).
        steps: frames from the first to the last of a chain; those that the store holds are copied.
        frames: by the name of a video, only fields that start or end at one of these; None for all fields.

    The log tells of steps that lead out of a video. Raises FlowCacheError for bad steps, or where all lead
    out of all videos, frames that a video does not have, an `out` that is part of the store or holds other
    flow, and, before the first field is written, MissingFlowError where no flow leads along.
    """
    steps = checked_steps(steps)
    videos = store.videos() if frames is None else tuple(frames)
    if any(store.file(video).resolve() == Path(out).resolve() for video in videos):
        raise FlowCacheError(f"{out} is what the flow is read from; write chained flow to a file of its own")
    planned = {video: _plan(store, video, steps, frames) for video in videos}
    leaving = {video: steps_leaving(len(store.frames(video)), steps, planned[video]) for video in videos}
    check_steps_stay(leaving, steps)
    warn_of_steps_leaving(leaving)
    chained = found = 0
    with (
        FlowWriter(out, filter) as writer,
        Tracker("chain", "fields", sum(map(len, planned.values()))) as tracker,
    ):
        for video, ways in planned.items():
            within = tuple(step for step in steps if step not in leaving[video].steps)
            writer.add_video(_record(store.record(video)), within, ways)
            left = writer.unfinished(video, ways)
            tracker.advance(len(ways) - len(left), found=len(ways) - len(left))
            found += len(ways) - len(left)
            for frame, step in left:
                flow = chained_field(store, video, frame, ways[frame, step])
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
    for frame, step in plan_video(as_video(store.record(video)), steps, frames):
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
