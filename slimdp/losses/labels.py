"""The labels of a batch as the losses compare them with the maps, made once for all terms and stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from slimdp.geometry import map_from_crop
from slimdp.structures import IGNORE, LabelSource, PoseBatch

BACKGROUND = 0
#: Of points that annotators clicked, and of those that flow carried from there.
CLICKED = (LabelSource.ANNOTATOR, LabelSource.PROPAGATED)
#: Standard deviation of a keypoint's Gaussian, map px (Newell et al., 3.1).
HEAT_SIGMA_PX = 1.0


@dataclass(frozen=True)
class MapLabels:
    """Labels of N people in the px of their maps; those that must not count weigh 0, or are IGNORE."""

    batch: PoseBatch  # that they are made of
    points: Tensor  # (P, 2) x, y, map px
    instance_index: Tensor  # (P,) int64 in 0..N-1
    part: Tensor  # (P,) int64, 1..parts
    uv: Tensor  # (P, 2) in [0, 1]; any number where it is not known
    uv_known: Tensor  # (P,) 1, or 0 where the part alone is known
    confidence: Tensor  # (P,) in [0, 1]
    coarse: Tensor  # (N, h, w) int64: 0..C, IGNORE where unknown
    outside: Tensor  # (N, h, w) int64: background where it is known, IGNORE elsewhere
    heat: Tensor  # (N, K, h, w): Gaussians about the keypoints; K = 0 without
    heat_known: Tensor  # (N, K): 1 for labelled keypoints, hidden ones too, else 0
    _made: dict[str, Any] = field(default_factory=dict)

    def trust(self, sources: Sequence[LabelSource]) -> Tensor:
        """How hard points of some sources pull (P,), and 0 for the others."""
        return self.once(f"trust {sources}", lambda: self.confidence * _has_source(self.batch, sources))

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What several terms need of a batch: made by the first of them."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def map_labels(batch: PoseBatch) -> MapLabels:
    """Labels of a batch for the maps of its images."""
    confidence = torch.ones_like(batch.points[:, 0]) if batch.confidence is None else batch.confidence
    coarse, uv_known = batch.coarse.long(), has_uv(batch)
    none = batch.points.new_zeros(len(coarse), 0, 3)
    keypoints = none if batch.keypoints is None else batch.keypoints
    return MapLabels(
        batch=batch, points=map_from_crop(batch.points, batch.stride),
        instance_index=batch.instance_index, part=batch.part,
        # NaN times 0 is NaN, and so would be its gradient: it must not reach the arithmetic.
        uv=torch.where(uv_known[:, None], batch.uv, 0),
        uv_known=uv_known.to(confidence.dtype),
        confidence=confidence, coarse=coarse, outside=torch.where(coarse == BACKGROUND, BACKGROUND, IGNORE),
        heat=keypoint_heat(keypoints[..., :2], coarse.shape[-1], batch.stride),
        heat_known=(keypoints[..., 2] > 0).to(keypoints.dtype),
    )  # fmt: skip


def labelled_points(batch: PoseBatch, sources: Sequence[LabelSource]) -> Tensor:
    """(P,) bool: points of some sources; none of confidence 0."""
    chosen = _has_source(batch, sources)
    return chosen if batch.confidence is None else chosen & (batch.confidence > 0)


def _has_source(batch: PoseBatch, sources: Sequence[LabelSource]) -> Tensor:
    source = torch.zeros_like(batch.part) if batch.source is None else batch.source
    return torch.stack([source == one for one in sources]).any(dim=0)


def has_uv(batch: PoseBatch) -> Tensor:
    """(P,) bool: which points have (u, v), and not the part alone."""
    return ~batch.uv.isnan().any(dim=1)


def keypoint_heat(keypoints: Tensor, side: int, stride: int) -> Tensor:
    """Gaussians of height 1 about keypoints (B, K, 2) x, y, crop px (Newell et al., 3.1).

    Maps (B, K, side, side), `stride` crop px to a map px; next to nothing of a keypoint far outside.
    """
    centres = map_from_crop(keypoints, stride)
    steps = torch.arange(side, device=keypoints.device, dtype=keypoints.dtype)
    # A Gaussian of two dimensions is the product of two of one: (B, K, 2, side) exponentials alone.
    bells = torch.exp(-((steps - centres[..., None]) ** 2) / (2 * HEAT_SIGMA_PX**2))
    return bells[:, :, 1, :, None] * bells[:, :, 0, None, :]
