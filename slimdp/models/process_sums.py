"""Statistics over the processes that train one network together."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SharedStatistics(nn.Module):
    """A layer that normalises by its own kind of statistics, in training over all processes of its group.

    `slimdp.training.distributed.sync_batch_norms` sets the group. All processes come through the layer
    equally often, in the same order, also those that have nothing to add.
    """

    group: Any = None  # a dist.ProcessGroup; None: this process alone


def sum_over_processes(value: Tensor, group: Any) -> Tensor:
    """The sum of a tensor of one shape over the processes of a dist.ProcessGroup, with its gradient."""
    summed: Tensor = _SumOverProcesses.apply(value, group)
    return summed


class _SumOverProcesses(torch.autograd.Function):
    """Each process's loss reaches every summand, so gradients are summed as well."""

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
