"""Training samples of two pictures of one person (Slim DensePose, 3.2.2).

A neighbouring frame and a warped crop give the same: a crop, and maps of points both ways that say which they
know. What learns from pairs does not ask which of the two it was (3.2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from slimdp.config import MotionSettings, NoMotion
from slimdp.data import PoseDataset, PoseSample, change_picture, collate
from slimdp.data.augment import Augmentation, flip_coarse
from slimdp.data.box_frame import sample_coarse
from slimdp.data.sampler import SampleIndex
from slimdp.geometry import apply_affine, crop_from_map, invert_affine, map_from_crop
from slimdp.motion.flow_pairs import ExactMotion, FlowMotion
from slimdp.motion.label_transfer import coarse_labels, move_keypoints
from slimdp.motion.thin_plate import TpsMotion
from slimdp.structures import IGNORE, LabelSource, PersonAnnotation, PoseBatch

BACKGROUND = 0
_OF_POINTS = ("points", "part", "uv", "source", "confidence")
#: Settings of each kind of motion, by `motion.kind`; they make the `PairSource`.
PAIR_SOURCES: dict[str, type[MotionSettings]] = {
    "none": NoMotion,
    "tps": TpsMotion,
    "flow": FlowMotion,
    "exact": ExactMotion,
}


@dataclass(frozen=True)
class PairSample:
    """Two crops of one person, and where the pixels of the second lie in the first."""

    first: PoseSample
    second: PoseSample
    flow_1to0: np.ndarray  # (2, h, w) float32 map px: takes a map pixel of the second to the first
    valid_1: np.ndarray  # (h, w) bool: where that is known, and inside of the first crop


class PairView(Protocol):
    """A second crop of S px, and where its places lie in the first one of the same size."""

    @property
    def image(self) -> np.ndarray:
        """(S, S, 3) uint8 RGB, in the picture's own colours."""

    @property
    def crop_from_image(self) -> np.ndarray:
        """(2, 3), image px of the picture that it was cut from -> crop px; the first crop's for a warp."""

    def warp_to_source(self, points_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where places of the second crop (N, 2) x, y crop px lie in the first, and which are known (N,)."""

    def warp_to_target(self, points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The other way round: (N, 2) crop px, NaN or anything where not known, and (N,) bool."""

    def transfer_labels(
        self, points_0: np.ndarray, confidence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `warp_to_target`, of labels: with all checks, and their confidence (N,) there."""


class PairSource(Protocol):
    """Where second pictures come from."""

    def view(
        self, people: PoseDataset, index: int, change: Augmentation, rng: np.random.Generator
    ) -> PairView | None:
        """The second crop of a person whose first is changed so; None where there is none."""


class SourceLabels(NamedTuple):
    """What the first crop's labels were made of."""

    person: PersonAnnotation
    seen_from: int  # visibility from which on its keypoints are seen
    mirrored: bool  # the crops are


class PairDataset(Dataset[PoseSample | PairSample]):
    """A data set's samples, each with a second picture where its source has one.

    Both crops are scaled, turned, shifted and mirrored alike, so that no motion is between them but that of
    the video or the warp; their colours are changed apart. Patches (`augment.occlusion`) cover the first
    alone: what lies under them gives no labels, but its features are compared all the same. The second crop
    has the first one's labels, propagated, or none. An index is a `SampleIndex`, as of `PoseDataset`, and
    decides about everything.
    """

    def __init__(self, people: PoseDataset, source: PairSource, propagate: bool) -> None:
        self._people, self._source, self._propagate = people, source, propagate
        #: Samples of each source, as `WeightedSampler` takes them.
        self.sizes = people.sizes

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int | SampleIndex) -> PoseSample | PairSample:
        draw = index if isinstance(index, SampleIndex) else SampleIndex(0, index)
        people, change = self._people, self._people.change(draw)
        first = people.sample(draw.person, change)
        view = self._source.view(people, draw.person, change, people.randomness(draw, "motion"))
        if view is None:
            return first
        again = people.change(draw, again=True)
        colours = replace(change, gain=again.gain, offset=again.offset, poor=again.poor)
        labels = None
        if self._propagate:
            labels = SourceLabels(people.person(draw.person), people.seen_from(draw.person), change.flip)
        return pair_sample(first, view, change_picture(view.image, colours), labels)

    def person(self, index: int) -> PersonAnnotation:
        """The record behind a sample."""
        return self._people.person(index)


def with_pairs(people: PoseDataset, settings: MotionSettings) -> PoseDataset | PairDataset:
    """The people with the second pictures that settings ask for; raises what their source raises."""
    source = settings.source(people)
    return people if source is None else PairDataset(people, source, settings.propagate)


def collate_pairs(samples: Sequence[PoseSample | PairSample]) -> PoseBatch:
    """Samples as one batch: first every sample's crop, or the first of its two, then the second crops."""
    pairs = {index: sample for index, sample in enumerate(samples) if isinstance(sample, PairSample)}
    firsts = [sample.first if isinstance(sample, PairSample) else sample for sample in samples]
    batch = collate([*firsts, *(pair.second for pair in pairs.values())])
    if not pairs:
        return batch
    return replace(
        batch,
        pairs=torch.tensor([(first, len(samples) + number) for number, first in enumerate(pairs)]),
        flow_1to0=torch.from_numpy(np.stack([pair.flow_1to0 for pair in pairs.values()])),
        valid_1=torch.from_numpy(np.stack([pair.valid_1 for pair in pairs.values()])),
    )


def pair_sample(
    first: PoseSample, view: PairView, image_1: np.ndarray, labels: SourceLabels | None = None
) -> PairSample:
    """Two crops as a sample: the first with its labels, and a view of the second.

    `image_1` (S, S, 3) uint8 RGB is the second as the network is to see it; `labels` are those to propagate
    to it (`transfer_labels`); None: it has none.
    """
    side = len(first.coarse)
    centres_1 = crop_from_map(np.mgrid[:side, :side][::-1].reshape(2, -1).T, first.stride)
    places_0, known = view.warp_to_source(centres_1)
    # Of the centres of map pixels: what lies beyond the outermost ones cannot be read in the first map.
    inside_0 = (places_0 >= centres_1[0]) & (places_0 <= centres_1[-1])
    known = known & inside_0[:, 0] & inside_0[:, 1]  # a tenth of the time of `all` over so short an axis
    flow_1to0 = np.where(known[:, None], places_0 - centres_1, 0).T.reshape(2, side, side) / first.stride
    second = _unlabelled(first, view, image_1)
    if labels is not None:
        second = transfer_labels(first, second, view, labels, places_0, known)
    return PairSample(first, second, flow_1to0.astype(np.float32), known.reshape(side, side))


def transfer_labels(
    first: PoseSample,
    second: PoseSample,
    view: PairView,
    labels: SourceLabels,
    places_0: np.ndarray,
    known: np.ndarray,
) -> PoseSample:
    """The second crop with the labels of the first: ground-truth propagation (Slim DensePose, 3.2.2, 5.4).

    Points and keypoints in sight go where the view says, and are left out where it does not know. A map
    pixel takes the coarse label of the place that it shows, at the full resolution of the mask, IGNORE where
    that is not known. Map pixels of the second crop lie at places_0 (h * w, 2) x, y of the first, crop px,
    where that is known (h * w,).
    """
    size = len(second.image)
    points_1, known_1, confidence = view.transfer_labels(first.points, first.confidence)
    arrived = known_1 & _inside(points_1, size)
    source = np.where(first.source == LabelSource.KEYPOINT, first.source, LabelSource.PROPAGATED)

    def move(keypoints_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places_1, there = view.warp_to_target(keypoints_0)
        return places_1, there & _inside(places_1, size)

    coarse = coarse_labels(places_0, known, lambda places: _coarse_at(first, labels, places))
    moved = points_1, first.part, first.uv, source, confidence
    return replace(
        second,
        **{name: values[arrived] for name, values in zip(_OF_POINTS, moved)},
        coarse=coarse.reshape(first.coarse.shape),
        keypoints=move_keypoints(first.keypoints, first.keypoints[:, 2] >= labels.seen_from, move),
    )


def _unlabelled(first: PoseSample, view: PairView, image_1: np.ndarray) -> PoseSample:
    """The second crop alone."""
    return replace(
        first,
        image=image_1,
        crop_from_image=view.crop_from_image,
        **{name: getattr(first, name)[:0] for name in _OF_POINTS},
        coarse=np.full_like(first.coarse, IGNORE),
        keypoints=np.zeros_like(first.keypoints),
    )


def _inside(points: np.ndarray, size: int) -> np.ndarray:
    """Which points (N, 2) lie in a crop of a size; (N,), False for NaN."""
    return np.all((points >= 0) & (points <= size - 1), axis=1)


def _coarse_at(first: PoseSample, labels: SourceLabels, places_0: np.ndarray) -> np.ndarray:
    """Coarse labels (N,) at places (N, 2) of the first crop, crop px, all of them between map pixels.

    Within the person's box the mask answers at its own resolution. What is unknown at the nearest map pixel
    stays so: other people, ignore regions, patches.
    """
    column, row = np.floor(map_from_crop(places_0, first.stride) + 0.5).astype(int).T
    label = first.coarse[row, column]
    person, coarse = labels.person, labels.person.coarse
    if coarse is not None:
        in_image = apply_affine(invert_affine(first.crop_from_image), places_0)
        drawn, inside = sample_coarse(coarse, person.box, in_image, BACKGROUND)
        exact = inside & (label != IGNORE)
        label[exact] = (flip_coarse(drawn, person.layout) if labels.mirrored else drawn)[exact]
    return label
