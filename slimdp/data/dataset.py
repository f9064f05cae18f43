"""The people of annotation files as training samples, changed at random, and samples as a batch."""

from __future__ import annotations

import bisect
import itertools
import multiprocessing
import multiprocessing.context
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from flow_cache.coco import AnnotationError
from flow_cache.images import read_image
from flow_cache.runtime.lru_cache import LruCache
from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import augment
from slimdp.data.annotation_file import AnnotationSet
from slimdp.data.augment import Augmentation
from slimdp.data.crops import coarse_target, crop_affine, crop_image
from slimdp.data.keypoints import (
    HIDDEN,
    KeypointAnchors,
    arrange_keypoints,
    check_names,
    mirrored_order,
    seen_from,
)
from slimdp.data.outline import hide_background
from slimdp.data.sampler import SampleIndex
from slimdp.geometry import apply_affine, move_box
from slimdp.structures import LabelSource, PersonAnnotation, PoseBatch
from slimdp.surface.symmetry import UvSymmetry


@dataclass(frozen=True)
class PoseSample:
    """One crop of S px with its labels."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    crop_from_image: np.ndarray  # (2, 3) float64: crop px = A @ (x, y, 1) of image px
    annotation_id: int
    box: np.ndarray  # (4,) float64 x, y, width, height, crop px, around the annotated one; may reach out
    points: np.ndarray  # (N, 2) float64 x, y, crop px, all inside the crop and not under a patch
    part: np.ndarray  # (N,) int64, 1..P
    uv: np.ndarray  # (N, 2) float32 in [0, 1]; NaN where the part alone is known
    source: np.ndarray  # (N,) int64, a LabelSource
    confidence: np.ndarray  # (N,) float32 in [0, 1]
    coarse: np.ndarray  # (S / stride, S / stride) uint8: 0..C, IGNORE where unknown
    keypoints: np.ndarray  # (K, 3) float64 x, y, crop px, visibility: 0 unknown, 1 hidden, 2 seen

    @property
    def stride(self) -> int:
        """Crop px to a px of the network's maps."""
        return len(self.image) // len(self.coarse)


class Taught(Protocol):
    """What a teacher says of the people of a data set."""

    def points(self, person: PersonAnnotation) -> PointLabels | None:
        """Of one of them, image px; None: nothing."""


class ImageCache:
    """The most recently used pictures, decoded, up to a number of megabytes."""

    def __init__(self, megabytes: float) -> None:
        if megabytes < 0:
            raise ValueError(f"an image cache of {megabytes} MB, but 0 or more is wanted")
        self._images: LruCache[Path] = LruCache(int(megabytes * 2**20))

    def load(self, path: Path) -> np.ndarray:
        """`read_image`, remembered. The array is shared, and cannot be written to."""
        return self._images.get(path, lambda: read_image(path))


