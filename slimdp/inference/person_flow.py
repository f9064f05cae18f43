"""Optical flow around a tracked person between a frame and the next one, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from flow_cache import DenseInverseSearch, FlowCacheError, FlowEstimator, FlowPair, FlowStore
from flow_cache import forward_backward_offset_points as forward_backward
from slimdp.data.crops import crop_image
from slimdp.geometry import affine_zoom, apply_affine, invert_affine, move_box
from slimdp.inference.video_records import PersonMaps, VideoFrame, VideoInfo

#: Of crops, px: flow of larger ones takes longer and moves maps of a quarter of the size no better.
_LARGEST_CROP = 128
#: Grey levels, as a mean over a small square, by which what the flow connects may differ. Flow between two
#: scenes agrees with its way back in a third of the pixels (DIS), but what it connects looks different.
_MOST_UNLIKE, _SQUARE = 32.0, 5


@dataclass(frozen=True)
class PersonFlow:
    """The flow around a person from a frame (0) to the next one (1) and back."""

    pair: FlowPair  # in px of the flow
    flow_from_image: np.ndarray  # (2, 3): flow px = A @ (x, y, 1) of image px, of both frames

    def move(self, points_0: np.ndarray, most_px: float) -> tuple[np.ndarray, np.ndarray]:
        """Image px (N, 2) of frame 0 to those of frame 1, and (N,) bool: which may be trusted.

        `most_px` is how far from the start, image px, the way there and back may end.
        """
        return self._move(self.pair, points_0, most_px)

    def move_back(self, points_1: np.ndarray, most_px: float) -> tuple[np.ndarray, np.ndarray]:
        """The same from frame 1 to frame 0."""
        return self._move(FlowPair(self.pair.flow_1to0, self.pair.flow_0to1), points_1, most_px)

    def _move(self, pair: FlowPair, points: np.ndarray, most_px: float) -> tuple[np.ndarray, np.ndarray]:
        start = apply_affine(self.flow_from_image, points)
        moved, offset = forward_backward(start, pair.flow_0to1, pair.flow_1to0)
        trusted = offset <= most_px * affine_zoom(self.flow_from_image)
        moved = np.where(trusted[:, None], moved, start)  # NaN where the flow is not known
        return apply_affine(invert_affine(self.flow_from_image), moved), trusted


class PersonFlowSource(Protocol):
    """Where the flow around people comes from."""

    def between(self, person: PersonMaps, frame_0: VideoFrame, frame_1: VideoFrame) -> PersonFlow:
        """The flow around a person of frame 0 to the next frame and back."""

    def settings(self) -> dict[str, Any]:
        """What decides the flow, as JSON."""


class CropFlow:
    """Flow estimated in the person's crop, which is cut out of both frames alike.

    Args:
        estimator: of `flow_cache`.
    """

    def __init__(self, estimator: FlowEstimator | None = None) -> None:
        self._estimator = estimator or DenseInverseSearch()

    def between(self, person: PersonMaps, frame_0: VideoFrame, frame_1: VideoFrame) -> PersonFlow:
        """As `PersonFlowSource`."""
        size = person.size
        affine, shrunk = person.crop_from_image, min(_LARGEST_CROP / size, 1.0)
        if shrunk < 1:  # pixel centres are at integers
            affine = shrunk * affine + np.array([[0, 0, (shrunk - 1) / 2]] * 2)
            size = _LARGEST_CROP
        first = person.crop if shrunk == 1 else None
        crop_0 = crop_image(frame_0.image, affine, size) if first is None else first
        crops = np.stack([crop_0, crop_image(frame_1.image, affine, size)])
        there, back = self._estimator.estimate(crops, [(0, 1), (1, 0)])
        return PersonFlow(_checked_pair(crops[0], crops[1], there, back), affine)

    def settings(self) -> dict[str, Any]:
        """The estimator's."""
        return {"estimator": self._estimator.name, **self._estimator.settings()}


class StoredFlow:
    """Flow of steps +1 and -1 from a store of `flow_cache`.

    Args:
        store: open.
        info: of the video, whose name the store knows it by.

    Raises:
        FlowCacheError: the store has no such video, or one of another size.
    """

    def __init__(self, store: FlowStore, info: VideoInfo) -> None:
        self._store, self._video = store, info.name
        width, height = store.size(info.name)
        if (width, height) != (info.width, info.height):
            raise FlowCacheError(
                f"the flow of video {info.name!r} is of {width} x {height} px, and {info.path} has frames of "
                f"{info.width} x {info.height} px"
            )

    def between(self, person: PersonMaps, frame_0: VideoFrame, frame_1: VideoFrame) -> PersonFlow:
        """As `PersonFlowSource`; MissingFlowError where the store lacks it."""
        height, width = frame_0.image.shape[:2]
        box = move_box(np.array([0, 0, person.size, person.size]), invert_affine(person.crop_from_image))
        near = np.clip(box[:2], 0, [width - 1, height - 1])
        far = np.clip(box[:2] + box[2:], near + 1, [width, height])
        inside = [*near.tolist(), *(far - near).tolist()]
        there = self._store.read(self._video, frame_0.index, 1, inside)
        back = self._store.read(self._video, frame_1.index, -1, inside)
        x, y = there.origin
        rows, columns = there.displacement.shape[1:]
        image_0, image_1 = (frame.image[y : y + rows, x : x + columns] for frame in (frame_0, frame_1))
        pair = _checked_pair(image_0, image_1, there.displacement, back.displacement)
        return PersonFlow(pair, np.array([[1.0, 0, -x], [0, 1, -y]]))

    def settings(self) -> dict[str, Any]:
        """The estimator of the store."""
        record = self._store.record(self._video)
        return {"estimator": record.estimator, "settings": record.settings, "stored": True}


def _checked_pair(
    image_0: np.ndarray, image_1: np.ndarray, flow_0to1: np.ndarray, flow_1to0: np.ndarray
) -> FlowPair:
    """Both flows (2, h, w) px between images (h, w, 3) uint8, NaN where what they connect looks different."""
    height, width = flow_0to1.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))

    def checked(here: np.ndarray, there: np.ndarray, flow: np.ndarray) -> np.ndarray:
        moved = cv2.remap(there, x + flow[0], y + flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        unlike = cv2.cvtColor(cv2.absdiff(here, moved), cv2.COLOR_RGB2GRAY)
        return np.where(cv2.blur(unlike, (_SQUARE, _SQUARE)) > _MOST_UNLIKE, np.float32(np.nan), flow)

    return FlowPair(checked(image_0, image_1, flow_0to1), checked(image_1, image_0, flow_1to0))
