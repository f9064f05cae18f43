"""Training samples, and how they become a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from slimdp.structures import PoseBatch


@dataclass(frozen=True)
class PoseSample:
    """One crop of S px with its labels."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    crop_from_image: np.ndarray  # (2, 3) float64: crop px = A @ (x, y, 1) of image px
    annotation_id: int
    box: np.ndarray  # (4,) float64 x, y, width, height, crop px, around the annotated one; may reach out
    points: np.ndarray  # (N, 2) float64 x, y, crop px, all inside the crop and not under a patch
    part: np.ndarray  # (N,) int64, 1..24
    uv: np.ndarray  # (N, 2) float32 in [0, 1]; NaN where the part alone is known
    source: np.ndarray  # (N,) int64, a LabelSource
    confidence: np.ndarray  # (N,) float32 in [0, 1]
    coarse: np.ndarray  # (S / 4, S / 4) uint8: 0..14, IGNORE where unknown
    keypoints: np.ndarray  # (K, 3) float64 x, y, crop px, visibility: 0 unknown, 1 hidden, 2 seen


@dataclass(frozen=True)
class PairSample:
    """Two crops of one person, and where the pixels of the second lie in the first."""

    first: PoseSample
    second: PoseSample
    flow_1to0: np.ndarray  # (2, S / 4, S / 4) float32 map px: takes a map pixel of the second to the first
    valid_1: np.ndarray  # (S / 4, S / 4) bool: where that is known, and inside of the first crop


def collate(samples: Sequence[PoseSample | PairSample]) -> PoseBatch:
    """Samples as one batch: first every sample's crop, or the first of its two, then the second crops.

    The points of all crops follow one another in flat tensors; `PoseBatch.to` widens what is in bytes.
    """
    crops = [sample.first if isinstance(sample, PairSample) else sample for sample in samples]
    paired = [(index, sample) for index, sample in enumerate(samples) if isinstance(sample, PairSample)]
    crops += [pair.second for _, pair in paired]
    images = torch.from_numpy(np.stack([crop.image for crop in crops]))
    counts = [len(crop.points) for crop in crops]
    pairs = [(index, len(samples) + number) for number, (index, _) in enumerate(paired)]
    return PoseBatch(
        images=images.permute(0, 3, 1, 2),
        crop_from_image=torch.from_numpy(np.stack([crop.crop_from_image for crop in crops])).float(),
        image_index=torch.arange(len(crops)),
        annotation_id=torch.tensor([crop.annotation_id for crop in crops], dtype=torch.int64),
        instance_index=torch.repeat_interleave(torch.arange(len(crops)), torch.tensor(counts)),
        points=_flat([crop.points for crop in crops]).float(),
        part=_flat([crop.part for crop in crops]).long(),
        uv=_flat([crop.uv for crop in crops]).float(),
        box=torch.from_numpy(np.stack([crop.box for crop in crops])).float(),
        coarse=torch.from_numpy(np.stack([crop.coarse for crop in crops])),
        confidence=_flat([crop.confidence for crop in crops]).float(),
        source=_flat([crop.source for crop in crops]).long(),
        keypoints=torch.from_numpy(np.stack([crop.keypoints for crop in crops])).float(),
        pairs=torch.tensor(pairs, dtype=torch.int64) if pairs else None,
        flow_1to0=torch.from_numpy(np.stack([pair.flow_1to0 for _, pair in paired])) if pairs else None,
        valid_1=torch.from_numpy(np.stack([pair.valid_1 for _, pair in paired])) if pairs else None,
        one_each=True,
    )


def _flat(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays))
