"""The exact optical flow between two moments and of all frames of a clip, and where it is hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache import STEPS, FlowWriter, VideoRecord
from flow_cache.codec import MAX_PX
from flow_cache.images import ImageError, content_of, decode_unchanged
from slimdp.surface import BodySurface
from slimdp.synthetic.photograph import write_image
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.stage import Hits, Stage


def read_visible(path: str | Path, step: int) -> np.ndarray:
    """Where the flow of a frame (OUT/visible/CLIP/000003.png) over a step of frames is in sight: (H, W) bool.

    A step has the bit of its place in `flow_cache.STEPS`. Raises ImageError for a picture that is missing,
    damaged, or no 8-bit one with one channel, ValueError for another step.
    """
    if step not in STEPS:
        raise ValueError(f"step {step}, but one of {', '.join(f'{known:+d}' for known in STEPS)} is wanted")
    bits = decode_unchanged(Path(path), content_of(Path(path)))
    if bits.dtype != np.uint8 or bits.ndim != 2:
        found = f"{bits.dtype} of shape {bits.shape}"
        raise ImageError(f"{path}: {found}, but an 8-bit picture with one channel is wanted")
    return np.bitwise_and(bits, np.uint8(1 << STEPS.index(step))) != 0


#: What the ray to a point's new place meets is the point where it is this near to it (metres): on the body
#: in its rest pose, so that a hand on a hip hides the hip, and in depth on everything else.
SAME_POINT = 0.01
#: Where a ray meets nothing, it shows something this far away (metres).
_FAR = 1e6


def exact_flow(
    frame_0: RenderedFrame, frame_1: RenderedFrame, surface: BodySurface
) -> tuple[np.ndarray, np.ndarray]:
    """The displacement of every pixel of frame 0, and whether what it shows is seen in frame 1.

    Every pixel shows a point of a mesh; the flow ends where frame 1's camera sees that point, and the point
    is visible if the ray through there meets it first.

    Returns flow_0to1 (2, H, W) float32 px and visible (H, W) bool; what is hidden, or has left the frame,
    still has a flow, which means nothing where a point gets behind the camera.
    """
    camera_0, camera_1 = frame_0.camera, frame_1.camera
    start, end, depth = camera_0.pixels(), *moved_pixels(frame_0, frame_1, surface)
    # What is behind the camera projects too, upside down.
    x, y = end.T
    inside = (depth > 0) & (x > -0.5) & (y > -0.5)
    inside &= (x < camera_1.width - 0.5) & (y < camera_1.height - 0.5)
    visible = np.zeros(len(start), dtype=bool)
    visible[inside] = _in_the_open(frame_0.hits, inside, frame_1, end[inside], depth[inside])
    asked = np.flatnonzero(inside & ~visible)
    stage_1 = _stage_of(frame_1, surface)
    caster = frame_1.caster or stage_1.caster(camera_1)
    visible[asked] = _same_point(frame_0.hits, asked, caster.cast(end[asked]), depth[asked], stage_1)
    flow = (end - start).T.reshape(2, camera_0.height, camera_0.width).astype(np.float32)
    return flow, visible.reshape(camera_0.height, camera_0.width)


def moved_pixels(
    frame_0: RenderedFrame, frame_1: RenderedFrame, surface: BodySurface
) -> tuple[np.ndarray, np.ndarray]:
    """Where frame 1's camera sees what frame 0's pixels show: pixels (H W, 2) and depths (H W,) metres."""
    hits, camera_0 = frame_0.hits, frame_0.camera
    shown = hits.mesh >= 0
    if shown.all():
        points = _stage_of(frame_1, surface).points(hits, np.arange(len(shown)))
    else:
        points = camera_0.position + _FAR * camera_0.directions(camera_0.pixels())
        if shown.any():
            points[shown] = _stage_of(frame_1, surface).points(hits, np.flatnonzero(shown))
    return frame_1.camera.project(points)


def _in_the_open(
    hits_0: Hits, chosen: np.ndarray, frame_1: RenderedFrame, end: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Whether the four pixels of frame 1 about the end of a prop's point all show that surface.

    That is so for most of a picture, and spares it a ray. Between pixels of one plane it is the inverse of
    the depth that is linear.
    """
    height, width = frame_1.camera.height, frame_1.camera.width
    prop = (hits_0.mesh[chosen] >= 0) & (hits_0.person[chosen] < 0)
    if min(height, width) < 2 or not prop.any():
        return np.zeros(len(prop), dtype=bool)
    mesh_0, mesh_1 = hits_0.mesh[chosen].astype(np.int32), frame_1.hits.mesh.astype(np.int32)
    nearness_1 = (1 / frame_1.hits.depth).astype(np.float32)
    corner = np.clip(np.floor(end), 0, [width - 2, height - 2]).astype(np.int64)
    share_x, share_y = (end - corner).astype(np.float32).T
    first = corner[:, 1] * width + corner[:, 0]
    nearness = np.zeros(len(first), dtype=np.float32)
    for down, weight_y in ((0, 1 - share_y), (width, share_y)):
        for right, weight_x in ((0, 1 - share_x), (1, share_x)):
            prop &= mesh_1.take(first + down + right) == mesh_0
            nearness += weight_x * weight_y * nearness_1.take(first + down + right)
    return prop & (np.abs(1 / np.maximum(nearness, 1e-6) - depth) < SAME_POINT)


def _stage_of(frame: RenderedFrame, surface: BodySurface) -> Stage:
    return frame.stage or Stage(frame.people, frame.props, surface)


def _same_point(hits_0: Hits, rays: np.ndarray, met: Hits, depth: np.ndarray, stage: Stage) -> np.ndarray:
    """Whether rays, (N,) rows of `hits_0`, have met the same surface points again."""
    same = hits_0.mesh[rays] == met.mesh
    on_body = same & (met.person >= 0)
    check = same & ~on_body & (met.mesh >= 0)
    same[check] = np.abs(met.depth[check] - depth[check]) < SAME_POINT
    # Most points of a body are met on the very face that they are on.
    elsewhere = np.flatnonzero(on_body & (hits_0.face[rays] != met.face))
    surface, at = stage.surface, rays[elsewhere]
    was = surface.positions(hits_0.face[at], hits_0.barycentric[at])
    now = surface.positions(met.face[elsewhere], met.barycentric[elsewhere])
    same[elsewhere] = np.linalg.norm(was - now, axis=1) < SAME_POINT
    return same


_REACH = max(STEPS)


class ClipFlowWriter:
    """Writes FOLDER/flow_exact/VIDEO.h5 and FOLDER/visible/VIDEO/000000.png ...

    It holds no more frames (`size` px on both sides) than the steps reach. What an attempt that was broken
    off has left of the store goes first. Leaving its `with` block finishes the files.
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
            names = tuple(f"{index:06d}.jpg" for index in range(frames))
            source, seed_of = f"images/clips/{video}", f"rendered, seed {seed}"
            record = VideoRecord(
                video, size, size, names, source, seed_of, estimator="exact", settings="{}", settings_hash=""
            )
            self._writer.add_video(record, STEPS)
        except BaseException:
            self._writer.close()
            raise

    def __enter__(self) -> ClipFlowWriter:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._writer.close()
        if error is None:
            for index, bits in enumerate(self._bits):
                write_image(self._visible_folder / f"{index:06d}.png", bits)

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
        self._bits[start] |= visible.astype(np.uint8) << np.uint8(STEPS.index(end - start))
