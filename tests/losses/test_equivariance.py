"""The cosine loss between features and warped features, and the warp under it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from slimdp.losses.equivariance import resize_flow, warp_maps
from tests.losses.cosine import cosine_loss


def uniform_flow(size: int, right: float, down: float) -> Tensor:
    return torch.tensor([right, down], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, size, size).clone()


def all_valid(size: int) -> Tensor:
    return torch.ones(1, size, size, dtype=torch.bool)


def plain_loss(features_0: Tensor, features_1: Tensor, flow_0to1: Tensor, valid_0: Tensor) -> float:
    """Pixel by pixel, with bilinear reading by hand."""
    losses = []
    batch, _, height, width = features_0.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                x1, y1 = x + float(flow_0to1[b, 0, y, x]), y + float(flow_0to1[b, 1, y, x])
                if not valid_0[b, y, x] or not (0 <= x1 <= width - 1 and 0 <= y1 <= height - 1):
                    continue
                left, top = min(int(x1), width - 2), min(int(y1), height - 2)
                a, c = x1 - left, y1 - top
                f = features_1[b, :, top : top + 2, left : left + 2]
                read = (f[:, 0, 0] * (1 - a) + f[:, 0, 1] * a) * (1 - c) + (
                    f[:, 1, 0] * (1 - a) + f[:, 1, 1] * a
                ) * c
                here = features_0[b, :, y, x]
                losses.append(1 - float(here @ read / (here.norm() * read.norm())))
    return sum(losses) / max(len(losses), 1)


def test_it_is_the_plain_mean_over_valid_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    features_0, features_1 = torch.randn(2, 2, 5, 8, 7, generator=generator)
    flow = 3 * torch.randn(2, 2, 8, 7, generator=generator)
    valid = torch.rand(2, 8, 7, generator=generator) < 0.7
    expected = plain_loss(features_0, features_1, flow, valid)
    assert cosine_loss(features_0, features_1, flow, valid).item() == pytest.approx(expected, abs=1e-5)


def test_identity_flow_and_equal_features_give_zero() -> None:
    features = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert cosine_loss(features, 3 * features, uniform_flow(6, 0, 0), all_valid(6)).item() < 1e-6
    assert cosine_loss(features, -features, uniform_flow(6, 0, 0), all_valid(6)).item() == pytest.approx(2)


def test_the_direction_of_the_warp() -> None:
    """Frame 1 shows everything one pixel further right: flow_0to1 is +1, and -1 is wrong."""
    features_0 = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    features_1 = features_0.roll(1, dims=3)
    right = cosine_loss(features_0, features_1, uniform_flow(6, 1, 0), all_valid(6))
    wrong = cosine_loss(features_0, features_1, uniform_flow(6, -1, 0), all_valid(6))
    assert right.item() < 1e-6
    assert wrong.item() > 0.3
    warped, inside = warp_maps(features_1, uniform_flow(6, 1, 0))
    torch.testing.assert_close(warped[:, :, :, :5], features_0[:, :, :, :5])
    assert inside[0].all(dim=0).tolist() == [True] * 5 + [False]


@pytest.mark.parametrize(("right", "down"), [(0.5, 0), (0, 1), (-1.25, 2)])
def test_gradients(right: float, down: float) -> None:
    generator = torch.Generator().manual_seed(1)
    features_0, features_1 = torch.randn(2, 1, 3, 4, 4, generator=generator, dtype=torch.float64)
    features_0.requires_grad_(), features_1.requires_grad_()
    valid = all_valid(4)
    valid[0, 1, 1] = False
    flow = uniform_flow(4, right, down)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        warped, inside = warp_maps(b, flow.double())
        alike = torch.nn.functional.cosine_similarity(a, warped, dim=1)
        counted = valid & inside
        return torch.where(counted, 1 - alike, 0).sum() / counted.sum().clamp(min=1)

    assert torch.autograd.gradcheck(loss, (features_0, features_1))
    both = features_0, features_1
    assert torch.autograd.gradcheck(lambda a, b: cosine_loss(a, b, flow, valid), both)
    torch.testing.assert_close(cosine_loss(*both, flow, valid), loss(*both), rtol=1e-6, atol=1e-7)


def test_nothing_valid_is_nothing_to_learn() -> None:
    features = torch.randn(1, 4, 6, 6, requires_grad=True)
    for flow, valid in [
        (uniform_flow(6, 0, 0), ~all_valid(6)),
        (uniform_flow(6, 100, 0), all_valid(6)),
        (uniform_flow(6, math.nan, 0), all_valid(6)),
    ]:
        loss = cosine_loss(features, features.detach(), flow, valid)
        (gradient,) = torch.autograd.grad(loss, features)
        assert loss.item() == 0
        assert (gradient == 0).all()


def test_a_flow_that_is_not_known_spoils_no_neighbour() -> None:
    features = torch.randn(1, 4, 8, 8, requires_grad=True)
    flow, valid = uniform_flow(16, 0, 0), all_valid(16)
    flow[:, :, 5, 5], valid[0, 5, 5] = math.nan, False
    loss = cosine_loss(features, features.detach(), flow, valid)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_a_flow_on_another_raster() -> None:
    """8 px of a 32 px raster are 2 px of an 8 px one, and the pixels stay in their places."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    flow = torch.stack([0.5 * x, 8 + 0 * y])[None]
    small, valid = resize_flow(flow, all_valid(32), (8, 8))
    assert valid.all()
    torch.testing.assert_close(small[0, 1], torch.full((8, 8), 2.0))
    # Coarse pixel m has its centre at fine px 4 m + 1.5.
    torch.testing.assert_close(small[0, 0, 3, 2:6], 0.5 * (4 * torch.arange(2.0, 6) + 1.5) / 4)
    hole = all_valid(32)
    hole[0, 8:12, 16:20] = False
    holed, valid = resize_flow(torch.where(hole[:, None], flow, torch.nan), hole, (8, 8))
    assert not valid[0, 2, 4]
    assert valid.sum() == 63
    # Beside the hole the known pixels answer alone.
    torch.testing.assert_close(holed[0, 1], torch.full((8, 8), 2.0).where(valid[0], holed[0, 1]))


def test_half_floats_do_not_overflow() -> None:
    features = torch.full((1, 8, 4, 4), 6e4, dtype=torch.float16)
    assert cosine_loss(features, features, uniform_flow(4, 0, 0), all_valid(4)).item() < 1e-3


def test_shapes_that_do_not_belong_together() -> None:
    with pytest.raises(ValueError, match="wanted"):
        cosine_loss(torch.zeros(1, 4, 6, 6), torch.zeros(1, 4, 6, 5), uniform_flow(6, 0, 0), all_valid(6))
