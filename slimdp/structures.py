"""The records that travel between the stages, with the shape, axis order and unit of every field.

Coordinates are (x, y) in pixels with pixel centres at integers. "Image px" are pixels of the whole frame,
"crop px" those of the square that the network sees, "map px" those of the maps that it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slimdp.label_runs import LabelMap
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

if TYPE_CHECKING:
    # What only measures on surfaces needs no torch, which takes half a gigabyte and two seconds.
    import torch
    from torch import Tensor

#: Label of a pixel that no loss and no score may look at.
IGNORE = 255


class LabelSource(IntEnum):
    """Where a point label came from."""

    ANNOTATOR = 0
    PROPAGATED = 1
    KEYPOINT = 2
    TAUGHT = 3  # by a teacher, at any pixel of the person


class BoxSource(IntEnum):
    """Where a person's box came from: all but the first are rough, and the person may reach out of them."""

    ANNOTATOR = 0
    KEYPOINTS = 1  # drawn around the labelled keypoints
    CENTRE = 2  # from MPII's rough centre and scale
    TRACKED = 3  # by a detector, or by following the person


@dataclass(frozen=True)
class ImageRecord:
    """One picture: a still, or a frame of a video."""

    id: int
    file: Path  # where to open it
    file_name: str  # as the annotation file calls it, relative to the image folder
    width: int  # px
    height: int  # px
    video: str | None = None  # vid_id; None for a still
    frame: int | None = None  # the number in the file name of a frame, e.g. 5 for 000005.jpg
    labelled: bool = True  # False: an unlabelled frame of a labelled video
    ignore_regions: tuple[np.ndarray, ...] = ()  # polygons (K, 2) x, y image px: people without labels


_COARSE = LabelMap()


@dataclass(frozen=True)
class PersonAnnotation:
    """All that is known of a person in a picture: N = 0 without points, None for what is not annotated."""

    id: int
    image: ImageRecord
    box: np.ndarray  # (4,) x, y, width, height, image px
    points: np.ndarray  # (N, 2) x, y, image px
    part: np.ndarray  # (N,) int64, 1..P
    uv: np.ndarray  # (N, 2) float32 in [0, 1]; NaN where the part alone is known
    source: np.ndarray  # (N,) int64, a LabelSource
    step: np.ndarray  # (N,) int64: frames from the annotated frame to this one; 0 unless propagated
    track: int | None = None
    coarse: LabelMap = _COARSE  # (256, 256) uint8 over the box: 0..C, IGNORE where unknown; or None
    keypoints: np.ndarray | None = None  # (K, 3) x, y image px, visibility 0, 1, 2
    keypoint_names: tuple[str, ...] = ()
    mask: np.ndarray | None = None  # (height, width) bool, the person in the image
    crowd: bool = False
    confidence: np.ndarray | None = None  # (N,) float32 in [0, 1], trust in each point; None: full
    box_source: BoxSource = BoxSource.ANNOTATOR
    layout: PartLayout = PEOPLE  # of which surface the labels speak
    propagated: bool = False  # flow brought the labels, masks and keypoints too, from another frame
    area: float | None = None  # image px^2, of the person and not of the box, as a file says it

    @property
    def was_carried(self) -> bool:
        """Whether flow alone brought the labels from another frame, and no annotator added a point.

        Without `propagated`, which older files lack, the points alone can tell.
        """
        moved = self.source == LabelSource.PROPAGATED
        return bool(np.all(moved)) and (self.propagated or len(moved) > 0)

    @property
    def has_labels(self) -> bool:
        """Whether there are points or coarse masks to learn from."""
        return len(self.points) > 0 or self.has_coarse

    @property
    def has_coarse(self) -> bool:
        """Whether there is a coarse mask; looking at `coarse` itself draws it."""
        return self.__dict__["coarse"] is not None

    @property
    def has_uv(self) -> np.ndarray:
        """(N,) bool: which points have (u, v), and not the part alone."""
        return ~np.isnan(self.uv).any(axis=1)  # type: ignore[no-any-return]

    def with_points(self, chosen: np.ndarray) -> PersonAnnotation:
        """The person with some of the points, chosen (N,) bool."""
        if chosen.all():
            return self
        per_point = {name: getattr(self, name)[chosen] for name in ("points", "part", "uv", "source", "step")}
        trust = None if self.confidence is None else self.confidence[chosen]
        return replace(self, **per_point, confidence=trust)

    def with_uv_points(self) -> PersonAnnotation:
        """The person with those points alone that have (u, v)."""
        return self.with_points(self.has_uv)


