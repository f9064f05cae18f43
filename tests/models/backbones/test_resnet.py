from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision import models

from slimdp.config import ConfigError
from slimdp.models.backbones import Backbone, Resnet18, Resnet34, Resnet50, Resnet101, resnet


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (Resnet18, models.resnet18),
        (Resnet34, models.resnet34),
        (Resnet50, models.resnet50),
        (Resnet101, models.resnet101),
    ],
)
def test_it_is_torchvisions_without_the_classifier(kind: type[Backbone], whole: object) -> None:
    with torch.device("meta"):
        theirs = whole().state_dict()  # type: ignore[operator]
    ours = kind(32).state_dict()
    wanted = {name: weight.shape for name, weight in theirs.items() if not name.startswith("fc.")}
    assert {name: weight.shape for name, weight in ours.items()} == wanted


def test_features_are_those_of_torchvisions_layers() -> None:
    torch.manual_seed(0)
    whole = models.resnet18().eval()
    ours = Resnet18(32).eval()
    ours.load_state_dict(Resnet18.renamed(whole.state_dict()))
    images = torch.rand(2, 3, 64, 96)
    normalised = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        x = whole.maxpool(whole.relu(whole.bn1(whole.conv1(normalised))))
        found = ours(images)
        assert list(found) == list(ours.channels) == [4, 8, 16, 32]
        for stride, layer in zip(found, (whole.layer1, whole.layer2, whole.layer3, whole.layer4)):
            x = layer(x)
            torch.testing.assert_close(found[stride], x)
            assert x.shape == (2, ours.channels[stride], 64 // stride, 96 // stride)


@pytest.mark.parametrize("kind", [Resnet18, Resnet50])
@pytest.mark.parametrize("stride", [8, 16])
def test_a_dilated_one_gives_the_plain_ones_features_at_their_pixels(
    kind: type[Backbone], stride: int
) -> None:
    torch.manual_seed(0)
    plain, dilated = kind(32).double().eval(), kind(stride).double().eval()
    dilated.load_state_dict(plain.state_dict())
    images = torch.rand(1, 3, 32, 64, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = plain(images)[32], dilated(images)[stride]
    every = 32 // stride
    assert found.shape[2:] == (32 // stride, 64 // stride)
    torch.testing.assert_close(found[..., ::every, ::every], wanted)
    assert dilated.channels[stride] == plain.channels[32]


def test_other_strides_are_refused() -> None:
    with pytest.raises(ValueError, match="stride = 4, but Resnet18 has"):
        Resnet18(4)


def test_published_weights_are_taken_from_torchs_cache_or_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    asked = []

    def no_way(url: str, file: str, hash_prefix: str, progress: bool) -> None:
        asked.append((url, hash_prefix))
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_way)
    fetch = Resnet50.published()["IMAGENET1K_V2"]
    with pytest.raises(ConfigError, match=r"resnet50-.*\.pth cannot be downloaded .*fetch it elsewhere"):
        fetch()
    ((url, digest),) = asked
    assert url.endswith(f"-{digest}.pth")
    cached = tmp_path / "checkpoints" / url.rpartition("/")[2]
    cached.write_bytes(b"here")
    with pytest.raises(ConfigError, match=r"resnet50-\w+\.pth is damaged or another .*remove it"):
        fetch()
    monkeypatch.setattr(resnet, "file_sha256", lambda file: bytes.fromhex(digest + "0" * 56))
    assert fetch() == cached
