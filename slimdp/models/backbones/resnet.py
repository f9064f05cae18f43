"""ResNets of torchvision (He et al., CVPR 2016), on request of stride 8 or 16 by dilated convolutions.

torchvision dilates those of bottlenecks alone; here all of them. A dilated network gives the features of the
plain one at its pixels, and others between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flow_cache.runtime.checksums import file_sha256
from slimdp.config import ConfigError
from slimdp.models.backbones.backbone import Backbone


class Resnet(Backbone):
    """A ResNet without its classifier; features of the last block of each stride."""

    STRIDES: ClassVar[tuple[int, ...]] = (8, 16, 32)
    MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as torchvision trains all of them
    DEVIATION = (0.229, 0.224, 0.225)
    NAME: ClassVar[str]  # in torchvision

    def __init__(self, stride: int = 32) -> None:
        from torchvision import models  # takes as long to load as a small network to build

        super().__init__(stride)
        whole = models.get_model(self.NAME, weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = whole.conv1, whole.bn1, whole.relu, whole.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            whole.layer1, whole.layer2, whole.layer3, whole.layer4,
        )  # fmt: skip
        dilation = 1
        for layer, its_stride in ((self.layer3, 16), (self.layer4, 32)):
            if its_stride > stride:
                _dilate(layer, dilation)
                dilation *= 2
        widths = whole.fc.in_features
        self.channels = {4: widths // 8, 8: widths // 4, 16: widths // 2, 32: widths}
        self.channels = {each: c for each, c in self.channels.items() if each < stride} | {stride: widths}

    @classmethod
    def published(cls) -> Mapping[str, Callable[[], Path]]:
        from torchvision.models import get_model_weights

        return {each.name: partial(_download, each.url) for each in get_model_weights(cls.NAME)}

    @classmethod
    def renamed(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: weight for name, weight in weights.items() if not name.startswith("fc.")}

    def look(self, normalised: Tensor) -> dict[int, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(normalised))))
        found: dict[int, Tensor] = {}
        for layer, its_stride in ((self.layer1, 4), (self.layer2, 8), (self.layer3, 16), (self.layer4, 32)):
            x = layer(x)
            found[min(its_stride, max(self.channels))] = x  # of layers of the same stride the last one
        return found


class Resnet18(Resnet):
    NAME, COST = "resnet18", 2.7


class Resnet34(Resnet):
    NAME, COST = "resnet34", 6.2


class Resnet50(Resnet):
    NAME, COST = "resnet50", 8.4


class Resnet101(Resnet):
    NAME, COST = "resnet101", 16.0


def _dilate(layer: nn.Module, before: int) -> None:
    """Take the stride of 2 out of a layer whose inputs lie `before` px of its own apart.

    What follows the convolution of stride 2 sees pixels twice as far apart.
    """
    dilation = before
    for module in layer.modules():  # in the order of their use, but for the 1 x 1 beside them
        if not isinstance(module, nn.Conv2d):
            continue
        strided = module.stride == (2, 2)
        module.stride = (1, 1)
        if module.kernel_size == (3, 3):
            module.dilation = module.padding = (dilation, dilation)
            if strided:
                dilation = 2 * before


def _download(url: str) -> Path:
    """The file of published weights, in torch's cache, its hash checked.

    Raises ConfigError without a way to it, or where what is in the cache is not what was published.
    """
    import torch

    digest = url.rpartition("-")[2].partition(".")[0]  # how the names of torchvision's files end
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        download: Any = torch.hub.download_url_to_file
        try:
            download(url, str(file), hash_prefix=digest, progress=False)
        except (OSError, RuntimeError) as error:  # no way to the internet; another hash
            raise ConfigError(
                f"{url} cannot be downloaded ({error}); fetch it elsewhere and name its file"
            ) from error
    if not file_sha256(file).hex().startswith(digest):
        raise ConfigError(f"{file} is damaged or another file than {url}; remove it, and it is fetched again")
    return file
