"""Convolution over active sites against a dense one, masked to them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.models.direct.sites import ActiveSites, SiteConv


def random_mask(share: float, batch: int = 2, height: int = 9, width: int = 7) -> Tensor:
    return torch.rand(batch, height, width, generator=torch.Generator().manual_seed(1)) < share


def masked_dense(maps: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """The slow plain form: what is not active is 0 before and after."""
    return F.conv2d(maps * mask[:, None], weight, padding=1) * mask[:, None]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_values_and_gradients_are_those_of_the_masked_dense_convolution(share: float) -> None:
    torch.manual_seed(0)
    mask, conv = random_mask(share), SiteConv(5, 3).double()
    maps = torch.randn(2, 5, 9, 7, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    sites = ActiveSites.of(mask)
    sparse = sites.scatter(conv(sites.gather(maps), sites))
    dense = masked_dense(maps, mask, conv.weight)
    torch.testing.assert_close(sparse, dense, rtol=1e-12, atol=1e-12)
    of_sparse = torch.autograd.grad((sparse * pull).sum(), (maps, conv.weight))
    of_dense = torch.autograd.grad((dense * pull).sum(), (maps, conv.weight))
    for found, wanted in zip(of_sparse, of_dense):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_several_convolutions_in_a_row_keep_the_sites() -> None:
    """Submanifold: pixels that are not active stay 0 between the layers, too."""
    torch.manual_seed(0)
    mask, first, second = random_mask(0.4), SiteConv(4, 6), SiteConv(6, 2)
    maps, sites = torch.randn(2, 4, 9, 7), ActiveSites.of(mask)
    found = sites.scatter(second(first(sites.gather(maps), sites), sites))
    wanted = masked_dense(masked_dense(maps, mask, first.weight), mask, second.weight)
    torch.testing.assert_close(found, wanted)


def test_gradcheck() -> None:
    mask, conv = random_mask(0.5, 1, 4, 3), SiteConv(2, 3).double()
    sites = ActiveSites.of(mask)
    maps = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)

    def run(maps: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(conv, {"weight": weight}, (sites.gather(maps), sites))
        return found

    weight = conv.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (maps, weight))


def test_everywhere_is_the_dense_convolution() -> None:
    conv, maps = SiteConv(5, 3), torch.randn(2, 5, 9, 7)
    sites = ActiveSites.everywhere((2, 9, 7))
    dense = F.conv2d(maps, conv.weight, padding=1)
    torch.testing.assert_close(sites.scatter(conv(sites.gather(maps), sites)), dense)
    all_of_them = ActiveSites.of(torch.ones(2, 9, 7, dtype=torch.bool))
    found = all_of_them.scatter(conv(all_of_them.gather(maps), all_of_them))
    torch.testing.assert_close(found, dense)


def test_pixels_of_two_pictures_are_no_neighbours() -> None:
    """The last row of a picture lies before the first row of the next one in memory alone."""
    mask = torch.zeros(2, 3, 3, dtype=torch.bool)
    mask[0, 2, 1] = mask[1, 0, 1] = mask[0, 0, 0] = mask[0, 0, 2] = True
    sites = ActiveSites.of(mask)
    assert sites.neighbours is not None
    assert (sites.neighbours < 4).sum(dim=1).tolist() == [1, 1, 1, 1]  # each has itself alone
    assert sites.neighbours[:, 4].tolist() == [0, 1, 2, 3]


def test_scatter_and_gather_are_a_round_trip_with_a_value_elsewhere() -> None:
    mask = random_mask(0.3)
    sites = ActiveSites.of(mask)
    values = torch.randn(len(sites.flat), 3, requires_grad=True)
    elsewhere = torch.tensor([5.0, 0.0, -1.0], requires_grad=True)
    maps = sites.scatter(values, elsewhere)
    assert torch.equal(sites.gather(maps), values)
    assert (maps.movedim(1, -1)[~mask] == elsewhere).all()
    maps.sum().backward()
    assert torch.equal(values.grad, torch.ones_like(values))  # type: ignore[arg-type]
    assert elsewhere.grad is not None
    assert elsewhere.grad.tolist() == [float((~mask).sum())] * 3


def test_autocast_computes_in_its_type_and_teaches_float_weights() -> None:
    mask, conv = random_mask(0.5), SiteConv(5, 3)
    sites = ActiveSites.of(mask)
    values = torch.randn(len(sites.flat), 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(values, sites)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), conv(values, sites), rtol=0.05, atol=0.1)
    found.sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == values.grad.dtype == torch.float32  # type: ignore[union-attr]