class PoseDataset(Dataset[PoseSample]):
    """The labelled people of one or more annotation sets, in the order of the sets.

    People are samples if they have points, coarse masks or the keypoints that are asked for, and are no
    crowd; the others only mark where background is not known. An index is a `SampleIndex`, or a
    person's number, which stands for draw 0. The random changes follow from (seed, draw, person) alone: not
    from the number of workers, nor from what was read before.

    Args:
        stride: crop px to a px of the network's maps.
        cache_mb: memory for decoded pictures in each process.
        labelled_only: False takes people without any label too, e.g. to compare frames of a video; for all
            sources, or one for each.
        keypoints: names of those that the samples tell of, in this order: the network's heat maps.
        anchors: keypoints that become labelled points where they are seen, with `LabelSource.KEYPOINT`.
        taught: what a network says of each source's people, more points to them, or None; (): of all None.

    Raises AnnotationError for a set without labels, naming its file, or a keypoint that nobody has;
    ValueError for mirrored crops of keypoints of one side alone.
    """

    def __init__(
        self,
        annotations: AnnotationSet | Sequence[AnnotationSet],
        crop: CropSettings,
        augment: AugmentSettings | None,
        symmetry: UvSymmetry,
        seed: int,
        stride: int,
        cache_mb: float = 256,
        labelled_only: bool | Sequence[bool] = True,
        keypoints: Sequence[str] = (),
        anchors: KeypointAnchors | None = None,
        taught: Sequence[Taught | None] = (),
    ) -> None:
        sources = [annotations] if isinstance(annotations, AnnotationSet) else list(annotations)
        self._augment, self._seed, self._anchors = augment, seed, anchors
        #: Size and margin of the crops, their px to a map px, and left and right of the body.
        self.crop, self.stride, self.symmetry = crop, stride, symmetry
        self._keypoints = tuple(keypoints)
        self._mirrored = mirrored_order(keypoints) if augment is not None and augment.flip else None
        everyone = [person for source in sources for person in source.people]
        check_names(everyone, self._keypoints, " and ".join(str(source.file) for source in sources))
        labelled = [labelled_only] * len(sources) if isinstance(labelled_only, bool) else labelled_only
        self._people: list[PersonAnnotation] = []
        self._other_boxes: list[np.ndarray] = []
        self._in_file: dict[Path, list[PersonAnnotation]] = {}
        self._seen_from: list[int] = []  # visibility from which on a person's keypoints are seen
        self._taught = tuple(taught)
        #: Samples of each source, as `WeightedSampler` takes them.
        self.sizes = tuple(self._add(source, only) for source, only in zip(sources, labelled, strict=True))
        self._ends = tuple(itertools.accumulate(self.sizes))  # numbers after the last sample of each source
        #: All frames of videos that the files list: also those in which nobody has labels.
        self.frames = tuple(image for source in sources for image in source.images if image.video is not None)
        self._cache_mb, self._cache = cache_mb, ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int | SampleIndex) -> PoseSample:
        draw = index if isinstance(index, SampleIndex) else SampleIndex(0, index)
        return self.sample(draw.person, self.change(draw))

    def change(self, draw: SampleIndex, *, again: bool = False) -> Augmentation:
        """The random change of a draw's crop; another one if it is asked for again."""
        if self._augment is None:
            return Augmentation()
        return augment.draw_augmentation(self._augment, self.randomness(draw, "again" if again else ""))

    def randomness(self, draw: SampleIndex, purpose: str = "") -> np.random.Generator:
        """What decides about a draw: another generator for each purpose."""
        return np.random.default_rng([self._seed, *draw, *purpose.encode()])

    def affine(self, box: np.ndarray, change: Augmentation) -> np.ndarray:
        """Image px -> crop px around a box under a change, (2, 3)."""
        shown = augment.part_of(box, change.part_of_box)
        return crop_affine(shown, self.crop, change.scale, change.rotation_deg, change.shift, change.flip)

    def read_crop(self, file: Path, box: np.ndarray, change: Augmentation) -> tuple[np.ndarray, np.ndarray]:
        """The crop around a box of a picture, in its own colours: (S, S, 3) uint8 RGB, and its affine."""
        affine = self.affine(box, change)
        return crop_image(self._cache.load(file), affine, self.crop.size), affine

    def sample(self, index: int, change: Augmentation) -> PoseSample:
        """A person's crop and labels under a change."""
        person = self._people[index]
        image, affine = self.read_crop(person.image.file, person.box, change)
        if self.crop.background == "grey":
            hide_background(image, person, affine)
        image, covered = self.change_image(image, change)
        return self.labelled(index, change, image, affine, covered)

    def change_image(self, image: np.ndarray, change: Augmentation) -> tuple[np.ndarray, np.ndarray]:
        """A crop changed in its px, and (R, 4) where patches cover it (`augment.cover`)."""
        if self._augment is not None:
            image = augment.change_picture(image, change)
        return image, augment.cover(image, change.patches)

    def labelled(
        self, index: int, change: Augmentation, image: np.ndarray, affine: np.ndarray, covered: np.ndarray
    ) -> PoseSample:
        """A person in an image that is cut and changed, with the labels that it shows."""
        person, size = self._people[index], self.crop.size
        labels = self._labels(index).within(affine, size, covered)
        coarse = coarse_target(person, affine, size, self.stride, self._other_boxes[index])
        augment.forget_under(covered, coarse, self.stride)
        keypoints = arrange_keypoints(person, self._keypoints)
        known = keypoints[:, 2] > 0
        keypoints[known, :2] = apply_affine(affine, keypoints[known, :2])
        keypoints[known & augment.under(covered, keypoints[:, :2]), 2] = HIDDEN
        if change.flip:
            part, uv, coarse = augment.flip_labels(labels.part, labels.uv, coarse, self.symmetry)
            labels = labels._replace(part=part, uv=uv)
            assert self._mirrored is not None
            keypoints = keypoints[self._mirrored]
        box = move_box(person.box, affine)
        return PoseSample(image, affine, person.id, box, *labels, coarse=coarse, keypoints=keypoints)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": ImageCache(self._cache_mb)}  # pictures stay in their process

    def person(self, index: int) -> PersonAnnotation:
        """The record behind a sample."""
        return self._people[index]

    def people_in(self, file: Path) -> list[PersonAnnotation]:
        """Everybody whom the annotations have in a picture."""
        return self._in_file.get(file, [])

    def seen_from(self, index: int) -> int:
        """The visibility from which on a person's keypoints are seen; files differ in it."""
        return self._seen_from[index]

    def _add(self, source: AnnotationSet, labelled_only: bool) -> int:
        """Take in the samples of a source; returns how many."""
        groups, seen = source.people_by_image(), seen_from(source.people)
        before = len(self._people)
        for person in source.people:
            self._in_file.setdefault(person.image.file, []).append(person)
            if person.crowd or (labelled_only and not self._is_labelled(person, seen)):
                continue
            others = [other.box for other in groups[person.image.id] if other is not person]
            self._people.append(person)
            self._other_boxes.append(np.array(others, dtype=np.float64).reshape(-1, 4))
            self._seen_from.append(seen)
        if len(self._people) == before:
            labels = "points (dp_x) or coarse masks (dp_masks)"
            labels += " or any of the keypoints asked for" if self._keypoints or self._anchors else ""
            none = f"none of its {len(source.people)} people has {labels}"
            raise AnnotationError(f"{source.file or 'annotations'}: a data set without labels: {none}")
        return len(self._people) - before

    def is_labelled(self, index: int) -> bool:
        """Whether a person has points, coarse masks or keypoints that are asked for."""
        return self._is_labelled(self._people[index], self._seen_from[index])

    def _is_labelled(self, person: PersonAnnotation, seen: int) -> bool:
        if person.has_labels or (arrange_keypoints(person, self._keypoints)[:, 2] > 0).any():
            return True
        return self._anchors is not None and len(anchored_points(person, self._anchors, seen).points) > 0

    def _labels(self, index: int) -> PointLabels:
        """A person's points, image px, with those of keypoints."""
        person = self._people[index]
        full = np.ones(len(person.points), dtype=np.float32)
        trust = full if person.confidence is None else person.confidence
        clicked = PointLabels(person.points, person.part, person.uv, person.source, trust)
        kinds = [clicked]
        if self._anchors is not None:
            kinds.append(anchored_points(person, self._anchors, self._seen_from[index]))
        if self._taught:
            taught = self._taught[bisect.bisect_right(self._ends, index)]
            said = None if taught is None else taught.points(person)
            kinds += [] if said is None else [said]
        return PointLabels(*map(np.concatenate, zip(*kinds))) if len(kinds) > 1 else clicked


