from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from slimdp.config import ConfigError, TrainConfig
from slimdp.models import FeaturePyramid
from slimdp.models.backbones import Resnet18
from slimdp.models.backbones.weights import load_weights
from slimdp.surface import PEOPLE
from slimdp.training.checkpoint import Checkpoint, save_checkpoint
from slimdp.training.packed import packed


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Weights as torchvision publishes them; of random numbers."""
    torch.manual_seed(3)
    weights = Resnet18().state_dict()
    return {**weights, "fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}


@pytest.mark.parametrize("form", ["zip", "before 2020"])
def test_a_file_of_weights_is_taken_and_told_by_its_hash(
    published: dict[str, Tensor], tmp_path: Path, form: str
) -> None:
    file = tmp_path / "resnet18.pth"
    old = {name: weight for name, weight in published.items() if "num_batches" not in name}
    saved = published if form == "zip" else old
    torch.save(saved, file, _use_new_zipfile_serialization=form == "zip")
    backbone = Resnet18(8)
    assert load_weights(backbone, str(file)) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert all(torch.equal(weight, published[name]) for name, weight in backbone.state_dict().items())


class Rogue:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("was_run"),)


def wrong(published: dict[str, Tensor], file: Path, how: str) -> None:
    """Write a file that is no good."""
    torch.save(published, file)
    whole = file.read_bytes()
    if how == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "flipped":
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 64]) + whole[middle + 1 :])
    elif how == "text":
        file.write_text("weights")
    elif how == "list":
        torch.save([published], file)
    elif how == "code":
        file.write_bytes(pickle.dumps({"conv1.weight": Rogue()}, protocol=2))
    elif how == "fewer":
        torch.save({name: w for name, w in published.items() if not name.startswith("layer4")}, file)
    elif how == "more":
        torch.save({**published, "layer5.weight": torch.ones(2)}, file)
    elif how == "shape":
        torch.save({**published, "conv1.weight": torch.ones(64, 3, 3, 3)}, file)
    else:
        torch.save({**published, "bn1.bias": torch.full((64,), float("nan"))}, file)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated", "is damaged or no file of weights"),
        ("empty", "is damaged or no file of weights"),
        ("flipped", "does not have its checksum"),
        ("text", "is damaged or no file of weights"),
        ("list", r"no plain state of a network \(names to tensors\)"),
        ("code", "is damaged or no file of weights"),
        ("fewer", r"is not of Resnet18: it lacks layer4\.0\.conv1\.weight and \d+ more like that"),
        ("more", r"is not of Resnet18: it has layer5\.weight$"),
        ("shape", r"it has conv1\.weight of shape \(64, 3, 3, 3\), not \(64, 3, 7, 7\)"),
        ("not finite", r"is damaged: bn1\.bias holds numbers that are not finite"),
    ],
)
def test_a_file_that_is_no_good_is_refused_and_nothing_taken(
    published: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong(published, tmp_path / "bad.pth", how)
    torch.manual_seed(0)
    backbone = Resnet18()
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    with pytest.raises(ConfigError, match=words) as caught:
        load_weights(backbone, "bad.pth")
    assert "bad.pth" in str(caught.value)
    assert not Path("was_run").exists()
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.state_dict().items())


def test_a_name_that_is_neither_is_told_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"neither a file nor one of none, IMAGENET1K_V1"):
        load_weights(Resnet18(), "package")


@pytest.fixture(scope="module")
def whole_network() -> tuple[TrainConfig, FeaturePyramid]:
    stage = {"name": "all", "steps": 1, "data": [{"annotations": "a.json", "images": "."}]}
    values = {"stages": [stage], "crop": {"size": 64}, "model": {"name": "fpn", "channels": 8}}
    config = TrainConfig.parse(values)
    torch.manual_seed(4)
    model = config.model.build(PEOPLE)
    assert isinstance(model, FeaturePyramid)
    return config, model


@pytest.mark.parametrize("kept", ["model", "average", "8 bits"])
def test_a_checkpoint_of_ours_gives_the_weights_of_its_backbone(
    whole_network: tuple[TrainConfig, FeaturePyramid], tmp_path: Path, kept: str
) -> None:
    config, model = whole_network
    checkpoint = Checkpoint(config, stage=1, step=0, model=model.state_dict())
    if kept == "average":
        others = {name: torch.zeros_like(weight) for name, weight in checkpoint.model.items()}
        checkpoint = replace(checkpoint, model=others, average=checkpoint.model)
    save_checkpoint(
        tmp_path / "mine.pt", packed(checkpoint, "mine", ["backbone."]) if kept == "8 bits" else checkpoint
    )
    backbone = Resnet18(32)
    load_weights(backbone, str(tmp_path / "mine.pt"))
    wanted = model.backbone.state_dict()
    for name, weight in backbone.state_dict().items():
        off = 1 / 127 * wanted[name].abs().max() if kept == "8 bits" and weight.ndim > 1 else 0
        assert ((weight - wanted[name]).abs() <= off).all(), name


def test_a_checkpoint_without_a_backbone_or_a_damaged_one_is_told(
    whole_network: tuple[TrainConfig, FeaturePyramid], tmp_path: Path
) -> None:
    config, model = whole_network
    weights = {name: w for name, w in model.state_dict().items() if not name.startswith("backbone.")}
    file = tmp_path / "mine.pt"
    save_checkpoint(file, Checkpoint(config, stage=1, step=0, model=weights))
    with pytest.raises(ConfigError, match="a checkpoint of a network without a backbone"):
        load_weights(Resnet18(32), str(file))
    torch.save({"format": "slimdp", "model": 3}, file)
    with pytest.raises(ConfigError, match=r"mine\.pt is a damaged checkpoint"):
        load_weights(Resnet18(32), str(file))
    small = {"backbone.conv1.weight": torch.zeros(2, 2, dtype=torch.int8)}
    torch.save({"format": "slimdp", "model": small, "scales": {}}, file)
    with pytest.raises(ConfigError, match=r"the weight backbone\.conv1\.weight has no scale"):
        load_weights(Resnet18(32), str(file))
