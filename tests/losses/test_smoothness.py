"""Edge-aware smoothness against a loop over pairs of pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from slimdp.losses.smoothness import smoothness


def loop(iuv: Tensor, mask: Tensor) -> float:
    total, pairs = 0.0, 0
    _, height, width = iuv.shape
    for row in range(height):
        for column in range(width):
            for down, right in ((1, 0), (0, 1)):
                if row + down >= height or column + right >= width:
                    continue
                here, there = bool(mask[row, column]), bool(mask[row + down, column + right])
                if not (here or there):
                    continue
                change = (iuv[:, row + down, column + right] - iuv[:, row, column]).abs().mean()
                total += float(change) * math.exp(-float(here != there))
                pairs += 1
    return total / max(pairs, 1)


def test_it_is_the_loop_over_pairs_of_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    iuv = torch.randn(3, 4, 5, 6, generator=generator)
    masks = torch.rand(3, 5, 6, generator=generator) < 0.4
    masks[2] = False
    wanted = [loop(one, mask) for one, mask in zip(iuv, masks)]
    assert smoothness(iuv, masks).tolist() == pytest.approx(wanted, abs=1e-6)
    assert wanted[2] == 0


def test_flat_maps_cost_nothing_and_a_step_at_the_outline_less_than_one_within() -> None:
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[:, :, :3] = True
    assert smoothness(torch.ones(1, 2, 4, 6), mask).item() == 0
    within, at_outline = torch.zeros(2, 1, 1, 4, 6).unbind(0)
    within[..., 2:] = at_outline[..., 3:] = 1
    ratio = smoothness(at_outline, mask) / smoothness(within, mask)
    assert ratio.item() == pytest.approx(math.exp(-1))


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    iuv = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64).requires_grad_()
    masks = torch.rand(2, 4, 4, generator=generator) < 0.5
    assert torch.autograd.gradcheck(lambda iuv: smoothness(iuv, masks), (iuv,))
