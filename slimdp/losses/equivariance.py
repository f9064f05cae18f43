"""Features that move with the picture (Slim DensePose, 3.2.2).

Where a pixel of one frame moves to a place of another, the network's features at both should agree, up to
their length. No label is needed, only the flow between the two crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from slimdp.config import LossTerm
from slimdp.losses.labels import MapLabels
from slimdp.structures import ModelOutput, PoseBatch


class EquivarianceLoss(LossTerm):
    """1 - cosine of the features of two pictures of a person, at every pixel that both show (table 7).

    It needs `motion`, and no labels.
    """

    usual: ClassVar[bool] = True
    needs_pairs: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False

    at: str | None = None  # the features of the network that are compared; null: those that it names first
    stop: Literal["none", "first", "second"] = "none"  # the side that the loss does not teach

    @property
    def features(self) -> tuple[str, ...]:
        return (self.at or "",) if self.at is not None or self.weight > 0 else ()

    def for_network(self, features: Sequence[str]) -> Self:
        return self.replace(at=features[0]) if self.at is None and features else self

    def count(self, batch: PoseBatch) -> int:
        """Map pixels of the second pictures that the flow takes into the first ones."""
        return 0 if batch.valid_1 is None else int(batch.valid_1.sum())

    def sums(self, output: ModelOutput, labels: MapLabels) -> list[Tensor]:
        if self.weight == 0 or labels.batch.pairs is None:
            return []
        assert self.at is not None
        return [equivariance_sum(features[self.at], labels.batch, self.stop) for features in output.features]


def cosine_errors(
    features_0: Tensor, features_1: Tensor, flow_0to1: Tensor, valid_0: Tensor
) -> tuple[Tensor, Tensor]:
    """1 - rho(Psi(I_0), Psi_g(I_1)): at every pixel of the first crops' features, and where it counts.

    L_cos is its mean over the pixels that count (Slim DensePose, 3.2.2).

    Args:
        features_0, features_1: (B, C, h, w), of the first crops and of the second ones.
        flow_0to1: (B, 2, H, W) from the first crops to the second, px of its own raster; its raster and that
            of the features cover the same crop.
        valid_0: (B, H, W) bool, where the flow can be trusted.

    Returns:
        (B, h, w), 0 (alike) to 2 (opposite), 0 with a gradient of 0 where it does not count; (B, h, w) bool.

    Raises ValueError where the shapes do not belong together.
    """
    if features_0.shape != features_1.shape or len(flow_0to1) != len(features_0):
        raise ValueError(
            f"features of {tuple(features_0.shape)} and {tuple(features_1.shape)} with a flow of "
            f"{tuple(flow_0to1.shape)}: wanted (B, C, h, w) twice, and (B, 2, H, W)"
        )
    # Under autocast the features are half floats, whose squares overflow.
    half = (torch.bfloat16, torch.float16)
    features_0, features_1 = (f.float() if f.dtype in half else f for f in (features_0, features_1))
    flow, valid = resize_flow(flow_0to1.to(features_0.dtype), valid_0, features_0.shape[-2:])
    warped_0, inside = warp_maps(features_1, flow)
    counted = valid & inside
    unlike = 1 - F.cosine_similarity(features_0, warped_0, dim=1)
    return torch.where(counted, unlike, 0), counted


def equivariance_sum(features: Tensor, batch: PoseBatch, stop: str) -> Tensor:
    """The cosine loss of one stage between the images of each pair, summed over the valid map pixels.

    Of features (B, C, h, w) that are half as fine each pixel counts as the four that it covers. The flow of
    the batch's pairs leads from the second image to the first; `stop` is the side whose features get no
    gradient: "none", "first" or "second".
    """
    assert batch.pairs is not None
    assert batch.flow_1to0 is not None
    assert batch.valid_1 is not None
    features_0, features_1 = (features.index_select(0, crops) for crops in batch.pairs.unbind(1))
    if stop == "first":
        features_0 = features_0.detach()
    elif stop == "second":
        features_1 = features_1.detach()
    unlike, _ = cosine_errors(features_1, features_0, batch.flow_1to0, batch.valid_1)
    return unlike.sum() * (batch.valid_1[0].numel() / unlike[0].numel())


def warp_maps(maps_1: Tensor, flow_0to1: Tensor) -> tuple[Tensor, Tensor]:
    """Bring the maps of frame 1 to the pixels of frame 0: each reads, bilinearly, where it moved to.

    Of maps (B, C, h, w) and a flow (B, 2, h, w) px, x first, these are (B, C, h, w), differentiable in both,
    the border's value outside; and (B, h, w) bool, whether the place is inside of frame 1. NaN moves to no
    place.
    """
    height, width = maps_1.shape[-2:]
    steps = (torch.arange(side, device=maps_1.device) for side in (height, width))
    y, x = torch.meshgrid(*steps, indexing="ij")
    place_1 = flow_0to1 + torch.stack([x, y])  # (B, 2, h, w)
    limit = place_1.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    # Rounding alone must not put a pixel of the border outside.
    inside = ((place_1 >= -1e-3) & (place_1 <= limit + 1e-3)).all(dim=1)
    normalised = 2 * torch.where(inside[:, None], place_1, 0) / limit.clamp(min=1) - 1
    warped = F.grid_sample(
        maps_1, normalised.movedim(1, -1), mode="bilinear", padding_mode="border", align_corners=True
    )
    return warped, inside


def resize_flow(flow: Tensor, valid: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A flow on a coarser or finer raster over the same crop.

    Pixels are squares that tile the crop: pixel m of a raster half as fine covers pixels 2 m and 2 m + 1.
    Of (B, 2, H, W) px, x first, and (B, H, W) bool it gives (B, 2, h, w) px of the new raster, the mean of
    the valid pixels that count, and (B, h, w) bool: where these are half or more, by weight.
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow, valid

    def to_size(maps: Tensor) -> Tensor:
        return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)

    share = to_size(valid[:, None].to(flow.dtype))
    known = to_size(torch.where(valid[:, None], flow, 0)) / share.clamp(min=1e-6)  # NaN would spread
    scale = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return known * scale, share[:, 0] >= 0.5
