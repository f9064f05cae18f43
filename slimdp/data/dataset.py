"""Training samples: crops of labelled people, changed at random, and their batches."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data.augment import Augmentation, change_colours, draw_augmentation, flip_labels
from slimdp.data.coco import AnnotationSet
from slimdp.data.crops import crop_affine, crop_image
from slimdp.data.draws import Draw
from slimdp.data.images import ImageCache
from slimdp.data.keypoints import (
    HIDDEN,
    KeypointAnchors,
    arrange_keypoints,
    check_names,
    mirrored_order,
    seen_from,
)
from slimdp.data.patches import cover, forget_under, under
from slimdp.data.point_labels import PointLabels, anchored_points, points_of
from slimdp.data.targets import coarse_target
from slimdp.data.validate import AnnotationError
from slimdp.geometry import apply_affine, as_affine_tensor
from slimdp.structures import PersonAnnotation, PoseBatch
from slimdp.surface.symmetry import UvSymmetry


@dataclass(frozen=True)
class PoseSample:
    """One crop of S px with its labels."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    crop_from_image: np.ndarray  # (2, 3) float64: crop px = A @ (x, y, 1) of image px
    annotation_id: int
    points: np.ndarray  # (N, 2) float64 x, y, crop px, all inside the crop and not under a patch
    part: np.ndarray  # (N,) int64, 1..24
    uv: np.ndarray  # (N, 2) float32 in [0, 1]
    source: np.ndarray  # (N,) int64, a LabelSource
    confidence: np.ndarray  # (N,) float32 in [0, 1]
    coarse: np.ndarray  # (S / 4, S / 4) uint8: 0..14, IGNORE where unknown
    keypoints: np.ndarray  # (K, 3) float64 x, y, crop px, visibility: 0 unknown, 1 hidden, 2 seen