def unlabelled_person(
    identity: int, image: ImageRecord, box: np.ndarray, track: int | None = None, layout: PartLayout = PEOPLE
) -> PersonAnnotation:
    """Somebody whom a detector or following found, in a box (4,) x, y, width, height, image px; no labels."""
    nothing = np.zeros(0, dtype=np.int64)
    return PersonAnnotation(
        id=identity, image=image, box=box, points=np.zeros((0, 2)), part=nothing,
        uv=np.zeros((0, 2), np.float32), source=nothing, step=nothing, track=track,
        box_source=BoxSource.TRACKED, layout=layout,
    )  # fmt: skip


@dataclass(frozen=True)
class PoseBatch:
    """Pictures with people in them, as the network and the losses take them: B images, N people, P points.

    A person crop is a picture with one instance. People and points lie in flat arrays: `image_index` says
    which picture a person is in, `instance_index` whose a point is.

    `collate` leaves images and coarse masks as bytes, so that workers, pinned memory and the way to a GPU
    carry a quarter and an eighth of what the losses see; `to` widens them. At 256 px a crop takes 197 KB of
    image, 4 KB of masks and 44 bytes a point (`nbytes`); widened, 786 KB and 33 KB.

    Some of the images may be pairs: two pictures of one person, and which pixels show the same.
    """

    images: Tensor  # (B, 3, H, W) RGB, channels last: uint8 from `collate`, float32 in 0..1 after `to`
    crop_from_image: Tensor  # (B, 2, 3) float32: px of the batch's image = A @ (x, y, 1) of px of the file
    image_index: Tensor  # (N,) int64 in 0..B-1
    annotation_id: Tensor  # (N,) int64
    box: Tensor  # (N, 4) float32 x, y, width, height, px of the batch's image
    coarse: Tensor  # (N, h, w) over the image's maps: 0..C, IGNORE where unknown; uint8, int64 after `to`
    instance_index: Tensor  # (P,) int64 in 0..N-1
    points: Tensor  # (P, 2) float32 x, y, px of the batch's image
    part: Tensor  # (P,) int64, 1..parts
    uv: Tensor  # (P, 2) float32 in [0, 1]; NaN where the part alone is known
    confidence: Tensor | None = None  # (P,) float32 in [0, 1]; None: all 1
    source: Tensor | None = None  # (P,) int64, a LabelSource; None: no point comes from a keypoint
    keypoints: Tensor | None = None  # (N, K, 3) float32 x, y px, visibility 0 unknown, 1 hidden, 2 seen
    pairs: Tensor | None = None  # (Q, 2) int64: the first and the second image of each of Q pairs; None: none
    flow_1to0: Tensor | None = None  # (Q, 2, h, w) float32 map px, from the second images to the first
    valid_1: Tensor | None = None  # (Q, h, w) bool: where that is known, and inside of the first image
    mask: Tensor | None = None  # (N, h, w) uint8 over the image's maps: 1 the person, 0 not, IGNORE unknown
    crowd: Tensor | None = (
        None  # (B, h, w) bool over the maps: people labelled by nobody; None: none anywhere
    )
    outline_weight: Tensor | None = None  # (N,) how much a pixel of `coarse` counts; None: 1
    one_each: bool = False  # known that person i is the only one of image i, as of crops: B = N
    to_detect: bool = False  # the network is to find the people; the batch has none

    @classmethod
    def of_images(cls, images: Tensor) -> PoseBatch:
        """Images (B, 3, H, W) alone, each of one person that fills it, without labels: what is predicted."""
        import torch

        count, _, height, width = images.shape
        device = images.device
        everyone, nobody = torch.arange(count, device=device), torch.arange(0, device=device)
        box = torch.tensor([0.0, 0.0, width, height], device=device)
        nowhere = torch.zeros(0, 2, device=device)
        return cls(
            images, crop_from_image=torch.eye(2, 3, device=device).expand(count, 2, 3),
            image_index=everyone, annotation_id=everyone, box=box.expand(count, 4),
            coarse=torch.full((count, 0, 0), IGNORE, device=device),
            instance_index=nobody, points=nowhere, part=nobody, uv=nowhere, one_each=True,
        )  # fmt: skip

    @classmethod
    def of_pictures(cls, images: Tensor, image_index: Tensor | None, box: Tensor | None) -> PoseBatch:
        """Whole pictures (B, 3, H, W) with people in given boxes, or None of both: to be detected.

        Without labels; people are in `image_index` (N,) int64 at `box` (N, 4) x, y, width, height, px, in the
        order of their pictures.
        """
        import torch

        given, device = cls.of_images(images), images.device
        to_detect = image_index is None or box is None
        image_index = torch.arange(0, device=device) if image_index is None else image_index
        return replace(
            given, image_index=image_index, annotation_id=torch.arange(len(image_index), device=device),
            box=images.new_zeros(0, 4) if box is None else box, coarse=given.coarse[:0],
            one_each=False, to_detect=to_detect,
        )  # fmt: skip

    @property
    def stride(self) -> int:
        """Px of the images to a px of the maps that the labels are made for."""
        return self.images.shape[-1] // self.coarse.shape[-1]

    def of_instances(self, maps: Tensor) -> Tensor:
        """The maps (N, ...) of each person's image, out of those (B, ...) of the images."""
        return maps if self.one_each else maps.index_select(0, self.image_index)

    @property
    def point_image(self) -> Tensor:
        """(P,) int64 in 0..B-1: the image that each point is in."""
        return self.instance_index if self.one_each else self.image_index[self.instance_index]

    def to(self, device: str | torch.device) -> PoseBatch:
        """The same batch on another device, bytes widened to what the network and the losses take."""
        import torch

        moved = self._map(lambda tensor: tensor.to(device, non_blocking=True))
        images = moved.images.float().div_(255) if moved.images.dtype == torch.uint8 else moved.images
        return replace(moved, images=images, coarse=moved.coarse.long())

    def pin_memory(self) -> PoseBatch:
        """The same batch in page-locked memory, from which a GPU fetches it while the CPU works on."""
        return self._map(lambda tensor: tensor.pin_memory())

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        return {
            name: t
            for name, t in vars(self).items()
            if t is not None and name not in ("one_each", "to_detect")
        }

    def _map(self, change: Callable[[Tensor], Tensor]) -> PoseBatch:
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in self.tensors().items()}
        return replace(self, **changed)


