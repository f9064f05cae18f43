from __future__ import annotations

import pytest
from torch import nn

from slimdp.models import evaluating


@pytest.mark.parametrize("training", [False, True])
def test_a_network_evaluates_within_the_block_alone(training: bool) -> None:
    network = nn.Sequential(nn.BatchNorm2d(2)).train(training)
    with evaluating(network):
        assert not network.training
        assert not network[0].training
    assert network.training == network[0].training == training
    with pytest.raises(KeyError), evaluating(network):
        raise KeyError
    assert network.training == training
