"""The records that travel between the stages, with the shape, axis order and unit of every field.

Coordinates are (x, y) in pixels with pixel centres at integers. "Image px" are pixels of the whole frame,
"crop px" those of the square that the network sees, "map px" those of the maps that it gives.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path

import numpy as np
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
    uv: np.ndarray  # (N, 2) float32 in [0, 1]
    source: np.ndarray  # (N,) int64, a LabelSource
    step: np.ndarray  # (N,) int64: frames from the annotated frame to this one; 0 unless propagated
    track: int | None = None
    coarse: np.ndarray | None = None  # (256, 256) uint8 over the box: 0..14, IGNORE where unknown
    keypoints: np.ndarray | None = None  # (K, 3) x, y image px, visibility 0, 1, 2
    keypoint_names: tuple[str, ...] = ()
    mask: np.ndarray | None = None  # (height, width) bool, the person in the image
    crowd: bool = False


@dataclass(frozen=True)
class PoseBatch:
    """Crops of B people with their labels, as the network and the losses take them.

    The points of all crops lie in flat arrays of P rows: `point_crop` says which crop a row belongs to.
    """

    image: Tensor  # (B, 3, S, S) float32 RGB in 0..1
    crop_from_image: Tensor  # (B, 2, 3) float32: crop px = A @ (x, y, 1) of image px
    annotation_id: Tensor  # (B,) int64
    point_crop: Tensor  # (P,) int64 in 0..B-1
    points: Tensor  # (P, 2) float32 x, y, crop px
    part: Tensor  # (P,) int64, 1..24
    uv: Tensor  # (P, 2) float32 in [0, 1]
    coarse: Tensor  # (B, S / 4, S / 4) int64: 0..14, IGNORE where unknown

    def to(self, device: object) -> PoseBatch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return PoseBatch(**moved)

    def pin_memory(self) -> PoseBatch:
        """The same batch in memory that a GPU copies from while the CPU goes on; `DataLoader` calls this."""
        pinned = {f.name: getattr(self, f.name).pin_memory() for f in fields(self)}
        return PoseBatch(**pinned)


@dataclass(frozen=True)
class Prediction:
    """What one stack of the network says of B crops. Maps are S / 4 wide for a crop of S px.

    The centre of map pixel m lies at crop px 4 m + 1.5 (`slimdp.geometry.map_from_crop`).
    """

    part_logits: Tensor  # (B, 25, h, w): background, then the 24 parts
    u: Tensor  # (B, 24, h, w): one channel a part, channel p - 1 for part p
    v: Tensor  # (B, 24, h, w)
    coarse_logits: Tensor  # (B, 15, h, w): background, then the 14 coarse parts
    features: Tensor  # (B, C, h, w): the features before the output layers


@dataclass(frozen=True)
class PersonPrediction:
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
