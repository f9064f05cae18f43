"""The records that travel between the stages, with the shape, axis order and unit of every field.

Coordinates are (x, y) in pixels with pixel centres at integers. "Image px" are pixels of the whole frame,
"crop px" those of the square that the network sees, "map px" those of the maps that it gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slimdp.label_runs import LabelMap

if TYPE_CHECKING:
    # What only measures on surfaces needs no torch, which takes half a gigabyte and two seconds.
    import torch
    from torch import Tensor

#: Number of surface parts; part 0 is background (DensePose, 2.1).
PARTS = 24
#: Number of coarse part masks that annotators draw; label 0 is background.
COARSE_PARTS = 14
#: Label of a pixel that no loss and no score may look at.
IGNORE = 255


class LabelSource(IntEnum):
    """Where a point label came from."""

    ANNOTATOR = 0
    PROPAGATED = 1
    KEYPOINT = 2


class BoxSource(IntEnum):
    """Where a person's box came from: all but the first are rough, and the person may reach out of them."""

    ANNOTATOR = 0
    KEYPOINTS = 1  # drawn around the labelled keypoints
    CENTRE = 2  # from MPII's rough centre and scale


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
    """Everything that is known of one person in one picture.

    A person without points has N = 0; what is not annotated at all is None.
    """

    id: int
    image: ImageRecord
    box: np.ndarray  # (4,) x, y, width, height, image px
    points: np.ndarray  # (N, 2) x, y, image px
    part: np.ndarray  # (N,) int64, 1..24
    uv: np.ndarray  # (N, 2) float32 in [0, 1]; NaN where the part alone is known
    source: np.ndarray  # (N,) int64, a LabelSource
    step: np.ndarray  # (N,) int64: frames from the annotated frame to this one; 0 unless propagated
    track: int | None = None
    coarse: LabelMap = _COARSE  # (256, 256) uint8 over the box: 0..14, IGNORE where unknown; or None
    keypoints: np.ndarray | None = None  # (K, 3) x, y image px, visibility 0, 1, 2
    keypoint_names: tuple[str, ...] = ()
    mask: np.ndarray | None = None  # (height, width) bool, the person in the image
    crowd: bool = False
    confidence: np.ndarray | None = None  # (N,) float32 in [0, 1], trust in each point; None: full
    box_source: BoxSource = BoxSource.ANNOTATOR

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


@dataclass(frozen=True)
class PoseBatch:
    """Crops of B people with their labels, as the network and the losses take them.

    The points of all crops lie in flat arrays of P rows: `batch_index` says which crop a row belongs to.
    `collate` leaves image and coarse masks as bytes, so that workers, pinned memory and the way to a GPU
    carry a quarter and an eighth of what the losses see; `to` widens them. At 256 px a crop takes 197 KB of
    image, 4 KB of masks and 44 bytes a point (`nbytes`); widened, 786 KB and 33 KB.

    Some of the crops may be pairs: two pictures of one person, and which pixels show the same.
    """

    image: Tensor  # (B, 3, S, S) RGB, channels last: uint8 from `collate`, float32 in 0..1 after `to`
    crop_from_image: Tensor  # (B, 2, 3) float32: crop px = A @ (x, y, 1) of image px
    annotation_id: Tensor  # (B,) int64
    batch_index: Tensor  # (P,) int64 in 0..B-1
    points: Tensor  # (P, 2) float32 x, y, crop px
    part: Tensor  # (P,) int64, 1..24
    uv: Tensor  # (P, 2) float32 in [0, 1]; NaN where the part alone is known
    coarse: Tensor  # (B, S / 4, S / 4): 0..14, IGNORE where unknown; uint8, int64 after `to`
    confidence: Tensor | None = None  # (P,) float32 in [0, 1]; None: all 1
    source: Tensor | None = None  # (P,) int64, a LabelSource; None: no point comes from a keypoint
    keypoints: Tensor | None = None  # (B, K, 3) float32 x, y crop px, visibility 0 unknown, 1 hidden, 2 seen
    pairs: Tensor | None = None  # (Q, 2) int64: the first and the second crop of each of Q pairs; None: none
    flow_1to0: Tensor | None = None  # (Q, 2, S / 4, S / 4) float32 map px, from the second crops to the first
    valid_1: Tensor | None = None  # (Q, S / 4, S / 4) bool: where that is known, and inside of the first crop

    def to(self, device: str | torch.device) -> PoseBatch:
        """The same batch on another device, bytes widened to what the network and the losses take."""
        import torch

        moved = self._map(lambda tensor: tensor.to(device, non_blocking=True))
        image = moved.image.float().div_(255) if moved.image.dtype == torch.uint8 else moved.image
        return replace(moved, image=image, coarse=moved.coarse.long())

    def pin_memory(self) -> PoseBatch:
        """The same batch in page-locked memory, from which a GPU fetches it while the CPU works on."""
        return self._map(lambda tensor: tensor.pin_memory())

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold."""
        return sum(tensor.nbytes for _, tensor in self._tensors())

    def _tensors(self) -> list[tuple[str, Tensor]]:
        named = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return [(name, tensor) for name, tensor in named if tensor is not None]

    def _map(self, change: Callable[[Tensor], Tensor]) -> PoseBatch:
        return replace(self, **{name: change(tensor) for name, tensor in self._tensors()})


@dataclass(frozen=True)
class DensePoseMaps:
    """What one stack of the network says of B crops. Maps are S / 4 wide for a crop of S px.

    The centre of map pixel m lies at crop px 4 m + 1.5 (`slimdp.geometry.map_from_crop`).
    """

    fine_segm: Tensor  # (B, 25, h, w): background, then the 24 parts
    u: Tensor  # (B, 24, h, w): one channel a part, channel p - 1 for part p
    v: Tensor  # (B, 24, h, w)
    coarse_segm: Tensor  # (B, 15, h, w): background, then the 14 coarse parts
    features: Tensor  # (B, C, h, w): the features before the output layers
    keypoint_maps: Tensor | None = None  # (B, K, h, w): a heat map a keypoint, where the network has them
    levels: tuple[Tensor, ...] = ()  # feature levels 0..4 of the stack, where they were asked for

    def full_precision(self) -> DensePoseMaps:
        """The maps in float32 where they are half as precise; features and levels stay as they are."""
        import torch

        names = ("fine_segm", "u", "v", "coarse_segm", "keypoint_maps")
        maps = {name: getattr(self, name) for name in names}
        half = (torch.bfloat16, torch.float16)
        return replace(
            self, **{name: m.float() for name, m in maps.items() if m is not None and m.dtype in half}
        )


@dataclass(frozen=True)
class DensePoseInstance:
    """What a network says of one person, as it is saved and scored; maps in crop px, S x S.

    `part` and `uv` answer everywhere (the best of the 24 parts): a pixel counts as the person where
    `foreground` is true.
    """

    annotation_id: int
    image_id: int
    box: np.ndarray  # (4,) x, y, width, height, image px
    score: float
    crop_from_image: np.ndarray  # (2, 3) float64: crop px = A @ (x, y, 1) of image px
    part: np.ndarray  # (S, S) uint8, 1..24
    uv: np.ndarray  # (2, S, S) float16 in [0, 1]
    foreground: np.ndarray  # (S, S) bool
