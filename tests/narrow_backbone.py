"""A backbone as small as one can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.models.backbones import Backbone


class Narrow(Backbone):
    """Averages of the image by 4, each with a convolution."""

    STRIDES: ClassVar[tuple[int, ...]] = (8, 32)
    COST = 0.1
    MEAN, DEVIATION = (0.5,) * 3, (0.25,) * 3

    def __init__(self, stride: int) -> None:
        super().__init__(stride)
        self.channels = {each: 4 + each for each in (4, 8, 16, 32) if each <= stride}
        self.layers = nn.ModuleList(nn.Conv2d(3, width, 3, padding=1) for width in self.channels.values())

    @classmethod
    def renamed(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix("theirs."): weight for name, weight in weights.items()}

    def look(self, normalised: Tensor) -> dict[int, Tensor]:
        pairs = zip(self.channels, self.layers)
        return {stride: layer(F.avg_pool2d(normalised, stride)) for stride, layer in pairs}


class NarrowNormed(Narrow):
    """The same with a batch norm behind each convolution."""

    def __init__(self, stride: int) -> None:
        super().__init__(stride)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in self.channels.values())

    def look(self, normalised: Tensor) -> dict[int, Tensor]:
        return {s: norm(x) for (s, x), norm in zip(super().look(normalised).items(), self.norms)}
