"""How steady the dense pose of a video is, and on rendered videos how right: of `iuv.h5`.

A person's pixels go along the flow from a frame to another one, and what the two frames say of them is
compared, as `slimdp.evaluation.stability` does it with saved predictions of people in boxes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from flow_cache import (
    DenseInverseSearch,
    FlowCacheError,
    FlowChain,
    FlowChainReader,
    FlowEstimator,
    FlowPair,
    FlowStore,
    threshold_in_image,
)
from flow_cache.runtime.progress import tracked
from slimdp.config import CropSettings
from slimdp.data import crop_side
from slimdp.evaluation.annotators import read_true_map
from slimdp.evaluation.points import THRESHOLDS_CM, checked_thresholds, ratio_within, threshold_name
from slimdp.evaluation.stability import (
    JUMP_M,
    THRESHOLD_PX,
    PointAnswers,
    StabilityCount,
    check_step,
    count_followed,
)
from slimdp.inference.iuv_video import IuvFrame, IuvVideo
from slimdp.inference.video_frames import open_frames
from slimdp.structures import ImageRecord
from slimdp.surface import Surface

#: Times of a frame in two readings of a file are equal but for their last digits.
_SAME_TIME_S = 1e-4


class FrameFlow(Protocol):
    """Where the flow between whole frames comes from."""

    def between(self, frame: int, step: int) -> FlowChain:
        """The flow from a frame to the one `step` later, and back; frames are asked for in order."""


class StoredFrameFlow:
    """Flow of a store.

    A dense pose knows its video by the last folder, or the file, alone: the store's may have folders before
    it ("set/a/walk").

    Raises FlowCacheError where the store has no such video, one of another size, or fewer frames, or several
    that it could be.
    """

    def __init__(self, store: FlowStore, video: IuvVideo) -> None:
        self._chains, self._name = FlowChainReader(store), _video_in(store, video)

    def between(self, frame: int, step: int) -> FlowChain:
        """As `FrameFlow`; MissingFlowError where the store lacks it."""
        return self._chains.read(self._name, frame, (step,))


def _video_in(store: FlowStore, video: IuvVideo) -> str:
    """The store's name of the video that a dense pose is of."""
    names = [name for name in store.videos() if f"/{name}".endswith(f"/{video.name}")]
    if not names:
        store.frames(video.name)  # raises: what there is, and how to make the flow
    fitting = [
        name
        for name in names
        if store.size(name) == (video.width, video.height)
        and len(store.frames(name)) >= video.first_frame + len(video)
    ]
    if video.name in fitting:
        return video.name
    if len(fitting) > 1:
        raise FlowCacheError(
            f"the flow of {' and '.join(map(repr, fitting))} is there, and {video.path} may be of any of "
            "them; name a store with the flow of its video alone"
        )
    if not fitting:
        size, frames = store.size(names[0]), len(store.frames(names[0]))
        raise FlowCacheError(
            f"the flow of video {names[0]!r} is of {frames} frames of {size[0]} x {size[1]} px, but "
            f"{video.path} holds {len(video)} of {video.width} x {video.height} px; name the flow of "
            "that video"
        )
    return fitting[0]


class EstimatedFrameFlow:
    """Flow that is estimated between the frames of the video that the dense pose was made of.

    Args:
        source: the video file, or the folder of images.
        video: the dense pose.
        estimator: of `flow_cache`; default: DIS.

    Raises:
        FlowCacheError: the source cannot be read, or is another video: by its size, or, when such a frame
            comes, by its times or its end.
    """

    def __init__(self, source: Path, video: IuvVideo, estimator: FlowEstimator | None = None) -> None:
        self._source, self._video = source, video
        self._estimator = estimator or DenseInverseSearch()
        frames = open_frames(source, video.rate if source.is_dir() else None)
        if (frames.info.width, frames.info.height) != (video.width, video.height):
            size = f"{frames.info.width} x {frames.info.height} px"
            raise self._another(f"has frames of {size}, the dense pose {video.width} x {video.height} px")
        self._frames = frames.frames(video.first_frame)
        self._held: dict[int, np.ndarray] = {}

    def between(self, frame: int, step: int) -> FlowChain:
        """As `FrameFlow`."""
        self._held = {index: image for index, image in self._held.items() if index >= frame}
        images = np.stack([self._image(frame, frame), self._image(frame + step, frame)])
        there, back = self._estimator.estimate(images, [(0, 1), (1, 0)])
        return FlowChain((FlowPair(there, back),))

    def _image(self, index: int, kept_from: int) -> np.ndarray:
        """A frame (H, W, 3) uint8; decodes up to there, and keeps what comes after `kept_from`."""
        while index not in self._held:
            frame = next(self._frames, None)
            if frame is None:
                raise self._another(f"ends before frame {index}")
            time_s = self._video.time_s[frame.index - self._video.first_frame]
            if abs(float(frame.time_s) - time_s) > _SAME_TIME_S:
                shown = f"shows frame {frame.index} at {float(frame.time_s):.4f} s, the dense pose"
                raise self._another(f"{shown} at {time_s:.4f} s")
            if frame.index >= kept_from:
                self._held[frame.index] = frame.image
        return self._held[index]

    def _another(self, difference: str) -> FlowCacheError:
        made_of = f"{self._video.path} was made of video {self._video.name!r}"
        return FlowCacheError(f"{self._source} {difference}; {made_of}: name that one")


