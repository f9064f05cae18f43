"""The records and the protocols of dense pose over a video: decode, detect, follow, predict, smooth, write.

    VideoFrame ─ Detector ─► Boxes ─ Tracker ─► TrackedPerson ─ network ─► FrameMaps ─ Smoother ─► FrameMaps
               ─ decode ─► FramePose ─ OutputWriter ─► files

Each frame is decoded once and travels with what is found in it. Every step takes one frame at a time, so a
video of hours takes no more memory than one of seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from slimdp.geometry import move_box
from slimdp.inference.painting import PaintedFrame, paint_people
from slimdp.structures import DensePoseInstance, DensePoseMaps
from slimdp.surface.layout import PartLayout


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames are decoded."""

    path: Path
    name: str
    width: int  # px, upright: a turning tag is applied
    height: int  # px, upright
    frames: int  # announced, or the images of a folder; 0 where the file says nothing
    rate: Fraction  # frames a second, on average
    pixel_shape: Fraction = Fraction(1)  # width of a pixel by its height
    still: bool = False  # one image: its outputs are images too


@dataclass(frozen=True)
class VideoFrame:
    """One decoded frame."""

    index: int  # 0, 1, 2, ... in the order in which they are shown
    time_s: Fraction  # when it is shown; the first frame's is the video's own, mostly 0
    image: np.ndarray  # (H, W, 3) uint8 RGB, upright


@dataclass(frozen=True)
class Boxes:
    """People that a detector found in one frame."""

    xywh: np.ndarray  # (N, 4) float64 x, y, width, height, image px, inside of the frame
    score: np.ndarray  # (N,) float64 in 0..1
    track: np.ndarray | None = None  # (N,) int64, who they are, 1, 2, ..., where the detector knows
    given: np.ndarray | None = (
        None  # (N,) bool: a person drew it or named the file, and it stands; None: none
    )

    def __len__(self) -> int:
        return len(self.score)

    @property
    def stands(self) -> np.ndarray:
        """Which boxes stand as they are, (N,) bool."""
        return np.zeros(len(self), bool) if self.given is None else self.given


@dataclass(frozen=True)
class TrackedPerson:
    """Where somebody is in one frame, under a number that stays the same over the video."""

    track: int  # 1, 2, ...
    box: np.ndarray  # (4,) float64 x, y, width, height, image px
    score: float  # of the detection, 0..1


@dataclass(frozen=True)
class PersonMaps:
    """What the network says of one tracked person, before any decision."""

    person: TrackedPerson
    crop_from_image: np.ndarray  # (2, 3) float64: crop px = A @ (x, y, 1) of image px
    maps: DensePoseMaps  # of one image: (1, C, h, w) float32, on the CPU
    stride: int  # crop px to a map px
    crop: np.ndarray | None = None  # (S, S, 3) uint8 RGB, that the network saw; None: cut it again

    @property
    def size(self) -> int:
        """Side of the crop, px."""
        return self.stride * int(self.maps.fine_segm.shape[-1])

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The part of the crop around the box, crop px: columns left to right - 1, rows top to bottom - 1.

        Returns left, top, right, bottom. Along the box's longer side that is all of the crop, across it as
        much around the box, and at least half of the crop: beside that, people are not looked for.
        """
        left, top, width, height = move_box(self.person.box, self.crop_from_image)
        around = max((self.size - max(width, height)) / 2, 0)
        middle = np.array([left + width / 2, top + height / 2])
        half = np.maximum(np.array([width, height]) / 2 + around, self.size / 4)
        x0, y0 = np.floor(np.clip(middle - half, 0, self.size // 2)).astype(int).tolist()
        x1, y1 = np.ceil(np.clip(middle + half, self.size - self.size // 2, self.size)).astype(int).tolist()
        return x0, y0, x1, y1


@dataclass(frozen=True)
class FrameMaps:
    """Everyone's maps in one frame."""

    frame: VideoFrame
    people: tuple[PersonMaps, ...]


@dataclass(frozen=True)
class FramePose:
    """The dense pose of everyone in one frame: what is written.

    A person's `image_id` is the frame's index, `annotation_id` the track.
    """

    frame: VideoFrame
    people: tuple[DensePoseInstance, ...]

    @cached_property
    def painted(self) -> PaintedFrame:
        """Everyone in maps of the frame's size: made once for all writers, the surest person on top."""
        height, width = self.frame.image.shape[:2]
        return paint_people(self.people, width, height)


class Detector(Protocol):
    """Finds people in an image."""

    name: str

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes | None:
        """People in an image (H, W, 3) uint8 RGB, frame number `index` of its video; None where it knows
        nothing of that frame, which is not nobody."""

    def settings(self) -> dict[str, Any]:
        """What decides the boxes, as JSON."""


class Tracker(Protocol):
    """Gives people numbers that stay the same from frame to frame."""

    observes: bool  # whether it must see the network's maps of a frame before the next one

    def due(self, frame: VideoFrame) -> bool:
        """Whether a detector is to look at the next frame; comes once before its `update`."""

    def update(self, frame: VideoFrame, found: Boxes | None) -> list[TrackedPerson]:
        """Who is where in the next frame; `found` is None in a frame that no detector looked at."""

    def observe(self, pose: FrameMaps) -> bool:
        """Take note of what the network says of the people of the last `update`.

        True: the network is to look at the frame again, where the next `update` of it says.
        """

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""

    def state(self) -> dict[str, Any]:
        """Everything but the last frame that the next `update` depends on, as JSON."""

    def restore(self, state: dict[str, Any], last: VideoFrame) -> None:
        """Go on from a `state` after the frame `last`, to the same answers."""


class Smoother(Protocol):
    """Makes maps steady over time."""

    behind: int  # frames before a frame that its maps depend on
    ahead: int  # frames after it

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""

    def smooth(self, frames: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        """The same frames in the same order, each as soon as what it depends on is there."""


class OutputWriter(Protocol):
    """Writes one kind of output, in pieces of some seconds: a killed run goes on after the last one."""

    @property
    def name(self) -> str:
        """What --write takes."""

    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> AbstractContextManager[Callable[[FramePose], None]]:
        """Open a piece; what it gives takes frame after frame. `folder` is empty, and this writer's own."""

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """Make the whole output of all pieces' folders, in order; returns the file or folder within `out`."""
