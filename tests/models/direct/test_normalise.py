"""Instance-aware normalisation against a loop over people and pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from slimdp.models.direct.normalise import EPSILON, InstanceAwareNorm, Members, SiteBatchNorm
from slimdp.models.direct.residual_fcn import ResidualFcn
from slimdp.models.direct.sites import ActiveSites

#: Two pictures of 6 x 5 px: two people who overlap and one behind them, out of sight; one in the second.
IMAGE_INDEX = torch.tensor([0, 0, 0, 1])


def four_people() -> Tensor:
    masks = torch.zeros(4, 6, 5, dtype=torch.bool)
    masks[0, 1:4, 0:3] = masks[1, 2:6, 1:5] = True
    masks[3, 0:2, 2:4] = True
    return masks


def foreground(masks: Tensor, image_index: Tensor, images: int = 2) -> Tensor:
    union = torch.zeros(images, *masks.shape[1:], dtype=torch.bool)
    for mask, image in zip(masks, image_index):
        union[image] |= mask
    return union


def loop(maps: Tensor, masks: Tensor, image_index: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Equations 2 to 4, person by person; 0 where there is nobody, the mean where masks overlap."""
    total, held = torch.zeros_like(maps), torch.zeros_like(maps[:, :1])
    for mask, image in zip(masks, image_index):
        if not mask.any():
            continue
        inside = maps[image][:, mask]
        mean = inside.mean(dim=1)
        variance = ((inside - mean[:, None]) ** 2).mean(dim=1)
        normalised = (maps[image] - mean[:, None, None]) / (variance[:, None, None] + EPSILON).sqrt()
        total[image] += mask * (normalised * gamma[:, None, None] + beta[:, None, None])
        held[image] += mask
    return total / held.clamp(min=1)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_it_is_the_loop_over_people(offset: float) -> None:
    torch.manual_seed(0)
    masks, maps = four_people(), torch.randn(2, 3, 6, 5) + offset
    norm = InstanceAwareNorm(3)
    norm.gamma.data, norm.beta.data = torch.rand(2, 3)
    sites = ActiveSites.of(foreground(masks, IMAGE_INDEX))
    members = Members.of(masks, IMAGE_INDEX, sites)
    found = sites.scatter(norm(sites.gather(maps), members))
    wanted = loop(maps, masks, IMAGE_INDEX, norm.gamma, norm.beta)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_its_gradients_are_those_of_the_loop() -> None:
    torch.manual_seed(0)
    masks, maps = four_people(), torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    norm = InstanceAwareNorm(3).double()
    sites = ActiveSites.of(foreground(masks, IMAGE_INDEX))
    members = Members.of(masks, IMAGE_INDEX, sites)
    pull = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    found = sites.scatter(norm(sites.gather(maps), members))
    wanted = loop(maps, masks, IMAGE_INDEX, norm.gamma, norm.beta)
    inputs = (maps, norm.gamma, norm.beta)
    of_found = torch.autograd.grad((found * pull).sum(), inputs)
    of_wanted = torch.autograd.grad((wanted * pull).sum(), inputs)
    for one, other in zip(of_found, of_wanted):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_a_person_s_features_do_not_depend_on_who_else_is_there() -> None:
    torch.manual_seed(0)
    masks, maps = four_people()[[0, 3]], torch.randn(2, 3, 6, 5)
    norm, index = InstanceAwareNorm(3), torch.tensor([0, 1])
    alone = ActiveSites.of(foreground(masks[:1], index[:1]))
    both = ActiveSites.of(foreground(masks, index))
    first = alone.scatter(norm(alone.gather(maps), Members.of(masks[:1], index[:1], alone)))
    second = both.scatter(norm(both.gather(maps), Members.of(masks, index, both)))
    torch.testing.assert_close(first[0], second[0])


def test_pixels_of_nobody_are_the_background_of_their_picture() -> None:
    torch.manual_seed(0)
    masks, maps = four_people(), torch.randn(2, 3, 6, 5)
    sites = ActiveSites.everywhere((2, 6, 5))
    found = sites.scatter(InstanceAwareNorm(3)(sites.gather(maps), Members.of(masks, IMAGE_INDEX, sites)))
    nobody = ~foreground(masks, IMAGE_INDEX)
    with_background = torch.cat([masks, nobody])
    index = torch.cat([IMAGE_INDEX, torch.tensor([0, 1])])
    wanted = loop(maps, with_background, index, torch.ones(3), torch.zeros(3))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("instance_aware", [True, False])
@pytest.mark.parametrize("share", [0.0, 1 / 30, 1.0])
def test_the_residual_fcn_runs_on_none_one_and_all_pixels(instance_aware: bool, share: float) -> None:
    masks = torch.zeros(1, 6, 5, dtype=torch.bool)
    masks.view(-1)[: round(30 * share)] = True
    sites, index = ActiveSites.of(masks), torch.zeros(1, dtype=torch.int64)
    fcn = ResidualFcn(4, instance_aware)
    values = torch.randn(len(sites.flat), 4, requires_grad=True)
    found = fcn(values, sites, Members.of(masks, index, sites))
    assert found.shape == (round(30 * share), 4)
    found.sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in fcn.parameters())


def test_sparse_and_dense_fcn_agree_where_all_is_active() -> None:
    torch.manual_seed(0)
    mask, index = torch.ones(1, 6, 5, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)
    fcn, maps = ResidualFcn(4), torch.randn(1, 4, 6, 5)
    results = []
    for sites in (ActiveSites.of(mask), ActiveSites.everywhere((1, 6, 5))):
        results.append(sites.scatter(fcn(sites.gather(maps), sites, Members.of(mask, index, sites))))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


def test_batch_norm_takes_all_sites_together() -> None:
    torch.manual_seed(0)
    values = torch.randn(20, 3)
    members = Members(torch.ones(20, 1), torch.full((20, 1), 0.05))
    normalised = SiteBatchNorm(3)(values, members)
    torch.testing.assert_close(normalised, InstanceAwareNorm(3)(values, members), rtol=1e-4, atol=1e-4)
