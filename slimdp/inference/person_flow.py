"""Optical flow around a tracked person between a frame and the next one, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import cv2
import numpy as np

from flow_cache import DenseInverseSearch, FlowEstimator, FlowPair, FlowStore
from flow_cache.chain import inside_frame
from slimdp.data.crops import crop_image
from slimdp.geometry import affine_zoom, apply_affine, invert_affine, move_box
from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import PersonMaps, VideoFrame
from slimdp.motion.source_flow import find_source

#: Of crops, px: flow of larger ones takes longer. With flow of 128 px crops of 192 px came out of smoothing
#: with 0.7 % fewer pixels right of people in quick motion.
_LARGEST_CROP = 192
#: Grey levels, as a mean over a small square, by which what the flow connects may differ. Flow between two
#: scenes agrees with its way back in a third of the pixels (DIS), but what it connects looks different.
_MOST_UNLIKE, _SQUARE = 32.0, 5
#: Farther than any flow, px: beside what is not known, nothing passes the check.
_FAR_PX = 1e9
#: OpenCV numbers what it reads with 15 bits.
_READ_AT_ONCE = 2**14


@dataclass(frozen=True)
class PersonFlow:
    """The flow around a person from a frame (0) to the next one (1) and back."""

    pair: FlowPair  # in px of the flow
    flow_from_image: np.ndarray  # (2, 3): flow px = A @ (x, y, 1) of image px, of both frames

    def move(self, points_0: np.ndarray, most_px: float) -> tuple[np.ndarray, np.ndarray]:
        """Image px (N, 2) of frame 0 to those of frame 1, and (N,) bool: which may be trusted.

        `most_px` is how far from the start, image px, the way there and back may end. What may not be trusted
        stays where it is.
        """
        return self._move(self._there, points_0, most_px)

    def move_back(self, points_1: np.ndarray, most_px: float) -> tuple[np.ndarray, np.ndarray]:
        """The same from frame 1 to frame 0."""
        return self._move(self._back, points_1, most_px)

    def _move(self, checked: np.ndarray, points: np.ndarray, most_px: float) -> tuple[np.ndarray, np.ndarray]:
        height, width = checked.shape[:2]
        start = apply_affine(self.flow_from_image, points)
        read = _read(checked, start)
        moved = start + read[:, :2]
        zoom = affine_zoom(self.flow_from_image)
        trusted = np.square(read[:, 2:]).sum(axis=1) <= (most_px * zoom) ** 2
        trusted &= inside_frame(start, height, width) & inside_frame(moved, height, width)
        moved = np.where(trusted[:, None], moved, start)
        return apply_affine(invert_affine(self.flow_from_image), moved), trusted

    @cached_property
    def _there(self) -> np.ndarray:
        return _checked_flow(self.pair.flow_0to1, self.pair.flow_1to0)

    @cached_property
    def _back(self) -> np.ndarray:
        return _checked_flow(self.pair.flow_1to0, self.pair.flow_0to1)


class PersonFlowSource(Protocol):
    """Where the flow around people comes from."""

    def between(self, person: PersonMaps, frame_0: VideoFrame, frame_1: VideoFrame) -> PersonFlow:
        """The flow around a person of frame 0 to the next frame and back."""

    def settings(self) -> dict[str, Any]:
        """What decides the flow, as JSON."""


class CropFlow:
    """Flow estimated in the window of the person's crop, which is cut out of both frames alike.

    Args:
        estimator: of `flow_cache`; default: DIS with its fine preset.
    """

    def __init__(self, estimator: FlowEstimator | None = None) -> None:
        self._estimator = estimator or DenseInverseSearch("fine")

    def between(self, person: PersonMaps, frame_0: VideoFrame, frame_1: VideoFrame) -> PersonFlow:
        """As `PersonFlowSource`."""
        affine, size = person.crop_from_image, person.size
        window = np.array(person.window)
        if size > _LARGEST_CROP:  # pixel centres are at integers
            shrunk = _LARGEST_CROP / size
            affine = shrunk * affine + np.array([[0, 0, (shrunk - 1) / 2]] * 2)
            window, size = (shrunk * window).round().astype(int), _LARGEST_CROP
        x0, y0, x1, y1 = window.tolist()
        first = person.crop if size == person.size else None
        crop_0 = crop_image(frame_0.image, affine, size) if first is None else first
        crops = np.stack([crop_0, crop_image(frame_1.image, affine, size)])[:, y0:y1, x0:x1]
        there, back = self._estimator.estimate(crops, [(0, 1), (1, 0)])
        return PersonFlow(_checked_pair(crops[0], crops[1], there, back), affine - [[0, 0, x0], [0, 0, y0]])

    def settings(self) -> dict[str, Any]:
        """The estimator's."""
        return {"estimator": self._estimator.name, **self._estimator.settings()}


class StoredFlow:
    """Flow of steps +1 and -1 from a store of `flow_cache`.

    Args:
        store: open.
        source: the video.

    Raises:
        FlowCacheError, AnnotationError: the store lacks the video, as `find_source` says.
    """

    def __init__(self, store: FlowStore, source: FrameSource) -> None:
        info = source.info
        size, names = (info.width, info.height), source.frame_names()
        self._store, self._video = store, find_source(store, info.path, names, size)

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

    def checked(here: np.ndarray, there: np.ndarray, flow: np.ndarray) -> np.ndarray:
        x, y = _ends(flow)
        moved = cv2.remap(there, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        unlike = cv2.cvtColor(cv2.absdiff(here, moved), cv2.COLOR_RGB2GRAY)
        return np.where(cv2.blur(unlike, (_SQUARE, _SQUARE)) > _MOST_UNLIKE, np.float32(np.nan), flow)

    return FlowPair(checked(image_0, image_1, flow_0to1), checked(image_1, image_0, flow_1to0))


def _checked_flow(flow_0to1: np.ndarray, flow_1to0: np.ndarray) -> np.ndarray:
    """A flow with its forward-backward check at every pixel, read together at points: (h, w, 4) float32 px.

    Where each pixel goes, and from where it started to where the way back ends: x, y each. A pixel whose way
    there or back is not known stays, and ends far away.

    Source: as `flow_cache.forward_backward_offset`, whose offset is the length of the second.
    """
    there, back = (np.nan_to_num(flow, nan=_FAR_PX) for flow in (flow_0to1, flow_1to0))
    x, y = _ends(there)
    returned = [cv2.remap(way, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for way in back]
    known = np.abs(there[0]) < _FAR_PX
    offset = [np.where(known, way + way_back, np.float32(_FAR_PX)) for way, way_back in zip(there, returned)]
    return np.dstack([*(np.where(known, way, np.float32(0)) for way in there), *offset])


def _ends(flow: np.ndarray) -> np.ndarray:
    """Where each pixel of a flow (2, h, w) px ends: x and y, (2, h, w) float32 px."""
    height, width = flow.shape[1:]
    row, column = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    return np.stack([flow[0] + column, flow[1] + row])


def _read(maps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps (h, w, C) float32 read bilinearly at points (N, 2) x, y px: (N, C); the border holds outside."""
    x, y = points.astype(np.float32).T[..., None]
    some = (slice(first, first + _READ_AT_ONCE) for first in range(0, len(x), _READ_AT_ONCE))
    read = [
        cv2.remap(maps, x[rows], y[rows], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for rows in some
    ]
    return np.concatenate(read)[:, 0]
