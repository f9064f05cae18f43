"""The network of BlazePose GHUM, "full" (Bazarevsky et al., CVPRW 2020), up to where it tells key points.

MediaPipe's weights of it (Apache-2.0) have learned the key points of photographed people: a backbone that
knows people where one of ImageNet knows things. The trunk is EfficientNet-Lite's in other widths; its own
small pyramid, whose finest level told the heat maps, goes along. Batch norm is folded into the convolutions,
as published: what it knew of photographs stays while the network learns from rendered people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.models.backbones.backbone import Backbone

#: Blocks in a row: how many, kernel, stride of the first, its expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 4, 24), (2, 5, 2, 6, 32), (3, 3, 2, 6, 64), (3, 5, 1, 6, 88),
    (4, 5, 2, 6, 144),
)  # fmt: skip
_EXPANSION = 6  # of all blocks but the first of a row
_STEM, _TOP, _PYRAMID = 24, 864, 48  # channels: of the stem, of the last layer, of its own pyramid
_HALF = 2  # stride of a further level of its own pyramid, of outlines, which is not used


class BlazePose(Backbone):
    """BlazePose GHUM full without its heads: 1.6 M parameters. It was trained on crops of 256 px.

    The features of a stride are its trunk's and, behind them, the level of its own pyramid.
    """

    STRIDES: ClassVar[tuple[int, ...]] = (32,)
    COST = 0.8
    MEAN = (0.0,) * 3  # it has seen images in 0..1
    DEVIATION = (1.0,) * 3

    def __init__(self, stride: int = 32) -> None:
        super().__init__(stride)
        self.stem = _convolution(3, _STEM, 3, stride=2)
        self.blocks = nn.ModuleList()
        self._ends: dict[int, int] = {}  # number of the last block of a stride: the stride
        inputs, its_stride, widths = _STEM, 2, {}
        for count, kernel, first_stride, expansion, outputs in _STAGES:
            its_stride *= first_stride
            for number in range(count):
                how = (first_stride, expansion) if number == 0 else (1, _EXPANSION)
                self.blocks.append(_Block(inputs, outputs, kernel, *how))
                inputs = outputs
            widths[its_stride] = outputs
            self._ends = {end: level for end, level in self._ends.items() if level != its_stride}
            self._ends[len(self.blocks) - 1] = its_stride
        self.top = nn.Sequential(_convolution(inputs, _TOP, 1), _convolution(_TOP, _TOP, 3, groups=_TOP))
        del widths[_HALF]
        widths[stride] = _TOP
        self.laterals = nn.ModuleDict({str(level): _lateral(width) for level, width in widths.items()})
        self.channels = {level: width + _PYRAMID for level, width in widths.items()}

    @classmethod
    def renamed(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of a .tflite file (`read_convolutions`) or of ours; what follows the backbone there is left out."""
        if not all(name.partition(".")[0].isdigit() for name in weights):
            return dict(weights)
        found = {}
        for number, layer in enumerate(_in_order(cls())):
            for kind in ("weight", "bias"):
                if layer is not None and (name := f"{number}.{kind}") in weights:
                    found[f"{layer}.{kind}"] = weights[name]
        return found

    def look(self, normalised: Tensor) -> dict[int, Tensor]:
        x, trunk = self.stem(normalised), {}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._ends:
                trunk[self._ends[number]] = x
        trunk[max(trunk)] = self.top(x)
        found: dict[int, Tensor] = {}
        above: Tensor | None = None
        for level in sorted(self.channels, reverse=True):
            own = self.laterals[str(level)](trunk[level])
            if above is not None:
                own = own + F.interpolate(above, own.shape[-2:], mode="bilinear", align_corners=False)
            found[level] = torch.cat([trunk[level], own], 1)
            above = own
        return dict(sorted(found.items()))


def _in_order(network: BlazePose) -> Iterator[str | None]:
    """The names of its convolutions in the order in which MediaPipe's file has them; None: not of ours."""
    yield "stem.0"
    lateral: tuple[str | None, ...] = ()  # of the level that ended before: it follows the next expansion
    for number, block in enumerate(network.blocks):
        if not isinstance(block.expand, nn.Identity):
            yield f"blocks.{number}.expand.0"
        yield from lateral
        yield from (f"blocks.{number}.depthwise.0", f"blocks.{number}.project")
        level = network._ends.get(number)
        ours = (f"laterals.{level}.0.0", f"laterals.{level}.1.0")
        lateral = () if level is None else (None, None) if level == _HALF else ours
    yield from ("top.0.0", "top.1.0", *lateral)


class _Block(nn.Module):
    """Inverted residual: 1 x 1 to more channels, a convolution of each by itself, 1 x 1 back."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = nn.Identity() if expansion == 1 else _convolution(inputs, middle, 1)
        self.depthwise = _convolution(middle, middle, kernel, stride, middle)
        self.project = nn.Conv2d(middle, outputs, 1)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + found if self.skips else found


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
    return nn.Sequential(layer, nn.ReLU6(inplace=True))


def _lateral(width: int) -> nn.Sequential:
    return nn.Sequential(_convolution(width, width, 3, groups=width), _convolution(width, _PYRAMID, 1))
