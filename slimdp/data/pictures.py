"""Whole pictures with all their people as training samples, and samples as a batch.

A person crop is a picture with one instance: here a sample has any number of them, none too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from flow_cache.coco import AnnotationError
from slimdp.config import AugmentSettings, CropSettings
from slimdp.data.annotation_file import AnnotationSet
from slimdp.data.crops import crop_affine, unlabelled_map
from slimdp.data.dataset import PoseDataset, PoseSample, Taught
from slimdp.data.keypoints import KeypointAnchors
from slimdp.data.sampler import SampleIndex
from slimdp.geometry import apply_affine, crop_from_map, invert_affine
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation, PoseBatch
from slimdp.surface.symmetry import UvSymmetry

#: Of whom a random change leaves less than this share of the box in the picture is no more in it.
LEAST_SHOWN = 0.2


@dataclass(frozen=True)
class PictureSample:
    """One picture in a square of S px, and its people."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    crop_from_image: np.ndarray  # (2, 3) float64: px of the square = A @ (x, y, 1) of px of the file
    people: tuple[PoseSample, ...]  # in px of the square; boxes are cut to it
    masks: np.ndarray  # (N, S / stride, S / stride) uint8: 1 the person, 0 not, IGNORE unknown
    crowd: np.ndarray  # (S / stride, S / stride) bool: people labelled by nobody, in crowds or ignore regions
    stride: int  # px of the square to a px of the maps
    keypoints: int  # K


@dataclass(frozen=True)
class _Picture:
    image: ImageRecord
    people: tuple[int, ...]  # their numbers in the data set of people
    crowds: np.ndarray  # (K, 4) boxes x, y, width, height, image px


class PictureDataset(Dataset[PictureSample]):
    """The pictures of one or more annotation sets, each in a square, with everybody but crowds, who are
    no people to find and no background either.

    Pictures count where somebody in them has labels, all of them where `labelled_only` is False: also those
    without people. Their other people come along, without points. An index is a `SampleIndex` of a picture,
    or its number, which stands for draw 0; the random changes are those of `PoseDataset`, about the middle of
    the picture. Arguments and errors are as for `PoseDataset`; the margin of `crop` is not looked at.
    """

    def __init__(
        self,
        annotations: Sequence[AnnotationSet],
        crop: CropSettings,
        augment: AugmentSettings | None,
        symmetry: UvSymmetry,
        seed: int,
        stride: int,
        cache_mb: float = 256,
        labelled_only: Sequence[bool] | None = None,
        keypoints: Sequence[str] = (),
        anchors: KeypointAnchors | None = None,
        taught: Sequence[Taught | None] = (),
    ) -> None:
        self._people = PoseDataset(
            annotations, square(crop.size), augment, symmetry, seed, stride, cache_mb,
            labelled_only=False, keypoints=keypoints, anchors=anchors, taught=taught,
        )  # fmt: skip
        self._keypoints = len(keypoints)
        self._pictures: list[_Picture] = []
        only = [True] * len(annotations) if labelled_only is None else labelled_only
        sizes, first = [], 0
        for source, size, labelled in zip(annotations, self._people.sizes, only, strict=True):
            sizes.append(self._add(source, range(first, first + size), labelled))
            first += size
        #: Pictures of each source, as `WeightedSampler` takes them.
        self.sizes = tuple(sizes)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int | SampleIndex) -> PictureSample:
        draw = index if isinstance(index, SampleIndex) else SampleIndex(0, index)
        picture, people = self._pictures[draw.person], self._people
        change = people.change(draw)
        record = picture.image
        whole = np.array([0.0, 0, record.width, record.height])
        image, affine = people.read_crop(record.file, whole, change)
        image, covered = people.change_image(image, change)
        samples = [people.labelled(number, change, image, affine, covered) for number in picture.people]
        shown = [(number, cut) for number, each in zip(picture.people, samples) if (cut := _cut(each))]
        masks = [
            mask_target(people.person(number), each.crop_from_image, each.coarse, people.stride)
            for number, each in shown
        ]
        side = people.crop.size // people.stride
        return PictureSample(
            image, affine, tuple(each for _, each in shown),
            np.array(masks, np.uint8).reshape(-1, side, side),
            unlabelled_map(picture.crowds, record.ignore_regions, affine, people.crop.size, people.stride),
            people.stride, self._keypoints,
        )  # fmt: skip

    def people_in(self, index: int) -> list[PersonAnnotation]:
        """The records behind the people of a sample."""
        return [self._people.person(number) for number in self._pictures[index].people]

    def image(self, index: int) -> ImageRecord:
        """The record behind a sample."""
        return self._pictures[index].image

    def _add(self, source: AnnotationSet, numbers: range, labelled_only: bool) -> int:
        """Take in the pictures of a source, whose people have some numbers; returns how many."""
        people: dict[int, list[int]] = {image.id: [] for image in source.images}
        for number in numbers:
            people[self._people.person(number).image.id].append(number)
        crowds: dict[int, list[np.ndarray]] = {image.id: [] for image in source.images}
        for person in source.people:
            if person.crowd:
                crowds[person.image.id].append(person.box)
        before = len(self._pictures)
        for image in source.images:
            mine = tuple(people[image.id])
            if not labelled_only or any(self._people.is_labelled(number) for number in mine):
                boxes = np.array(crowds[image.id], dtype=np.float64).reshape(-1, 4)
                self._pictures.append(_Picture(image, mine, boxes))
        if len(self._pictures) == before:
            raise AnnotationError(
                f"{source.file or 'annotations'}: a data set without labels: none of its {len(numbers)} "
                "people has points (dp_x) or coarse masks (dp_masks)"
            )
        return len(self._pictures) - before


