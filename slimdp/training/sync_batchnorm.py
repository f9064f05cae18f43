"""Batch norm over the crops of all processes, so that a batch is one batch however many share it.

On GPUs torch has it (nn.SyncBatchNorm); that one refuses CPUs, where `SyncBatchNorm` does the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def sync_batch_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Let a model's batch norms look at the crops of all processes; weights and statistics stay the same
    tensors under the same names."""
    # A group of their own: what they say in the backward pass must not mix with the gradients on their way.
    group = dist.new_group()
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model, group)
        return converted
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, SyncBatchNorm(child, group))
    return model


class SyncBatchNorm(nn.BatchNorm2d):
    """The batch norm (B, C, h, w) -> the same shape over all processes, which have equally many crops.

    Args:
        norm: whose weights, statistics and settings it takes over.
        group: a dist.ProcessGroup, of the processes.
    """

    def __init__(self, norm: nn.BatchNorm2d, group: Any) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = dist.get_world_size(self.group)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        # First the mean and then the mean square from it: E[x^2] - E[x]^2 would lose half of the digits.
        mean = _SumOverProcesses.apply(values.mean((0, 2, 3), keepdim=True) / count, self.group)
        centred = values - mean
        variance = _SumOverProcesses.apply(centred.square().mean((0, 2, 3), keepdim=True) / count, self.group)
        self._follow(mean.detach().flatten(), variance.detach().flatten(), count * x.numel() // x.shape[1])
        scale = self.weight.view(1, -1, 1, 1) * (variance + self.eps).rsqrt()
        return (centred * scale + self.bias.view(1, -1, 1, 1)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Take a batch into the running statistics, with the unbiased variance as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (values / (values - 1)), self.momentum)
        self.num_batches_tracked += 1


class _SumOverProcesses(torch.autograd.Function):
    """The sum over the processes; each one's loss reaches every summand, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: Any) -> Tensor:
        ctx.group = group
        value = value.contiguous().clone()
        dist.all_reduce(value, group=group)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient, None
