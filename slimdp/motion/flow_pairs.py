"""Second pictures from the video: other frames of it, along stored flow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from flow_cache import FlowChainReader, FlowStore, propagate_points
from slimdp.config import MotionSettings
from slimdp.config.base import Many, Wanted
from slimdp.data import AnnotationError, PoseDataset
from slimdp.data.augment import Augmentation
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion.frame_places import FramePlaces, require_image
from slimdp.motion.judged_transfer import check_of, judged
from slimdp.motion.label_transfer import LabelTransfer, RegionSettings, TransferSettings
from slimdp.structures import ImageRecord

#: How far a window of flow reaches over the first crop on each side, share of its side: people move.
_WINDOW_MARGIN = 0.25
#: Where a person is looked for who has fewer points than this: a grid over the middle of the box.
_LEAST_POINTS, _GRID = 4, 8
#: Memory of each loading process for fields that it comes back to.
_KEPT_BYTES = 2**28


_Offsets = Wanted(
    "one or more different numbers of frames, without 0",
    lambda offsets: len(offsets) > 0 and 0 not in offsets and len(set(offsets)) == len(offsets),
)
_Store = Wanted("the path of a store of flow", bool, {"minLength": 1})


class TemporalMotion(MotionSettings, TransferSettings):
    """The same person in another frame of the video, along stored flow.

    Labels pass what `slimdp propagate` lets pass by the same settings; by default the forward-backward check
    alone, as in the paper.
    """

    frame_offsets: Annotated[Many[int], _Offsets] = (-3, -2, -1, 1, 2, 3)  # to the other one, each as likely
    regions: RegionSettings = RegionSettings(by="none", outlines=False)

    @property
    def store(self) -> str:
        """As of `MotionSettings`: the setting that is named as the kind."""
        return str(getattr(self, self.kind))

    @property
    def reads_masks(self) -> bool:
        """As of `MotionSettings`."""
        judged = self.least_probability is not None
        return judged or self.regions.by != "none" or self.regions.outlines

    def source(self, people: PoseDataset) -> TemporalPairs:
        """As of `MotionSettings`; raises as `TemporalPairs`, and AnnotationError for stills alone."""
        images = [people.person(index).image for index in range(len(people))]
        store = FlowStore(self.store, _KEPT_BYTES)
        if all(image.video is None for image in images):
            raise AnnotationError(
                "no picture is known to be of a video (vid_id), so that flow leads nowhere: name labels of "
                "clips, not of stills, or set motion.kind to tps or none"
            )
        return TemporalPairs(store, self.frame_offsets, self, images, people.frames)


class FlowMotion(TemporalMotion):
    """By flow that was estimated."""

    kind: Literal["flow"] = "flow"
    flow: Annotated[str, _Store]  # the store, a file or a folder


class ExactMotion(TemporalMotion):
    """By the true flow of a rendered set."""

    kind: Literal["exact"] = "exact"
    exact: Annotated[str, _Store]  # its folder flow_exact


@dataclass(frozen=True)
class FlowView:
    """A crop of another frame; known is what passes the forward-backward check (Slim DensePose, 5.4).

    The flows are those of a window of the frames, the same one for all: what leaves it is not known.
    """

    image: np.ndarray
    crop_from_image: np.ndarray  # of the second frame
    first_from_image: np.ndarray  # (2, 3), px of the first frame -> px of its crop
    transfer: LabelTransfer

    def warp_to_source(self, points_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        points_1 = apply_affine(invert_affine(self.crop_from_image), points_1)  # image px
        moved = propagate_points(points_1, self.transfer.chain.reverse(), self.transfer.limit_px)
        return apply_affine(self.first_from_image, moved.points_1), moved.kept

    def warp_to_target(self, points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        moved = self.transfer.move(apply_affine(invert_affine(self.first_from_image), points_0))
        return apply_affine(self.crop_from_image, moved.points_1), moved.kept

    def transfer_labels(
        self, points_0: np.ndarray, confidence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As of `PairView`."""
        moved = self.transfer.move_labels(apply_affine(invert_affine(self.first_from_image), points_0))
        trust = self.transfer.trust(moved, confidence)
        assert trust is not None
        return apply_affine(self.crop_from_image, moved.points_1), moved.kept, trust