def square(size: int) -> CropSettings:
    """How a whole picture is fitted into a square of `size` px: its longer side fills it."""
    return CropSettings(size=size, margin=0.0)


def picture_affine(image: ImageRecord, size: int) -> np.ndarray:
    """Px of a picture -> px of the square that it is fitted into, (2, 3) float64."""
    return crop_affine(np.array([0.0, 0, image.width, image.height]), square(size))


def _cut(person: PoseSample) -> PoseSample | None:
    """A person with the box cut to the square; None where too little of it is shown."""
    size = len(person.image)
    near = person.box[:2].clip(0, size)
    sides = (person.box[:2] + person.box[2:]).clip(0, size) - near
    if sides.min() < 1 or sides.prod() < LEAST_SHOWN * person.box[2:].prod():
        return None
    return replace(person, box=np.concatenate([near, sides]))


def mask_target(
    person: PersonAnnotation, crop_from_image: np.ndarray, coarse: np.ndarray, stride: int
) -> np.ndarray:
    """Where a person is, at map pixels (h, w) uint8: 1, 0 or IGNORE.

    Read from the nearest pixel of the drawn outline (`read_annotations(read_masks=True)`), or else from the
    coarse labels (h, w) uint8 of the same map pixels.
    """
    if person.mask is None:
        return np.where(coarse == IGNORE, IGNORE, coarse > 0).astype(np.uint8)
    height, width = coarse.shape
    row, column = crop_from_map(np.mgrid[:height, :width].reshape(2, -1), stride)
    places = apply_affine(invert_affine(crop_from_image), np.stack([column, row], axis=1))
    x, y = np.floor(places + 0.5).astype(int).T
    inside = (x >= 0) & (x < person.mask.shape[1]) & (y >= 0) & (y < person.mask.shape[0])
    found = person.mask[np.where(inside, y, 0), np.where(inside, x, 0)] & inside
    return found.reshape(height, width).astype(np.uint8)


def collate_pictures(pictures: Sequence[PictureSample]) -> PoseBatch:
    """Pictures as one batch: their people, and the people's points, follow one another in flat tensors."""
    people = [person for picture in pictures for person in picture.people]
    size, stride = len(pictures[0].image), pictures[0].stride
    side = size // stride

    def of_people(field: str, *shape: int) -> Tensor:
        values = np.array([getattr(person, field) for person in people])
        return torch.from_numpy(values.reshape(len(people), *shape))

    def of_points(field: str, dtype: torch.dtype, *shape: int) -> Tensor:
        none = np.zeros((0, *shape))
        values = np.concatenate([none, *(getattr(person, field) for person in people)])
        return torch.from_numpy(values).to(dtype)

    counts = torch.tensor([len(picture.people) for picture in pictures])
    points = torch.tensor([len(person.points) for person in people], dtype=torch.int64)
    crowd = np.stack([picture.crowd for picture in pictures])
    affines = np.stack([picture.crop_from_image for picture in pictures])
    return PoseBatch(
        images=torch.from_numpy(np.stack([picture.image for picture in pictures])).permute(0, 3, 1, 2),
        crop_from_image=torch.from_numpy(affines).float(),
        image_index=torch.repeat_interleave(torch.arange(len(pictures)), counts),
        annotation_id=of_people("annotation_id").long(), box=of_people("box", 4).float(),
        coarse=of_people("coarse", side, side).to(torch.uint8),
        mask=torch.from_numpy(np.concatenate([picture.masks for picture in pictures])),
        crowd=torch.from_numpy(crowd) if crowd.any() else None,
        keypoints=of_people("keypoints", pictures[0].keypoints, 3).float(),
        instance_index=torch.repeat_interleave(torch.arange(len(people)), points),
        points=of_points("points", torch.float32, 2), part=of_points("part", torch.int64),
        uv=of_points("uv", torch.float32, 2), source=of_points("source", torch.int64),
        confidence=of_points("confidence", torch.float32),
    )  # fmt: skip
