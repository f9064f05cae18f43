"""Second pictures from the video: other frames of it, along stored flow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_cache import FlowStore, forward_backward_offset_points, threshold_in_image
from slimdp.data import AnnotationError, PoseDataset
from slimdp.data.augment import Augmentation
from slimdp.data.crops import crop_side
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion.frame_places import FramePlaces
from slimdp.motion.pair_views import FlowView
from slimdp.structures import ImageRecord, PersonAnnotation

#: How far a window of flow reaches over the first crop on each side, share of its side: people move.
_WINDOW_MARGIN = 0.25
#: Where a person is looked for who has fewer points than this: a grid over the middle of the box.
_LEAST_POINTS, _GRID = 4, 8
#: Memory of each loading process for fields that it comes back to.
_KEPT_BYTES = 2**28


@dataclass(frozen=True)
class _Frame:
    """An annotated frame, and those that can be reached from it."""

    video: str  # in the store
    index: int
    steps: tuple[int, ...]
    files: tuple[Path, ...]  # of the pictures there


class TemporalPairs:
    """For each person the same one some frames later or earlier, chosen at random.

    The second crop keeps the size of the first and follows the person: its centre moves by the median motion
    of the places that the check lets pass. Stills have no second picture.

    Args:
        store: flow of the videos, both ways of every step.
        steps: frames to the second picture; those that leave the video are left out.
        threshold_px: of the check, px of a 256 px crop.
        images: all frames that may come first.
        listed: all frames of the annotation files, which tell where another video begins.

    Raises:
        AnnotationError: a video or frame that the store does not have, frames of another size or content
            (`FramePlaces`), or a picture that is missing.
        flow_cache.MissingFlowError: flow that the store does not hold.
    """

    def __init__(
        self,
        store: FlowStore,
        steps: Sequence[int],
        threshold_px: float,
        images: Iterable[ImageRecord],
        listed: Iterable[ImageRecord] = (),
    ) -> None:
        self._store, self._threshold_px = store, threshold_px
        frames = {image.file: image for image in images if image.video is not None}
        self._places = FramePlaces(store, frames.values(), listed)
        self._frames = {file: self._look_up(image, steps) for file, image in frames.items()}

    def view(
        self, people: PoseDataset, index: int, change: Augmentation, rng: np.random.Generator
    ) -> FlowView | None:
        """A person's second crop under the same change; None where there is none, or the person is lost.

        Args:
            people: the first crops.
            index: of the person.
            change: of the first crop.
            rng: chooses the frame.
        """
        person = people.person(index)
        frame = self._frames.get(person.image.file)
        if frame is None or not frame.steps:
            return None
        choice = int(rng.integers(len(frame.steps)))
        step = frame.steps[choice]
        first_from_image = people.affine(person.box, change)
        window = _window(first_from_image, people.crop.size, person.image)
        there = self._store.read(frame.video, frame.index, step, window)
        back = self._store.read(frame.video, frame.index + step, -step, window)
        limit_px = threshold_in_image(self._threshold_px, crop_side(person.box, people.crop))
        motion = _motion(person, there.displacement, back.displacement, there.origin, limit_px)
        if motion is None:
            return None
        box_1 = np.concatenate([person.box[:2] + motion, person.box[2:]])
        image_1, crop_from_image = people.picture(frame.files[choice], box_1, change)
        return FlowView(
            image_1,
            crop_from_image,
            first_from_image,
            there.displacement,
            back.displacement,
            there.origin,
            limit_px,
        )

    def _look_up(self, image: ImageRecord, steps: Sequence[int]) -> _Frame:
        place = self._places.place(image)
        within = tuple(step for step in steps if place.holds(place.index + step))
        for step in within:
            for start, towards in ((place.index, step), (place.index + step, -step)):
                if not self._store.finished(place.video, towards)[start]:
                    # Raises, and says what to run.
                    self._store.read(place.video, start, towards, (0, 0, 1, 1))
        files = tuple(_there(self._places.picture(image, place.index + step), image) for step in within)
        return _Frame(place.video, place.index, within, files)


def _there(file: Path, image: ImageRecord) -> Path:
    """The file of another frame of the image's video; AnnotationError where it is missing."""
    if not file.is_file():
        raise AnnotationError(
            f"{file}: no such picture, wanted beside {image.file}; put all frames of a video into one folder"
        )
    return file


def _window(crop_from_image: np.ndarray, size: int, image: ImageRecord) -> tuple[float, float, float, float]:
    """What a crop shows of the frame, and its surroundings: x, y, width, height, image px."""
    low, high = -_WINDOW_MARGIN * size, (1 + _WINDOW_MARGIN) * size
    corners = np.array([(low, low), (low, high), (high, low), (high, high)])
    places = apply_affine(invert_affine(crop_from_image), corners)
    near = places.min(axis=0).clip(0, [image.width - 1, image.height - 1])
    far = places.max(axis=0).clip(0, [image.width - 1, image.height - 1])
    x, y = near.tolist()
    width, height = (far - near + 1).tolist()
    return x, y, width, height


def _motion(
    person: PersonAnnotation,
    flow_0to1: np.ndarray,
    flow_1to0: np.ndarray,
    origin: tuple[int, int],
    limit_px: float,
) -> np.ndarray | None:
    """How far a person moves, (2,) x, y image px; None where no place of it passes the check."""
    places_0 = person.points
    if len(places_0) < _LEAST_POINTS:
        share = (np.arange(_GRID) + 0.5) / (2 * _GRID) + 0.25
        grid = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
        places_0 = person.box[:2] + grid * person.box[2:]
    places_0 = places_0 - origin
    places_1, offset_px = forward_backward_offset_points(places_0, flow_0to1, flow_1to0)
    kept = offset_px <= limit_px
    if not kept.any():
        return None
    motion: np.ndarray = np.median((places_1 - places_0)[kept], axis=0)
    return motion


def temporal_pairs(
    people: PoseDataset, store: str, steps: Sequence[int], threshold_px: float
) -> TemporalPairs:
    """The neighbouring frames of all people of a data set; raises as `TemporalPairs`."""
    images = (people.person(index).image for index in range(len(people)))
    return TemporalPairs(FlowStore(store, _KEPT_BYTES), steps, threshold_px, images, people.frames)
