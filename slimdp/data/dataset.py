"""The people of annotation files as training samples: crops with labels, changed at random."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data.augment import Augmentation, change_colours, draw_augmentation, flip_labels
from slimdp.data.coco import AnnotationSet
from slimdp.data.crops import crop_affine, crop_image
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
from slimdp.data.sampler import SampleIndex
from slimdp.data.samples import PoseSample
from slimdp.data.targets import coarse_target
from slimdp.data.validate import AnnotationError
from slimdp.geometry import apply_affine, move_box
from slimdp.structures import PersonAnnotation
from slimdp.surface.symmetry import UvSymmetry


class PoseDataset(Dataset[PoseSample]):
    """The labelled people of one or more annotation sets, in the order of the sets.

    People are samples if they have points, coarse masks or the keypoints that are asked for, and are no
    crowd; the others only mark where background is not known. An index is a `SampleIndex`, or a
    person's number, which stands for draw 0. The random changes follow from (seed, draw, person) alone: not
    from the number of workers, nor from what was read before.

    Args:
        annotations: one set, or one a source.
        crop: size and margin of the crops.
        augment: random changes; None for none.
        symmetry: of the body's charts, for mirrored crops.
        seed: of the random changes.
        cache_mb: memory for decoded pictures in each process.
        labelled_only: False takes people without any label too, e.g. to compare frames of a video; for all
            sources, or one for each.
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
        labelled_only: bool | Sequence[bool] = True,
        keypoints: Sequence[str] = (),
        anchors: KeypointAnchors | None = None,
    ) -> None:
        sources = [annotations] if isinstance(annotations, AnnotationSet) else list(annotations)
        self._augment, self._seed = augment, seed
        #: Size and margin of the crops, and left and right of the body.
        self.crop, self.symmetry = crop, symmetry
        self._anchors = anchors
        self._keypoints = tuple(keypoints)
        self._mirrored = mirrored_order(keypoints) if augment is not None and augment.flip else None
        everyone = [person for source in sources for person in source.people]
        check_names(everyone, self._keypoints, " and ".join(str(source.file) for source in sources))
        labelled = [labelled_only] * len(sources) if isinstance(labelled_only, bool) else labelled_only
        self._people: list[PersonAnnotation] = []
        self._other_boxes: list[np.ndarray] = []
        self._seen_from: list[int] = []  # visibility from which on a person's keypoints are seen
        #: Samples of each source, as `WeightedSampler` takes them.
        self.sizes: tuple[int, ...] = tuple(
            self._add(source, only) for source, only in zip(sources, labelled, strict=True)
        )
        #: All frames of videos that the files list: also those in which nobody has labels.
        self.frames = tuple(image for source in sources for image in source.images if image.video is not None)
        self._cache_mb = cache_mb
        self._cache = ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int | SampleIndex) -> PoseSample:
        draw = index if isinstance(index, SampleIndex) else SampleIndex(0, index)
        return self.sample(draw.person, self.change(draw))

    def change(self, draw: SampleIndex, *, again: bool = False) -> Augmentation:
        """The random change of a draw's crop; another one if it is asked for again."""
        if self._augment is None:
            return Augmentation()
        return draw_augmentation(self._augment, self.randomness(draw, "again" if again else ""))

    def randomness(self, draw: SampleIndex, purpose: str = "") -> np.random.Generator:
        """What decides about a draw: another generator for each purpose."""
        return np.random.default_rng([self._seed, *draw, *purpose.encode()])

    def affine(self, box: np.ndarray, change: Augmentation) -> np.ndarray:
        """Image px -> crop px around a box under a change, (2, 3)."""
        return crop_affine(box, self.crop, change.scale, change.rotation_deg, change.shift, change.flip)

    def picture(self, file: Path, box: np.ndarray, change: Augmentation) -> tuple[np.ndarray, np.ndarray]:
        """The crop around a box of a picture, in its own colours: (S, S, 3) uint8 RGB, and its affine."""
        affine = self.affine(box, change)
        return crop_image(self._cache.load(file), affine, self.crop.size), affine

    def sample(self, index: int, change: Augmentation) -> PoseSample:
        """A person's crop and labels under a change."""
        person, size = self._people[index], self.crop.size
        image, affine = self.picture(person.image.file, person.box, change)
        if self._augment is not None:
            image = change_colours(image, change)
        covered = cover(image, change.patches)
        labels = self._labels(index).within(affine, size, covered)
        coarse = coarse_target(person, affine, size, self._other_boxes[index])
        forget_under(covered, coarse)
        keypoints = self._placed_keypoints(person, affine, covered)
        part, uv = labels.part, labels.uv
        if change.flip:
            part, uv, coarse = flip_labels(part, uv, coarse, self.symmetry)
            assert self._mirrored is not None
            keypoints = keypoints[self._mirrored]
        return PoseSample(
            image=image,
            crop_from_image=affine,
            annotation_id=person.id,
            box=move_box(person.box, affine),
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

    def seen_from(self, index: int) -> int:
        """The visibility from which on a person's keypoints are seen; files differ in it."""
        return self._seen_from[index]

    def _add(self, source: AnnotationSet, labelled_only: bool) -> int:
        """Take in the samples of a source; returns how many."""
        groups, seen = source.people_by_image(), seen_from(source.people)
        before = len(self._people)
        for person in source.people:
            if person.crowd or (labelled_only and not self._is_labelled(person, seen)):
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
        if person.has_labels:
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
