"""Instance-aware normalisation (Direct Dense Pose, equations 2 to 4): statistics a person, one scale for all.

Where masks overlap the equations leave open whose statistics a pixel is normalised by. Here it counts in
those of every person whose mask holds it, and is normalised by each of them; it gets the mean of the results,
which does not depend on the order of the people. A pixel of nobody belongs to the background of its picture,
which is normalised as one more person: there are some where the convolutions are dense (the ablation without
sparse).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slimdp.models.direct.sites import ActiveSites

EPSILON = 1e-5


@dataclass(frozen=True)
class Members:
    """Which of N active sites belong to which of K people, backgrounds of pictures among them."""

    share: Tensor  # (N, K): 1 over the number of people that the site belongs to, 0 for all others
    weight: Tensor  # (N, K): 1 over the person's number of sites where the site belongs to it, else 0

    @classmethod
    def of(cls, masks: Tensor, image_index: Tensor, sites: ActiveSites) -> Members:
        """By the masks (K, h, w) bool of people and the picture (K,) int64 that each is in."""
        batch, height, width = sites.shape
        image, place = sites.flat // (height * width), sites.flat % (height * width)
        held = masks.flatten(1)[:, place].T & (image_index == image[:, None])  # (N, K)
        nobody = ~held.any(dim=1)
        background = nobody[:, None] & (torch.arange(batch, device=image.device) == image[:, None])
        belongs = torch.cat([held, background], dim=1).float()
        belongs = belongs[:, belongs.any(dim=0)]  # of pictures without pixels of nobody, and hidden people
        return cls(belongs / belongs.sum(1, keepdim=True), belongs / belongs.sum(0))


class InstanceAwareNorm(nn.Module):
    """Normalisation over the sites of each person; all share gamma and beta.

    Args:
        channels: of what is normalised.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor, members: Members) -> Tensor:
        """(N, C) at the sites -> (N, C), in float32 where the values are half as precise."""
        half = (torch.bfloat16, torch.float16)
        values = values.float() if values.dtype in half else values
        with torch.autocast(values.device.type, enabled=False):
            share, weight = members.share.to(values.dtype), members.weight.to(values.dtype)
            # Variances by the mean of squares lose digits to a common offset: the mean of all goes first.
            centred = values - values.detach().mean(0) if len(values) else values
            mean = weight.T @ centred  # (K, C), equation 2
            variance = (weight.T @ centred.square() - mean.square()).clamp(min=0)  # equation 3
            scale = (variance + EPSILON).rsqrt()
            return (centred * (share @ scale) - share @ (mean * scale)) * self.gamma + self.beta


class SiteBatchNorm(nn.BatchNorm1d):
    """Batch norm over all active sites together (the ablation without instance-aware normalisation)."""

    def forward(self, values: Tensor, members: Members) -> Tensor:  # type: ignore[override]
        """(N, C) at the sites -> (N, C); fewer than two sites are normalised by the running statistics."""
        if self.training and len(values) < 2:
            return nn.functional.batch_norm(
                values, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(values)