class PoseDataset(Dataset[PoseSample]):
    """The labelled people of one or more annotation sets, in the order of the sets.

    People are samples if they have points, coarse masks or the keypoints that are asked for, and are no
    crowd; the others only mark where background is not known. An index is a `Draw`, or a person's number,
    which stands for draw 0. The random changes follow from (seed, draw, person) alone: not from the number
    of workers, nor from what was read before.

    Args:
        annotations: one set, or one a source.
        crop: size and margin of the crops.
        augment: random changes; None for none.
        symmetry: of the body's charts, for mirrored crops.
        seed: of the random changes.
        cache_mb: memory for decoded pictures in each process.
        labelled_only: False takes people without any label too, e.g. to compare frames of a video.
        keypoints: names of those that the samples tell of, in this order: the network's heat maps.
        anchors: keypoints that become labelled points where they are seen, with `LabelSource.KEYPOINT`.

    Raises:
        AnnotationError: a set without labels, naming its file; a keypoint that nobody has.
        ValueError: mirrored crops of keypoints of one side alone.
    """

    def __init__(
        self,
        annotations: AnnotationSet | Sequence[AnnotationSet],
        crop: CropSettings,
        augment: AugmentSettings | None,
        symmetry: UvSymmetry,
        seed: int,
        cache_mb: float = 256,
        labelled_only: bool = True,
        keypoints: Sequence[str] = (),
        anchors: KeypointAnchors | None = None,
    ) -> None:
        sources = [annotations] if isinstance(annotations, AnnotationSet) else list(annotations)
        self._crop, self._augment, self._symmetry, self._seed = crop, augment, symmetry, seed
        self._labelled_only, self._anchors = labelled_only, anchors
        self._keypoints = tuple(keypoints)
        self._mirrored = mirrored_order(keypoints) if augment is not None and augment.flip else None
        everyone = [person for source in sources for person in source.people]
        check_names(everyone, self._keypoints, " and ".join(str(source.file) for source in sources))
        self._people: list[PersonAnnotation] = []
        self._other_boxes: list[np.ndarray] = []
        self._seen_from: list[int] = []  # visibility from which on a person's keypoints are seen
        #: Samples of each source, as `WeightedDraws` takes them.
        self.sizes: tuple[int, ...] = tuple(self._add(source) for source in sources)
        self._cache_mb = cache_mb
        self._cache = ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int | Draw) -> PoseSample:
        draw = index if isinstance(index, Draw) else Draw(0, index)
        person, crop = self._people[draw.person], self._crop
        change = Augmentation()
        if self._augment is not None:
            rng = np.random.default_rng([self._seed, draw.number, draw.person])
            change = draw_augmentation(self._augment, rng)
        affine = crop_affine(person.box, crop, change.scale, change.rotation_deg, change.shift, change.flip)
        image = crop_image(self._cache.load(person.image.file), affine, crop.size)
        if self._augment is not None:
            image = change_colours(image, change)
        covered = cover(image, change.patches)
        labels = self._labels(draw.person).within(affine, crop.size, covered)
        coarse = coarse_target(person, affine, crop.size, self._other_boxes[draw.person])
        forget_under(covered, coarse)
        keypoints = self._placed_keypoints(person, affine, covered)
        part, uv = labels.part, labels.uv
        if change.flip:
            part, uv, coarse = flip_labels(part, uv, coarse, self._symmetry)
            assert self._mirrored is not None
            keypoints = keypoints[self._mirrored]
        return PoseSample(
            image=image,
            crop_from_image=affine,
            annotation_id=person.id,
            points=labels.points,
            part=part,
            uv=uv,
            source=labels.source,
            confidence=labels.confidence,
            coarse=coarse,
            keypoints=keypoints,
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": ImageCache(self._cache_mb)}  # pictures stay in their process

    def person(self, index: int) -> PersonAnnotation:
        """The record behind a sample."""
        return self._people[index]

    def _add(self, source: AnnotationSet) -> int:
        """Take in the samples of a source; returns how many."""
        groups, seen = source.people_by_image(), seen_from(source.people)
        before = len(self._people)
        for person in source.people:
            if person.crowd or (self._labelled_only and not self._is_labelled(person, seen)):
                continue
            others = [other.box for other in groups[person.image.id] if other is not person]
            self._people.append(person)
            self._other_boxes.append(np.array(others, dtype=np.float64).reshape(-1, 4))
            self._seen_from.append(seen)
        if len(self._people) == before:
            raise AnnotationError(
                f"{source.file or 'annotations'}: a data set without labels: none of its "
                f"{len(source.people)} people has points (dp_x) or coarse masks (dp_masks)"
                + (" or any of the keypoints asked for" if self._keypoints or self._anchors else "")
            )
        return len(self._people) - before

    def _is_labelled(self, person: PersonAnnotation, seen: int) -> bool:
        if len(person.points) or person.coarse is not None:
            return True
        if (arrange_keypoints(person, self._keypoints)[:, 2] > 0).any():
            return True
        return self._anchors is not None and len(anchored_points(person, self._anchors, seen).points) > 0

    def _labels(self, index: int) -> PointLabels:
        """A person's points, image px, with those of keypoints."""
        person = self._people[index]
        clicked = points_of(person)
        if self._anchors is None:
            return clicked
        return clicked.joined(anchored_points(person, self._anchors, self._seen_from[index]))

    def _placed_keypoints(
        self, person: PersonAnnotation, affine: np.ndarray, covered: np.ndarray
    ) -> np.ndarray:
        """Keypoints (K, 3) at their places in the crop, not yet mirrored by name; hidden under patches."""
        keypoints = arrange_keypoints(person, self._keypoints)
        known = keypoints[:, 2] > 0
        keypoints[known, :2] = apply_affine(affine, keypoints[known, :2])
        keypoints[known & under(covered, keypoints[:, :2]), 2] = HIDDEN
        return keypoints


def collate(samples: Sequence[PoseSample]) -> PoseBatch:
    """B samples as one batch, their points one after the other in flat tensors; `PoseBatch.to` widens it."""
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    counts = [len(sample.points) for sample in samples]
    return PoseBatch(
        image=images.permute(0, 3, 1, 2),
        crop_from_image=as_affine_tensor([sample.crop_from_image for sample in samples]),
        annotation_id=torch.tensor([sample.annotation_id for sample in samples], dtype=torch.int64),
        point_crop=torch.repeat_interleave(torch.arange(len(samples)), torch.tensor(counts)),
        points=_flat([sample.points for sample in samples]).float(),
        part=_flat([sample.part for sample in samples]).long(),
        uv=_flat([sample.uv for sample in samples]).float(),
        coarse=torch.from_numpy(np.stack([sample.coarse for sample in samples])),
        confidence=_flat([sample.confidence for sample in samples]).float(),
        source=_flat([sample.source for sample in samples]).long(),
        keypoints=torch.from_numpy(np.stack([sample.keypoints for sample in samples])).float(),
    )


def start_worker(worker: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: one OpenCV thread a worker, or they all fight for the cores.

    A fork copies the locks of OpenCV's threads without the threads, and whoever asks for them then waits
    for ever: a parent that forks calls `cv2.setNumThreads(1)` first, which ends them. Raises RuntimeError
    in a worker whose parent did not.
    """
    if cv2.getNumThreads() == 1:
        return
    if isinstance(multiprocessing.current_process(), multiprocessing.context.ForkProcess):
        raise RuntimeError(
            f"worker {worker} was forked while OpenCV had {cv2.getNumThreads()} threads and could hang; "
            "call cv2.setNumThreads(1) before the workers start"
        )
    cv2.setNumThreads(1)


def _flat(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays))
