from __future__ import annotations

import torch
from torch import nn

from tools.bench_hourglass import MAKERS


def convolutions(network: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Conv2d))


def test_with_the_same_stem_both_layouts_have_the_same_convolutions() -> None:
    networks = {name: make(8) for name, make in MAKERS.items()}
    assert convolutions(networks["ours, wide stem"]) == convolutions(networks["princeton-vl's layout"])
    assert convolutions(networks["ours"]) != convolutions(networks["ours, wide stem"])
    for network in networks.values():
        network(torch.rand(2, 3, 64, 64)).backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