def start_worker(worker: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: one OpenCV thread a worker, or they all fight for the cores.

    A fork copies the locks of OpenCV's threads without the threads, and whoever asks for them then waits
    for ever: a parent that forks calls `cv2.setNumThreads(1)` first, which ends them. Raises RuntimeError
    in a worker whose parent did not.
    """
    threads = cv2.getNumThreads()
    if threads == 1:
        return
    if isinstance(multiprocessing.current_process(), multiprocessing.context.ForkProcess):
        could_hang = f"worker {worker} was forked while OpenCV had {threads} threads and could hang"
        raise RuntimeError(f"{could_hang}; call cv2.setNumThreads(1) before the workers start")
    cv2.setNumThreads(1)


class PointLabels(NamedTuple):
    """N points and what is known of them, in px; the fields are those of `PoseSample`."""

    points: np.ndarray
    part: np.ndarray
    uv: np.ndarray
    source: np.ndarray
    confidence: np.ndarray

    def within(self, crop_from_image: np.ndarray, size: int, covered: np.ndarray) -> PointLabels:
        """Moved from image px to crop px by an affine (2, 3), without what a crop of `size` px does not show.

        `covered` has the (R, 4) rectangles of patches over it, crop px (`cover`).
        """
        points = apply_affine(crop_from_image, self.points)
        shown = ((points >= 0) & (points <= size - 1)).all(axis=1) & ~augment.under(covered, points)
        return PointLabels(*(column[shown] for column in self._replace(points=points)))


def anchored_points(person: PersonAnnotation, anchors: KeypointAnchors, lowest: int) -> PointLabels:
    """A point at each keypoint whose visibility is at least `lowest`, labelled with its anchor, image px.

    A hidden keypoint gives none: its pixel shows something else.
    """
    keypoints = arrange_keypoints(person, anchors.names)
    seen = keypoints[:, 2] >= lowest
    count = int(seen.sum())
    source, trust = np.full(count, LabelSource.KEYPOINT, dtype=np.int64), np.ones(count, dtype=np.float32)
    return PointLabels(keypoints[seen, :2], anchors.part[seen], anchors.uv[seen], source, trust)


def collate(crops: Sequence[PoseSample]) -> PoseBatch:
    """Crops as one batch; their points follow one another in flat tensors.

    `PoseBatch.to` widens what is in bytes.
    """

    def of_crops(field: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(crop, field) for crop in crops]))

    def of_points(field: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(crop, field) for crop in crops]))

    counts, number = torch.tensor([len(crop.points) for crop in crops]), torch.arange(len(crops))
    return PoseBatch(
        images=of_crops("image").permute(0, 3, 1, 2), crop_from_image=of_crops("crop_from_image").float(),
        annotation_id=torch.tensor([crop.annotation_id for crop in crops], dtype=torch.int64),
        image_index=number, box=of_crops("box").float(), coarse=of_crops("coarse"),
        keypoints=of_crops("keypoints").float(),
        instance_index=torch.repeat_interleave(number, counts), points=of_points("points").float(),
        part=of_points("part").long(), uv=of_points("uv").float(), source=of_points("source").long(),
        confidence=of_points("confidence").float(), one_each=True,
    )  # fmt: skip
