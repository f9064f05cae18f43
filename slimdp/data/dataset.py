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
    points: np.ndarray  # (N, 2) float64 x, y, crop px, all inside the crop
    part: np.ndarray  # (N,) int64, 1..24
    uv: np.ndarray  # (N, 2) float32 in [0, 1]
    coarse: np.ndarray  # (S / 4, S / 4) uint8: 0..14, IGNORE where unknown


class PoseDataset(Dataset[PoseSample]):
    """The labelled people of one or more annotation sets, in the order of the sets.

    People are samples if they have points or coarse masks and are no crowd; the others only mark where
    background is not known. An index is a `Draw`, or a person's number, which stands for draw 0. The random
    changes follow from (seed, draw, person) alone: not from the number of workers, nor from what was read
    before.

    Args:
        annotations: one set, or one a source.
        crop: size and margin of the crops.
        augment: random changes; None for none.
        symmetry: of the body's charts, for mirrored crops.
        seed: of the random changes.
        cache_mb: memory for decoded pictures in each process.
        labelled_only: False takes people without any label too; only background outside their box is known.

    Raises:
        AnnotationError: a set without labels, naming its file.
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
    ) -> None:
        sources = [annotations] if isinstance(annotations, AnnotationSet) else list(annotations)
        self._labelled_only = labelled_only
        self._people: list[PersonAnnotation] = []
        self._other_boxes: list[np.ndarray] = []
        sizes = []
        for source in sources:
            before = len(self._people)
            self._add(source)
            sizes.append(len(self._people) - before)
            if not sizes[-1]:
                raise AnnotationError(
                    f"{source.file or 'annotations'}: a data set without labels: none of its "
                    f"{len(source.people)} people has points (dp_x) or coarse masks (dp_masks)"
                )
        #: Samples of each source, as `WeightedDraws` takes them.
        self.sizes: tuple[int, ...] = tuple(sizes)
        self._crop, self._augment, self._symmetry, self._seed = crop, augment, symmetry, seed
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
        points = apply_affine(affine, person.points)
        shown = ((points >= 0) & (points <= crop.size - 1)).all(axis=1)
        part, uv = person.part[shown], person.uv[shown]
        coarse = coarse_target(person, affine, crop.size, self._other_boxes[draw.person])
        if change.flip:
            part, uv, coarse = flip_labels(part, uv, coarse, self._symmetry)
        return PoseSample(
            image=change_colours(image, change) if self._augment is not None else image,
            crop_from_image=affine,
            annotation_id=person.id,
            points=points[shown],
            part=part,
            uv=uv,
            coarse=coarse,
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": ImageCache(self._cache_mb)}  # pictures stay in their process

    def person(self, index: int) -> PersonAnnotation:
        """The record behind a sample."""
        return self._people[index]

    def _add(self, source: AnnotationSet) -> None:
        groups = source.people_by_image()
        for person in source.people:
            unlabelled = len(person.points) == 0 and person.coarse is None
            if person.crowd or (unlabelled and self._labelled_only):
                continue
            others = [other.box for other in groups[person.image.id] if other is not person]
            self._people.append(person)
            self._other_boxes.append(np.array(others, dtype=np.float64).reshape(-1, 4))


def collate(samples: Sequence[PoseSample]) -> PoseBatch:
    """B samples as one batch, their points one after the other in flat tensors."""
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    counts = [len(sample.points) for sample in samples]
    return PoseBatch(
        image=images.permute(0, 3, 1, 2).contiguous().float() / 255,
        crop_from_image=as_affine_tensor([sample.crop_from_image for sample in samples]),
        annotation_id=torch.tensor([sample.annotation_id for sample in samples], dtype=torch.int64),
        point_crop=torch.repeat_interleave(torch.arange(len(samples)), torch.tensor(counts)),
        points=_flat([sample.points for sample in samples]).float(),
        part=_flat([sample.part for sample in samples]).long(),
        uv=_flat([sample.uv for sample in samples]).float(),
        coarse=torch.from_numpy(np.stack([sample.coarse for sample in samples])).long(),
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
