"""The stacked hourglass (Newell et al., ECCV 2016) with dense-pose outputs (Slim DensePose, 5.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.structures import COARSE_PARTS, PARTS, Prediction

#: Times that an hourglass halves its map (Newell et al., 3.1: from 64 px down to 4 px).
DEPTH = 4
#: Channels of the output maps, in order: background and parts, u, v, background and coarse parts.
OUTPUTS = (PARTS + 1, PARTS, PARTS, COARSE_PARTS + 1)
#: The crop's side is a multiple of this: a quarter of it halves DEPTH times.
SIZE_MULTIPLE = 4 * 2**DEPTH


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size of the map, or halves it with stride 2."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)


class Residual(nn.Module):
    """Pre-activation bottleneck: 1x1 to half the width, 3x3, 1x1 back (Newell et al., figure 4, left).

    (B, inputs, h, w) -> (B, outputs, h, w).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        # A convolution before a batch norm needs no bias: the norm would take it away.
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), convolution(inputs, middle, 1, bias=False),
            nn.BatchNorm2d(middle), nn.ReLU(inplace=True), convolution(middle, middle, 3, bias=False),
            nn.BatchNorm2d(middle), nn.ReLU(inplace=True), convolution(middle, outputs, 1),
        )  # fmt: skip
        self.skip = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.body(x)


class Hourglass(nn.Module):
    """Halve the map `depth` times and come back, adding what each scale saw (Newell et al., figure 3).

    (B, features, h, w) -> the same shape; h and w are multiples of 2 ** depth.
    """

    def __init__(self, depth: int, features: int) -> None:
        super().__init__()
        self.same_scale = Residual(features, features)
        self.down = Residual(features, features)
        self.inner = Hourglass(depth - 1, features) if depth > 1 else Residual(features, features)
        self.up = Residual(features, features)

    def forward(self, x: Tensor) -> Tensor:
        half = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.same_scale(x) + F.interpolate(half, scale_factor=2.0, mode="nearest")


class Stack(nn.Module):
    """One hourglass and its outputs: (B, features, h, w) -> features of that shape, maps (B, 88, h, w)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.hourglass = nn.Sequential(Hourglass(DEPTH, features), Residual(features, features))
        self.to_features = nn.Sequential(
            convolution(features, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU(inplace=True)
        )
        self.to_maps = convolution(features, sum(OUTPUTS), 1)
        # u and v are regressed as they are, so they start in the middle of their range.
        u_begin, v_end = OUTPUTS[0], OUTPUTS[0] + OUTPUTS[1] + OUTPUTS[2]
        with torch.no_grad():
            assert self.to_maps.bias is not None
            self.to_maps.bias[u_begin:v_end] = 0.5

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.to_features(self.hourglass(x))
        return features, self.to_maps(features)


class StackedHourglass(nn.Module):
    """Hourglasses one after another, each correcting the one before it, each with outputs of its own.

    Args:
        stacks: number of hourglasses; Slim DensePose compares 1 to 8.
        features: channels throughout, a multiple of 4; 256 in the papers.

    With 256 features it has 3.4 M parameters for one stack, 6.6 M for two, 25.7 M for eight.
    """

    def __init__(self, stacks: int, features: int) -> None:
        super().__init__()
        if stacks < 1 or features < 4 or features % 4:
            raise ValueError(
                f"stacks = {stacks}, features = {features}: wanted at least one stack and a multiple of 4"
            )
        stem = features // 4
        self.stem = nn.Sequential(
            convolution(3, stem, 7, stride=2, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True),
            Residual(stem, features // 2),
            nn.MaxPool2d(2),
            Residual(features // 2, features // 2),
            Residual(features // 2, features),
        )  # fmt: skip
        self.stacks = nn.ModuleList(Stack(features) for _ in range(stacks))
        # What a stack found goes back into the input of the next one (Newell et al., figure 4, right).
        self.return_features = nn.ModuleList(convolution(features, features, 1) for _ in range(stacks - 1))
        self.return_maps = nn.ModuleList(convolution(sum(OUTPUTS), features, 1) for _ in range(stacks - 1))

    def forward(self, image: Tensor) -> list[Prediction]:
        """Predict from crops.

        Args:
            image: (B, 3, S, S) RGB in 0..1, S a multiple of 64.

        Returns:
            one `Prediction` a stack, the last one the best; maps are S / 4 wide.

        Raises:
            ValueError: the image has another shape.
        """
        if image.ndim != 4 or image.shape[1] != 3 or any(side % SIZE_MULTIPLE for side in image.shape[2:]):
            raise ValueError(
                f"image has shape {tuple(image.shape)}, but (B, 3, S, S) with S a multiple of "
                f"{SIZE_MULTIPLE} is wanted; crop or pad it first"
            )
        # A picture's values have a mean near 0.5 and a deviation near 0.25: bring them to 0 and 1.
        x = self.stem((image - 0.5) / 0.25)
        predictions = []
        for i, stack in enumerate(self.stacks):
            features, maps = stack(x)
            part_logits, u, v, coarse_logits = maps.split(OUTPUTS, dim=1)
            predictions.append(Prediction(part_logits, u, v, coarse_logits, features))
            if i + 1 < len(self.stacks):
                x = x + self.return_features[i](features) + self.return_maps[i](maps)
        return predictions
