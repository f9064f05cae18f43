"""What every backbone is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """Features of images at several strides.

    Args:
        stride: px of the image to a px of its coarsest features, one of `STRIDES`.
    """

    STRIDES: ClassVar[tuple[int, ...]] = (32,)
    #: Of training on one crop, relative to `ModelSettings.cost` of an hourglass of one stack of 64 features.
    COST: ClassVar[float]
    #: Of the images that its published weights were trained on, in 0..1: mean and deviation by channel.
    MEAN: ClassVar[tuple[float, float, float]]
    DEVIATION: ClassVar[tuple[float, float, float]]

    mean: Tensor  # (1, 3, 1, 1), as DEVIATION is `deviation`
    deviation: Tensor
    channels: Mapping[int, int]  # of its features by their strides, from fine to coarse

    def __init__(self, stride: int) -> None:
        super().__init__()
        if stride not in self.STRIDES:
            raise ValueError(f"stride = {stride}, but {type(self).__name__} has {self.STRIDES}")
        for name, values in (("mean", self.MEAN), ("deviation", self.DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def published(cls) -> Mapping[str, Callable[[], Path]]:
        """Names of weights of others -> their file, which is fetched where it is not at hand.

        The calls raise ConfigError where it is not to be had.
        """
        return {}

    @classmethod
    def renamed(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names that they have here, without those that are not used."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """(B, 3, H, W) RGB in 0..1 -> stride: (B, channels[stride], H / stride, W / stride), fine to coarse.

        H and W are multiples of the coarsest stride, px.
        """
        return self.look((images - self.mean) / self.deviation)

    def look(self, normalised: Tensor) -> dict[int, Tensor]:
        """`forward` of images of mean 0 and deviation 1."""
        raise NotImplementedError
