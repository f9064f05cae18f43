"""Submanifold sparse convolution over the pixels of people alone (Graham et al., CVPR 2018), in plain torch.

A convolution of 3 x 3 px is a gather of each active pixel's neighbours, one matrix product, and at the end a
scatter to the map. Its results are at the active pixels alone, and neighbours that are not active count as 0:
what a dense convolution gives of a map that is 0 elsewhere, at the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Places of a 3 x 3 kernel, in the order of its weights: rows, then columns.
_KERNEL = tuple((dy, dx) for dy in range(3) for dx in range(3))


@dataclass(frozen=True)
class ActiveSites:
    """Which pixels of B maps are computed: N of B h w, in the order of the maps, their rows and columns."""

    shape: tuple[int, int, int]  # B, h, w
    flat: Tensor  # (N,) int64 in 0..B h w - 1
    neighbours: Tensor | None  # (N, 9) int64 in 0..N, N where the neighbour is not active; None: all are

    @classmethod
    def of(cls, mask: Tensor) -> ActiveSites:
        """Those where a mask (B, h, w) bool is true."""
        batch, height, width = mask.shape
        flat = mask.flatten().nonzero()[:, 0]
        row = torch.full((batch, height + 2, width + 2), len(flat), device=mask.device)
        row[:, 1:-1, 1:-1][mask] = torch.arange(len(flat), device=mask.device)
        around = [row[:, dy : dy + height, dx : dx + width][mask] for dy, dx in _KERNEL]
        return cls((batch, height, width), flat, torch.stack(around, dim=1))

    @classmethod
    def everywhere(cls, shape: tuple[int, int, int], device: torch.device | str = "cpu") -> ActiveSites:
        """All pixels of B maps of h x w px: convolutions over them are dense."""
        batch, height, width = shape
        return cls(shape, torch.arange(batch * height * width, device=device), None)

    def gather(self, maps: Tensor) -> Tensor:
        """The values (N, C) of maps (B, C, h, w) at the sites."""
        rows = maps.movedim(1, -1).reshape(-1, maps.shape[1])
        return rows if self.neighbours is None else _GatherRows.apply(rows, self.flat)

    def scatter(self, values: Tensor, elsewhere: Tensor | None = None) -> Tensor:
        """Maps (B, C, h, w): values (N, C) at the sites, `elsewhere` (C,), or 0, at all other pixels."""
        batch, height, width = self.shape
        if self.neighbours is not None:
            empty = values.new_zeros(values.shape[1]) if elsewhere is None else elsewhere.to(values.dtype)
            maps = empty.expand(batch * height * width, -1)
            values = maps.index_put((self.flat,), values)
        return values.view(batch, height, width, -1).movedim(-1, 1)


class SiteConv(nn.Module):
    """A convolution of 3 x 3 px, without bias, over active sites; its weight is that of a dense one.

    Args:
        inputs, outputs: channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, values: Tensor, sites: ActiveSites) -> Tensor:
        """(N, inputs) at the sites -> (N, outputs)."""
        if sites.neighbours is None:
            batch, height, width = sites.shape
            maps = values.view(batch, height, width, -1).movedim(-1, 1)
            return sites.gather(F.conv2d(maps, self.weight, padding=1))
        weight: Tensor = self.weight
        kind = values.device.type
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            values, weight = values.to(dtype), weight.to(dtype)
        matrix = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])  # (9 inputs, outputs)
        result: Tensor = _Submanifold.apply(values, matrix, sites.neighbours)
        return result


class _GatherRows(torch.autograd.Function):
    """`rows[index]` of an index without repeats: its gradient is written, which is faster than adding up."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.count = len(rows)
        return rows.index_select(0, index)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        whole = gradient.new_zeros(ctx.count, gradient.shape[1])
        whole[index] = gradient
        return whole, None


class _Submanifold(torch.autograd.Function):
    """The convolution of values (N, inputs) with a matrix (9 inputs, outputs), by neighbours (N, 9).

    A site is its neighbour's neighbour on the other side: the gradient of the values is a convolution as
    well, with the kernel turned round. No two threads add to one place, so that it has the same bits always.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, matrix: Tensor, neighbours: Tensor) -> Tensor:
        ctx.save_for_backward(values, matrix, neighbours)
        return _around(values, neighbours) @ matrix

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        values, matrix, neighbours = ctx.saved_tensors
        inputs, outputs = values.shape[1], matrix.shape[1]
        turned = matrix.view(9, inputs, outputs).flip(0).transpose(1, 2).reshape(9 * outputs, inputs)
        of_values = _around(gradient, neighbours) @ turned
        # The values are gathered again: keeping them would take nine times the memory of the maps.
        return of_values, _around(values, neighbours).T @ gradient, None


def _around(values: Tensor, neighbours: Tensor) -> Tensor:
    """The values (N, C) of each site's 3 x 3 neighbours (N, 9) in a row: (N, 9 C), 0 where there is none."""
    padded = F.pad(values, (0, 0, 0, 1))
    return padded.index_select(0, neighbours.flatten()).view(-1, 9 * values.shape[1])
