"""The exact flow of a clip and where it is hidden, written as the clip is rendered."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from flow_cache import STEPS, FlowWriter, VideoRecord
from flow_cache.codec import MAX_PX
from slimdp.surface import BodySurface
from slimdp.synthetic.exact_flow import exact_flow
from slimdp.synthetic.occlusion import visible_bits
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.write_picture import write_picture

_REACH = max(STEPS)


class ClipFlowWriter:
    """Writes FOLDER/flow_exact/VIDEO.h5 and FOLDER/visible/VIDEO/000000.png ...

    It holds no more frames than the steps reach. What an attempt that was broken off has left of the store
    goes first. Leaving its `with` block finishes the files.

    Args:
        folder: of the set.
        video: its name.
        frames: how many there will be.
        size: px, both sides of a frame.
        seed: of the set.
        surface: the topology of the people.
    """

    def __init__(
        self, folder: Path, video: str, frames: int, size: int, seed: int, surface: BodySurface
    ) -> None:
        path = folder / "flow_exact" / f"{video}.h5"
        for left in path.parent.glob(f"{path.name}*"):  # with its journal
            left.unlink()
        self._video, self._surface = video, surface
        self._visible_folder = folder / "visible" / video
        self._bits = [np.zeros((size, size), dtype=np.uint8) for _ in range(frames)]
        self._window: dict[int, RenderedFrame] = {}
        self._next = 0
        # Committed once, at the end: a broken clip is made anew.
        self._writer = FlowWriter(path, commit_seconds=float("inf"))
        try:
            self._writer.add_video(_record(video, frames, size, seed), STEPS)
        except BaseException:
            self._writer.close()
            raise

    def __enter__(self) -> ClipFlowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if error is None:
            for index, bits in enumerate(self._bits):
                write_picture(self._visible_folder / f"{index:06d}.png", bits)

    def add(self, frame: RenderedFrame) -> None:
        """Take the next frame: the flow between it and the frames before, both ways, is known now."""
        index, self._next = self._next, self._next + 1
        self._window[index] = frame
        self._window.pop(index - _REACH - 1, None)
        for before in self._window:
            if before < index:
                self._write(before, index)
                self._write(index, before)

    def _write(self, start: int, end: int) -> None:
        flow, visible = exact_flow(self._window[start], self._window[end], self._surface)
        # What comes close to the camera, or behind it, flows beyond all bounds; it is not seen there.
        hidden = np.broadcast_to(~visible, flow.shape)
        flow[hidden] = np.clip(np.nan_to_num(flow[hidden]), -MAX_PX, MAX_PX)
        self._writer.write(self._video, start, end - start, flow)
        self._bits[start] |= visible_bits(end - start, visible)


def _record(video: str, frames: int, size: int, seed: int) -> VideoRecord:
    return VideoRecord(
        name=video,
        frame_names=tuple(f"{index:06d}.jpg" for index in range(frames)),
        width=size,
        height=size,
        source=f"images/clips/{video}",
        source_hash=f"rendered, seed {seed}",
        estimator="exact",
        settings="{}",
        settings_hash="",
    )