@dataclass(frozen=True)
class DensePoseMaps:
    """What one stage of a network says of B images: maps of H / stride x W / stride px.

    The centre of map pixel m lies at image px stride m + (stride - 1) / 2 (`slimdp.geometry.map_from_crop`).
    """

    fine_segm: Tensor  # (B, 1 + parts, h, w): background, then the parts
    u: Tensor  # (B, parts, h, w): one channel a part, channel p - 1 for part p
    v: Tensor  # (B, parts, h, w)
    coarse_segm: Tensor  # (B, 1 + coarse, h, w): background, then the coarse parts
    keypoint_maps: Tensor | None = None  # (B, K, h, w): a heat map a keypoint, where the network has them

    def map(self, change: Callable[[Tensor], Tensor]) -> DensePoseMaps:
        """The same change of all maps that there are."""
        there = {name: maps for name, maps in vars(self).items() if maps is not None}
        return DensePoseMaps(**{name: change(maps) for name, maps in there.items()})

    def full_precision(self) -> DensePoseMaps:
        """The maps in float32 where they are half as precise."""
        import torch

        half = (torch.bfloat16, torch.float16)
        return self.map(lambda maps: maps.float() if maps.dtype in half else maps)


@dataclass(frozen=True)
class Instances:
    """The people that a network found in B pictures, or who were given, with the maps of each: D of them."""

    image_index: Tensor  # (D,) int64 in 0..B-1; those of a picture by score, the best first, or as given
    box: Tensor  # (D, 4) x, y, width, height, px of the batch's images
    score: Tensor  # (D,) in 0..1; 1 for a given box
    maps: DensePoseMaps  # of D people, h x w px each, that lie evenly over `window`
    window: Tensor  # (D, 4) x, y, width, height, px of the batch's images: where the maps lie


@dataclass(frozen=True)
class ModelOutput:
    """What a network says of a batch, stage by stage: stacks of an hourglass, steps of a cascade.

    A network of whole pictures gives `instances` in evaluation. In training it gives stages with the
    `regions` that they are of, or losses of its own, or both.
    """

    stages: tuple[DensePoseMaps, ...]  # of the images or regions; the last is the best
    features: tuple[Mapping[str, Tensor], ...] = ()  # of each stage, (B, C, h, w) by name: those asked for
    #: Scalars of the network itself, by name: means over pictures, or over what `loss_counts` of it counts.
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    #: Labels that the stages are compared with in place of the batch's: cut to the R regions that the network
    #: looked at, as if each were the crop of one person (`one_each`), or of maps that show everybody in a
    #: picture, still person by person. Only its `images` may be empty.
    regions: PoseBatch | None = None
    instances: Instances | None = None

    @property
    def best(self) -> DensePoseMaps:
        """The maps of the last stage."""
        return self.stages[-1]


@dataclass(frozen=True)
class DensePoseInstance:
    """What a network says of one person, as it is saved and scored; maps in crop px, S x S.

    `part` and `uv` answer everywhere (the best of all parts): a pixel counts as the person where
    `foreground` is true.
    """

    annotation_id: int
    image_id: int
    box: np.ndarray  # (4,) x, y, width, height, image px
    score: float
    crop_from_image: np.ndarray  # (2, 3) float64: crop px = A @ (x, y, 1) of image px
    part: np.ndarray  # (S, S) uint8, 1..P
    uv: np.ndarray  # (2, S, S) float16 in [0, 1]
    foreground: np.ndarray  # (S, S) bool
    error_cm: np.ndarray | None = None  # (S, S) float16: what 90 % of the errors lie under; None: not known
