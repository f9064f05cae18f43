"""Tracked people through the network: crops of several frames in one batch, maps back to their frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flow_cache import FlowCacheError
from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine, crop_image
from slimdp.data.outline import require_kept_background
from slimdp.inference.error_bars import ErrorBars
from slimdp.inference.pictures import maps_in_boxes
from slimdp.inference.predictor import predict_crops
from slimdp.inference.video_records import (
    Detector,
    FrameMaps,
    PersonMaps,
    TrackedPerson,
    Tracker,
    VideoFrame,
)
from slimdp.models import DensePoseModel
from slimdp.structures import DensePoseMaps
from slimdp.surface.symmetry import UvSymmetry

#: A frame without people waits for others too, and takes memory: frames that are held at most, by batch.
_FRAMES_A_CROP = 2


@dataclass(frozen=True)
class CropNetwork:
    """A network with what it needs to look at people in boxes: in crops, or in the whole frame."""

    model: DensePoseModel
    crop: CropSettings  # how a crop is cut; as in training
    batch: int = 8  # crops that go through it together
    flip_symmetry: UvSymmetry | None = None  # average with the mirrored crop
    error_bars: ErrorBars | None = None  # to say at every pixel how far off it may be

    def __post_init__(self) -> None:
        if self.model.spec.input == "image" and self.flip_symmetry is not None:
            raise ValueError(
                "the network takes whole pictures, which are not mirrored: leave out --flip-test"
            )
        require_kept_background(self.crop)
        if self.batch < 1:
            raise ValueError(f"batch = {self.batch}, but at least one crop is wanted")

    def predict(self, frames: Sequence[tuple[VideoFrame, Sequence[TrackedPerson]]]) -> list[FrameMaps]:
        """The maps of everyone in some frames; FloatingPointError where they are not finite."""
        if self.model.spec.input == "image":
            return [FrameMaps(frame, tuple(self._in_frame(frame, tracked))) for frame, tracked in frames]
        people = [(frame, person) for frame, tracked in frames for person in tracked]
        affines = [crop_affine(person.box, self.crop) for _, person in people]
        maps: list[PersonMaps] = []
        for start in range(0, len(people), self.batch):
            some = range(start, min(start + self.batch, len(people)))
            maps += self._of_batch([people[i] for i in some], [affines[i] for i in some])
        of_frame = iter(maps)
        return [FrameMaps(frame, tuple(next(of_frame) for _ in tracked)) for frame, tracked in frames]

    def _in_frame(self, frame: VideoFrame, tracked: Sequence[TrackedPerson]) -> Iterator[PersonMaps]:
        boxes = np.array([person.box for person in tracked]).reshape(-1, 4)
        name = f"frame {frame.index}"
        found = maps_in_boxes(self.model, frame.image, boxes, self.crop.size, name) if len(boxes) else ()
        for person, (affine, maps, stride) in zip(tracked, found):
            yield PersonMaps(person, affine, maps, stride)

    def _of_batch(
        self, people: Sequence[tuple[VideoFrame, TrackedPerson]], affines: Sequence[np.ndarray]
    ) -> list[PersonMaps]:
        size = self.crop.size
        crops = np.stack([
            crop_image(frame.image, affine, size) for (frame, _), affine in zip(people, affines, strict=True)
        ])  # fmt: skip
        names = [f"frame {frame.index} person {person.track}" for frame, person in people]
        predicted = predict_crops(self.model, crops, names, self.flip_symmetry)
        # Heat maps of keypoints are of training's: nothing that follows looks at them.
        on_cpu = replace(predicted, keypoint_maps=None).map(lambda maps: maps.float().cpu())
        return [
            PersonMaps(person, affine, _one(on_cpu, i), self.model.spec.stride, crops[i])
            for i, ((_, person), affine) in enumerate(zip(people, affines, strict=True))
        ]


def tracked_maps(
    frames: Iterable[VideoFrame],
    detector: Detector,
    tracker: Tracker,
    network: CropNetwork,
    piece: int,
    after_piece: Callable[[FrameMaps], None],
) -> Iterator[FrameMaps]:
    """Detect, track and predict: frames in, everyone's maps out, as soon as a batch is full.

    Batches end with every `piece` frames, so that they are the same where a later run begins with a piece;
    then `after_piece` is called with the maps of its last frame, before anything of the next frame is known.
    Where a frame is damaged its FlowCacheError comes after the maps of all frames before it.
    """
    faults: list[FlowCacheError] = []
    waiting: list[tuple[VideoFrame, list[TrackedPerson]]] = []
    for frame in _sound(frames, faults):
        found = detector.detect(frame.image, frame.index) if tracker.due(frame) else None
        waiting.append((frame, tracker.update(frame, found)))
        ends = (frame.index + 1) % piece == 0
        crops = sum(len(people) for _, people in waiting)
        full = crops >= network.batch or len(waiting) >= _FRAMES_A_CROP * network.batch
        if not (ends or full or tracker.observes):
            continue
        predicted = network.predict(waiting)
        waiting = []
        while tracker.observes and tracker.observe(predicted[-1]):
            predicted[-1:] = network.predict([(frame, tracker.update(frame, None))])
        for position, maps in enumerate(predicted, start=1):
            if ends and position == len(predicted):
                after_piece(maps)
            yield maps
    yield from network.predict(waiting)
    if faults:
        raise faults[0]


def _sound(frames: Iterable[VideoFrame], faults: list[FlowCacheError]) -> Iterator[VideoFrame]:
    """The frames before a damaged one, whose error goes to `faults`."""
    try:
        yield from frames
    except FlowCacheError as error:
        faults.append(error)


def _one(maps: DensePoseMaps, index: int) -> DensePoseMaps:
    return maps.map(lambda each: each[index : index + 1])