def measure_video_stability(
    video: IuvVideo,
    flow: FrameFlow,
    surface: Surface,
    jump_m: float = JUMP_M,
    step: int = 1,
    threshold_px: float = THRESHOLD_PX,
) -> dict[int, StabilityCount]:
    """Follow the pixels of people from frame to frame, and count by track where they jump on the body.

    As `measure_stability`, but a pixel that the second frame calls somebody else's is lost too: of people who
    overlap, the file holds the one on top.

    Raises:
        ValueError: a step below 1, a jump that is not positive, another surface's parts, or nobody who is in
            two frames `step` apart. FlowCacheError: the flow is missing or another video's.
    """
    check_step(step, jump_m)
    surface.layout.check_same_labels(video.layout, f"surface {surface.name}", str(video.path))
    counts: dict[int, StabilityCount] = {}
    for frame_0, frame_1 in _pairs(video, step):
        both = [track for track in frame_0.boxes if track in frame_1.boxes]
        chain = flow.between(frame_0.number, step) if both else FlowChain(())
        for track in both:
            limit_px = threshold_in_image(threshold_px, crop_side(frame_0.boxes[track], CropSettings()))
            count = _count_person(frame_0, frame_1, track, chain, surface, jump_m, limit_px)
            counts[track] = counts.get(track, StabilityCount()) + count
    if not counts:
        found = f"nobody is in two frames {step} apart, of {len(video)}"
        raise ValueError(f"{video.path}: {found}; choose another --step, or predict more frames")
    return dict(sorted(counts.items()))


def points_within(
    video: IuvVideo, folder: Path, surface: Surface, thresholds_cm: Sequence[float] = THRESHOLDS_CM
) -> dict[str, float]:
    """How right the dense pose of a clip of a rendered set is: all pixels of people against the exact maps.

    Returns {"5cm": percent within 5 cm along the body, ..., "background": percent that the dense pose calls
    background, which are wrong (as "full" of `slimdp.evaluation.points`), "count": pixels}. Raises ValueError
    for a folder without the clip's maps, thresholds that cannot be, other parts, or nobody in the maps.
    """
    thresholds = checked_thresholds(thresholds_cm)
    surface.layout.check_same_labels(video.layout, f"surface {surface.name}", str(video.path))
    errors_m = [np.zeros(0)]
    for frame in tracked(video, "compare with the truth", "frames", len(video)):
        name = f"images/clips/{video.name}/{frame.number:06d}.jpg"
        image = ImageRecord(frame.number, folder / name, name, video.width, video.height)
        truth = read_true_map(image, len(surface.layout.parts), folder)
        there = truth[..., 0] > 0
        (part, uv), (true_part, true_uv) = (_places(iuv[there]) for iuv in (frame.iuv, truth))
        errors_m.append(surface.distance_between(part, uv, true_part, true_uv))
    all_m = np.concatenate(errors_m)
    if not len(all_m):
        raise ValueError(f"{folder}: nobody is in the exact maps of clip {video.name}")
    shares = {threshold_name(t): 100 * ratio_within(all_m, t / 100) for t in thresholds}
    return {**shares, "background": 100 * float(np.isinf(all_m).mean()), "count": len(all_m)}


def _pairs(video: IuvVideo, step: int) -> Iterator[tuple[IuvFrame, IuvFrame]]:
    """Frames and those `step` later, each read once."""
    window: deque[IuvFrame] = deque(maxlen=step + 1)
    for frame in tracked(video, "stability", "frames", len(video)):
        window.append(frame)
        if len(window) > step:
            yield window[0], frame


def _count_person(
    frame_0: IuvFrame,
    frame_1: IuvFrame,
    track: int,
    chain: FlowChain,
    surface: Surface,
    jump_m: float,
    limit_px: float,
) -> StabilityCount:
    height, width = frame_1.track.shape

    def read_1(points_1: np.ndarray) -> PointAnswers:
        x, y = np.floor(points_1 + 0.5).astype(np.int64).T  # as `nearest_pixels`: a half goes up
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        x, y = x * inside, y * inside
        return PointAnswers(inside, frame_1.track[y, x] == track, *_places(frame_1.iuv[y, x]))

    row, column = np.nonzero(frame_0.track == track)
    pixels_0, answers_0 = np.column_stack([column, row]), _places(frame_0.iuv[row, column])
    return count_followed(pixels_0, *answers_0, read_1, chain, surface, jump_m, limit_px)


def _places(iuv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part (N,) and (u, v) (N, 2) float32 of pixels (N, 3) uint8."""
    return iuv[:, 0].astype(np.int64), iuv[:, 1:].astype(np.float32) / 255
