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
from slimdp.models.process_sums import SharedStatistics, sum_over_processes

EPSILON = 1e-5
#: Of a batch, in the running statistics of the batch norm: torch's own.
MOMENTUM = 0.1


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


class SiteBatchNorm(SharedStatistics):
    """Batch norm over all active sites together (the ablation without instance-aware normalisation).

    No nn.BatchNorm1d, which torch's conversion for several processes would replace by a layer that knows no
    members; its weights and statistics have the same names.

    Args:
        channels: of what is normalised.
    """

    running_mean: Tensor  # (channels,), as `running_var` is
    running_var: Tensor
    num_batches_tracked: Tensor  # ()

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, values: Tensor, members: Members) -> Tensor:
        """(N, C) at the sites -> (N, C); fewer than two sites are normalised by the running statistics."""
        if self.training and self.group is not None:
            return self._over_processes(values)
        learning = self.training and len(values) > 1
        if learning:
            self.num_batches_tracked += 1
        return nn.functional.batch_norm(
            values, self.running_mean, self.running_var, self.weight, self.bias, learning, MOMENTUM, EPSILON
        )

    def _over_processes(self, values: Tensor) -> Tensor:
        """As `forward`, over the sites of all processes: as many in each as there are, also none."""
        wide = values.to(torch.promote_types(values.dtype, torch.float32))
        # Their number stays on the device: a GPU need not be waited for.
        summed = sum_over_processes(torch.cat([wide.sum(0), wide.new_full((1,), len(wide))]), self.group)
        count = summed[-1].detach()
        mean = summed[:-1] / count.clamp(min=1)
        # Sums of squares lose digits to a common offset: the mean of all goes first.
        squares = sum_over_processes((wide - mean).square().sum(0), self.group)
        variance, enough = squares / count.clamp(min=1), count > 1
        used_mean = torch.where(enough, mean, self.running_mean)
        used_variance = torch.where(enough, variance, self.running_var)
        with torch.no_grad():  # the unbiased variance, as torch does
            rate = MOMENTUM * enough.to(wide.dtype)
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(squares / (count - 1).clamp(min=1), rate)
            self.num_batches_tracked += enough
        scale = self.weight * (used_variance + EPSILON).rsqrt()
        return ((wide - used_mean) * scale + self.bias).to(values.dtype)