@dataclass(frozen=True)
class _Frame:
    """An annotated frame, and those that can be reached from it."""

    video: str  # in the store
    index: int
    steps: tuple[int, ...]
    hops: tuple[tuple[int, ...], ...]  # of each step
    files: tuple[Path, ...]  # of the pictures there


class TemporalPairs:
    """For each person the same one some frames later or earlier, chosen at random.

    The second crop keeps the size of the first and follows the person: its centre moves by the median motion
    of the places that the check lets pass. Stills have no second picture. A step that the store lacks is made
    of several flows in a row, as few as can be; one that leaves the video is left out. Any of the images may
    come first; all that are listed tell where another video begins.

    Raises AnnotationError for a video or frame that the store does not have, frames of another size or
    content (`FramePlaces`), or a picture that is missing, and flow_cache.MissingFlowError for missing flow.
    """

    def __init__(
        self,
        store: FlowStore,
        steps: Sequence[int],
        settings: TransferSettings,
        images: Iterable[ImageRecord],
        listed: Iterable[ImageRecord] = (),
    ) -> None:
        self._settings, self._chains = settings, FlowChainReader(store, settings.longest_hop)
        self._check = check_of(settings)
        frames = {image.file: image for image in images if image.video is not None}
        places = FramePlaces(store, frames.values(), listed)
        self._frames = {file: self._look_up(places, image, steps) for file, image in frames.items()}

    def view(
        self, people: PoseDataset, index: int, change: Augmentation, rng: np.random.Generator
    ) -> FlowView | None:
        """As of `PairSource`; None also where the person is lost. `rng` chooses the frame."""
        person = people.person(index)
        frame = self._frames.get(person.image.file)
        if frame is None or not frame.steps:
            return None
        choice = int(rng.integers(len(frame.steps)))
        first_from_image = people.affine(person.box, change)
        window = _window(first_from_image, people.crop.size, person.image)
        chain = self._chains.read(frame.video, frame.index, frame.hops[choice], window)
        file_1 = frame.files[choice]
        others_0 = [other for other in people.people_in(person.image.file) if other is not person]
        people_1 = people.people_in(file_1)
        step = frame.steps[choice]
        transfer = LabelTransfer(person, chain, step, self._settings, people.crop, others_0, people_1)
        motion = _motion(transfer)
        if motion is None:
            return None
        box_1 = np.concatenate([person.box[:2] + motion, person.box[2:]])
        transfer = judged(transfer, self._check, file_1)
        return FlowView(*people.read_crop(file_1, box_1, change), first_from_image, transfer)

    def _look_up(self, places: FramePlaces, image: ImageRecord, steps: Sequence[int]) -> _Frame:
        place = places.place(image)
        within = tuple(step for step in steps if place.holds(place.index + step))
        hops = tuple(self._chains.require_hops(place.video, place.index, step, place.span) for step in within)
        files = tuple(places.image_file(image, place.index + step) for step in within)
        for file in files:
            require_image(file, image)
        return _Frame(place.video, place.index, within, hops, files)


def _window(crop_from_image: np.ndarray, size: int, image: ImageRecord) -> tuple[float, float, float, float]:
    """What a crop shows of the frame, and its surroundings: x, y, width, height, image px."""
    low, high = -_WINDOW_MARGIN * size, (1 + _WINDOW_MARGIN) * size
    corners = np.array([(low, low), (low, high), (high, low), (high, high)])
    places = apply_affine(invert_affine(crop_from_image), corners).clip(
        0, [image.width - 1, image.height - 1]
    )
    near, far = places.min(axis=0), places.max(axis=0)
    return *near.tolist(), *(far - near + 1).tolist()


def _motion(transfer: LabelTransfer) -> np.ndarray | None:
    """How far a person moves, (2,) x, y image px; None where no place of it passes the check."""
    person = transfer.person_0
    places_0 = person.points
    if len(places_0) < _LEAST_POINTS:
        share = (np.arange(_GRID) + 0.5) / (2 * _GRID) + 0.25
        grid = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
        places_0 = person.box[:2] + grid * person.box[2:]
    moved = transfer.move(places_0)
    if not moved.kept.any():
        return None
    motion: np.ndarray = np.median((moved.points_1 - places_0)[moved.kept], axis=0)
    return motion
