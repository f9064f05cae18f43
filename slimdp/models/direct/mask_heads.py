"""Dynamic mask heads (CondInst, Tian et al., ECCV 2020): the filters of each person's head are predicted.

A head is three 1 x 1 convolutions over features of the whole picture and the place relative to the location
that it was predicted at. It gives the instance mask and the dense-pose mask together (Direct Dense Pose,
3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from slimdp.models.heads import convolution

#: Channels of the features of the whole picture, and between the convolutions of a head (CondInst, 3.2).
WIDTH = 8
#: Outputs of a head, in order.
MASKS = ("instance", "dense pose")
#: Channels of each convolution: the features and x, y come in.
_CHANNELS = ((WIDTH + 2, WIDTH), (WIDTH, WIDTH), (WIDTH, len(MASKS)))
#: Numbers that make a head: weights and biases of the three convolutions, one after the other.
HEAD_NUMBERS = sum(inputs * outputs + outputs for inputs, outputs in _CHANNELS)


class MaskFeatures(nn.Sequential):
    """The Down Sample Conv: from features of stride 4 to those of stride 8 that all heads look at.

    Args:
        channels: of what comes in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            *(conv_norm_relu(channels, channels) for _ in range(3)),
            conv_norm_relu(channels, channels, stride=2),
            convolution(channels, WIDTH, 1),
        )


def conv_norm_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3 px with group norm, which small batches of pictures do not disturb."""
    return nn.Sequential(
        convolution(inputs, outputs, 3, stride, bias=False), nn.GroupNorm(32, outputs), nn.ReLU(inplace=True)
    )


def split_filters(filters: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Numbers (D, HEAD_NUMBERS) -> weights (D, outputs, inputs), biases (D, outputs) of each layer."""
    layers, begin = [], 0
    for inputs, outputs in _CHANNELS:
        middle, end = begin + inputs * outputs, begin + inputs * outputs + outputs
        layers.append((filters[:, begin:middle].view(-1, outputs, inputs), filters[:, middle:end]))
        begin = end
    return layers


def mask_logits(
    features: Tensor, filters: Tensor, image_index: Tensor, location: Tensor, reach: Tensor, stride: int
) -> Tensor:
    """The masks (D, 2, h, w) of D heads, as `MASKS`, all at once: a product of matrices a layer.

    Args:
        features: (B, WIDTH, h, w) of the pictures.
        filters: (D, HEAD_NUMBERS).
        image_index: (D,) int64, the picture that each head looks at.
        location: (D, 2) x, y px of the picture, where its filters were predicted.
        reach: (D,) px, what is a relative coordinate of 1.
        stride: px of the picture to one of the features.
    """
    height, width = features.shape[-2:]
    x = relative_place(location[:, 0], reach, width, stride)  # (D, w)
    y = relative_place(location[:, 1], reach, height, stride)  # (D, h)
    shape = (len(filters), height, width)
    place = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=1)
    seen = torch.cat([features.index_select(0, image_index), place.to(features.dtype)], dim=1).flatten(2)
    layers = split_filters(filters)
    for number, (weight, bias) in enumerate(layers, 1):
        seen = torch.baddbmm(bias[:, :, None], weight, seen)
        if number < len(layers):
            seen = seen.relu()
    return seen.view(len(filters), len(MASKS), height, width)


def relative_place(location: Tensor, reach: Tensor, side: int, stride: int) -> Tensor:
    """How far centres of `side` map px lie from locations (D,), one axis, in their reach: (D, side)."""
    centres = (torch.arange(side, device=location.device, dtype=location.dtype) + 0.5) * stride
    return (centres - location[:, None]) / reach[:, None]
