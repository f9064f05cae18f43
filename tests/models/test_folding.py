from __future__ import annotations

import pytest
import torch
from torch import nn

from slimdp.models import FpnSettings, HourglassSettings
from slimdp.models.folding import fold_batch_norms
from slimdp.models.model import DensePoseModel
from slimdp.structures import PoseBatch
from slimdp.surface.people import PEOPLE

SETTINGS = {
    "hourglass": HourglassSettings(stacks=2, features=8),
    "fpn": FpnSettings(backbone="efficientnet_lite0", weights="none", channels=8, stacks=1),
}


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.fixture(params=SETTINGS)
def network(request: pytest.FixtureRequest) -> DensePoseModel:
    """A network whose batch norms do something."""
    torch.manual_seed(0)
    model: DensePoseModel = SETTINGS[request.param].build(PEOPLE).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return model


def test_a_folded_network_answers_alike(network: DensePoseModel) -> None:
    batch = PoseBatch.of_images(torch.rand(2, 3, 64, 64))
    before = norms(network)
    with torch.no_grad():
        wanted = network(batch)
        assert fold_batch_norms(network) is network
        found = network(batch)
    assert norms(network) < before / 2
    for one, other in zip(found.stages, wanted.stages, strict=True):
        for head in ("fine_segm", "u", "v", "coarse_segm"):
            value = getattr(other, head)
            torch.testing.assert_close(
                getattr(one, head), value, rtol=1e-3, atol=1e-4 * float(value.abs().max())
            )


def test_only_a_norm_right_after_its_convolution_is_folded() -> None:
    between = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    apart = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4))
    transposed = nn.Sequential(nn.ConvTranspose2d(3, 4, 1), nn.BatchNorm2d(4))
    model = nn.ModuleList([between, apart, transposed]).eval()
    assert norms(fold_batch_norms(model)) == 3


def test_a_network_that_trains_is_refused(network: DensePoseModel) -> None:
    with pytest.raises(ValueError, match="training mode"):
        fold_batch_norms(network.train())
