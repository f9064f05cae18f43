from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from slimdp.config import ConfigError
from slimdp.models.backbones import Resnet18
from slimdp.models.backbones.weights import load_weights


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
