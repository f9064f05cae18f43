"""What every network begins and ends with: the look at its images, and maps of dense pose."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from slimdp.structures import DensePoseMaps
from slimdp.surface.layout import PartLayout

#: What can be asked for of every head, on its raster.
HEAD_FEATURES = {
    "features": "what the output layers see",
    "output": "the output: part scores, u, v, coarse part scores",
    "segmentation": "the part scores of the output (1 + parts channels)",
    "uv": "u and v of the output (2 parts channels)",
}


def float_images(images: Tensor, size_multiple: int, dtype: torch.dtype) -> Tensor:
    """Images (B, 3, H, W) RGB as floats in 0..1: as they are, or uint8 brought to `dtype`.

    Raises ValueError unless both sides are a multiple of `size_multiple` px.
    """
    odd = any(side % size_multiple for side in images.shape[2:])
    if images.ndim != 4 or images.shape[1] != 3 or odd:
        raise ValueError(
            f"image has shape {tuple(images.shape)}, but (B, 3, S, S) with S a multiple of "
            f"{size_multiple} is wanted; crop or pad it first"
        )
    return images.to(dtype) / 255 if images.dtype == torch.uint8 else images


def output_channels(layout: PartLayout) -> tuple[int, int, int, int]:
    """Channels of the output maps, in order: background and parts, u, v, background and coarse parts."""
    parts, coarse_parts = len(layout.parts), len(layout.coarse_parts)
    return parts + 1, parts, parts, coarse_parts + 1


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size of the map, or halves it with stride 2."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)


def maps_layer(inputs: int, outputs: tuple[int, int, int, int]) -> nn.Conv2d:
    """From features to the maps of `output_channels`; u and v start in the middle of their range."""
    layer = convolution(inputs, sum(outputs), 1)
    u_begin, v_end = outputs[0], sum(outputs[:3])
    with torch.no_grad():
        assert layer.bias is not None
        layer.bias[u_begin:v_end] = 0.5
    return layer


def keypoints_layer(inputs: int, keypoints: int) -> nn.Conv2d | None:
    """From features to a heat map a keypoint, all 0 at first; None without keypoints."""
    if not keypoints:
        return None
    layer = convolution(inputs, keypoints, 1)
    # A heat map is nearly everywhere 0: random ones would at first outweigh all other losses.
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


class DensePoseHead(nn.Module):
    """A 3 x 3 convolution with batch norm, and the output layers on it.

    Args:
        inputs: channels of what comes in.
        channels: of the features.
        keypoints: names of the heat maps, in the order of their channels.
        layout: the parts of the surface.
    """

    def __init__(self, inputs: int, channels: int, keypoints: Sequence[str], layout: PartLayout) -> None:
        super().__init__()
        self.outputs = output_channels(layout)
        self.to_features = nn.Sequential(
            convolution(inputs, channels, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.to_maps = maps_layer(channels, self.outputs)
        self.to_keypoints = keypoints_layer(channels, len(keypoints))

    def forward(self, x: Tensor) -> tuple[DensePoseMaps, dict[str, Tensor]]:
        """(B, inputs, h, w) -> the maps, h x w px each, and all of `HEAD_FEATURES`."""
        features = self.to_features(x)
        output = self.to_maps(features)
        heat = None if self.to_keypoints is None else self.to_keypoints(features)
        fine_segm, u, v, coarse_segm = output.split(self.outputs, dim=1)
        maps = DensePoseMaps(fine_segm, u, v, coarse_segm, heat)
        return maps, head_features(features, output, maps)


def head_features(features: Tensor, output: Tensor, maps: DensePoseMaps) -> dict[str, Tensor]:
    """All of `HEAD_FEATURES` of a head that made `output`, and of that `maps`, of its features."""
    uv = torch.cat([maps.u, maps.v], dim=1)
    return {"features": features, "output": output, "segmentation": maps.fine_segm, "uv": uv}
