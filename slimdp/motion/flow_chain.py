"""The ways that stored flow offers between the frames of a video."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from flow_cache import MissingFlowError, plan_chain
from slimdp.motion.point_transfer import FlowChain, FlowPair
from slimdp.motion.stored_flow import FlowSource, FramePlace, read_displacement
from slimdp.structures import ImageRecord


class StepSource(FlowSource, Protocol):
    """A `FlowSource` that says what it holds, as a `FlowStore` does."""

    def steps(self, video: str) -> tuple[int, ...]:
        """The steps that a video has room for."""

    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are there: (frames,) bool."""


class FlowChainReader:
    """The ways between the frames of the videos of a store.

    Args:
        store: its flow.
        longest_hop: frames that one flow may lead over; None: as many as the store has. With 1, every way
            goes from frame to frame.
    """

    def __init__(self, store: StepSource, longest_hop: int | None = None) -> None:
        if longest_hop is not None and longest_hop < 1:
            raise ValueError(f"longest hop of {longest_hop} frames, but 1 or more are wanted")
        self._store, self._longest = store, longest_hop
        self._finished: dict[tuple[str, int], np.ndarray] = {}

    def hops(self, place: FramePlace, step: int) -> tuple[int, ...]:
        """`plan_chain` with what the store holds of the video of a frame."""
        steps = self._store.steps(place.video)
        short = tuple(s for s in steps if self._longest is None or abs(s) <= self._longest)
        return plan_chain(place.index, step, short, lambda f, s: self._held(place, f, s))

    def read(self, image: ImageRecord, place: FramePlace, step: int) -> FlowChain:
        """The flows from the frame of an image to the one `step` later, and back.

        Args:
            image: any of the video, whose size the flow must have.
            place: where the frame is in the store.
            step: frames from there.

        Raises:
            ValueError: a flow of another size than the image.
            MissingFlowError: no stored flows lead there; it names the command that makes the direct one.
        """
        hops, frame = self.hops(place, step), place.index
        if not hops:
            raise self._why_none(image, place, step)
        pairs = []
        for hop in hops:
            pairs.append(
                FlowPair(
                    read_displacement(self._store, image, place.video, frame, hop),
                    read_displacement(self._store, image, place.video, frame + hop, -hop),
                )
            )
            frame += hop
        return FlowChain(tuple(pairs))

    def _why_none(self, image: ImageRecord, place: FramePlace, step: int) -> MissingFlowError:
        frame = place.index
        way = f"frame {frame} to frame {frame + step} of video {place.video!r}"
        for start, one_way in ((frame, step), (frame + step, -step)):
            hop = max(min(one_way, self._longest or abs(step)), -(self._longest or abs(step)))
            try:
                read_displacement(self._store, image, place.video, start, hop)
            except MissingFlowError as error:
                return MissingFlowError(
                    f"no stored flows lead from {way} and back (steps {step:+d} and {-step:+d}, or shorter "
                    f"ones in a row, both ways); {error}"
                )
        raise AssertionError(f"a store that holds both flows of {way} offers no way")

    def _held(self, place: FramePlace, frame: int, step: int) -> bool:
        if not (place.holds(frame) and place.holds(frame + step)):
            return False  # another video may begin there
        key = place.video, step
        if key not in self._finished:
            self._finished[key] = self._store.finished(*key)
        finished = self._finished[key]
        return bool(0 <= frame < len(finished) and finished[frame])
