"""A network of one file outside of the package, from training to scores."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from slimdp.__main__ import main
from slimdp.config import DataSource, ModelSpec
from slimdp.losses import count_labels, loss_terms
from slimdp.models import MODELS, DensePoseModel
from slimdp.structures import DensePoseMaps, ModelOutput, PoseBatch
from slimdp.training import CheckpointError, load_model
from slimdp.training.loop import MicroBatch, add_gradients
from tests.threads import one_thread_here

#: Its maps are an eighth as wide as the crop, and nothing else halves them.
NETWORK = '''
"""Four convolutions."""

from collections.abc import Collection
from typing import Literal

from torch import nn

from slimdp.config import ModelSettings, ModelSpec
from slimdp.models import MODELS, DensePoseModel
from slimdp.structures import DensePoseMaps, ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout


class Tiny(DensePoseModel):
    """Crops (B, 3, S, S) -> maps of S / 8 px."""

    spec = ModelSpec(stride=8, size_multiple=8, features=("last",))

    def __init__(self, width: int, layout: PartLayout) -> None:
        super().__init__()
        self.layout = layout
        parts, coarse = len(layout.parts), len(layout.coarse_parts)
        self.outputs = [parts + 1, parts, parts, coarse + 1]
        layers = [nn.Conv2d(a, width, 3, stride=2, padding=1) for a in (3, width, width)]
        self.body = nn.Sequential(*(each for layer in layers for each in (layer, nn.ReLU())))
        self.head = nn.Conv2d(width, sum(self.outputs), 1)

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        last = self.body(batch.images)
        maps = DensePoseMaps(*self.head(last).split(self.outputs, dim=1))
        return ModelOutput((maps,), ({name: last for name in features},))


class TinySettings(ModelSettings):
    name: Literal["tiny"] = "tiny"
    width: int = 16

    @property
    def spec(self) -> ModelSpec:
        return Tiny.spec

    def build(self, layout: PartLayout) -> Tiny:
        return Tiny(self.width, layout)


MODELS["tiny"] = TinySettings
'''
SETTINGS = """
imports: [tiny_network]
model: {{name: tiny, width: 8}}
crop: {{size: 72}}
augment: {{flip: false}}
loss: {{equivariance: 0.1}}
motion: {{kind: tps}}
stages:
  - {{name: all, steps: 3, batch: 2, data: [{{annotations: {annotations}, images: {images}}}]}}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ellipses: DataSource) -> Path:
    """A settings file in the working directory, beside the network's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "tiny_network.py").write_text(NETWORK)
    (tmp_path / "tiny.yaml").write_text(SETTINGS.format(**ellipses.plain()))
    return tmp_path / "tiny.yaml"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the network stays for other tests."""
    monkeypatch.delitem(sys.modules, "tiny_network", raising=False)
    monkeypatch.setitem(MODELS, "tiny", None)  # type: ignore[arg-type]
    monkeypatch.delitem(MODELS, "tiny")


def test_it_trains_predicts_and_scores(
    settings: Path, ellipses: DataSource, capsys: pytest.CaptureFixture[str]
) -> None:
    with one_thread_here():
        assert main(["train", str(settings), "--out", "run"]) == 0
    metrics = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["loss/stack0/equivariance"] > 0
    # A process that knows nothing of the network is told which module the checkpoint needs, and runs none.
    del sys.modules["tiny_network"], MODELS["tiny"]
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    predict = ["predict", "run/stage_all.pt", *labels, "--device", "cpu", "--out", "predictions.h5"]
    assert main(predict) == 2
    assert "imports.0 = 'tiny_network': it needs this module" in capsys.readouterr().err
    assert "tiny_network" not in sys.modules
    assert main([*predict, "--imports", "tiny_network"]) == 0
    model, config = load_model(Path("run/stage_all.pt"))
    assert type(model).__name__ == "Tiny"
    assert config.model.plain() == {"name": "tiny", "keypoints": [], "width": 8}
    capsys.readouterr()
    assert main(["evaluate", "--predictions", "predictions.h5", *labels, "--out", "scores.json"]) == 0
    scores = json.loads(Path("scores.json").read_text())
    assert 0 <= scores["points"]["localization"]["10cm"] <= 100


def test_what_it_does_not_take_is_named(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for change, words in [
        ("crop.size=68", "crop.size = 68, but it must be a positive multiple of 8"),
        ("model.stacks=2", "unknown key model.stacks; there are: name, keypoints, width"),
        ("loss.equivariance.at=level_3", "loss.equivariance.at = 'level_3', but it must be one of"),
        (
            "model.name=tinny",
            "model.name = 'tinny', but it must be one of hourglass, fpn, fcn, direct, region, tiny; did you",
        ),
    ]:
        assert main(["train", str(settings), "--set", change, "--out", "run"]) == 2
        assert words in capsys.readouterr().err


def test_a_checkpoint_whose_network_is_gone_says_so(settings: Path) -> None:
    with one_thread_here():
        assert main(["train", str(settings), "--out", "run"]) == 0
    del sys.modules["tiny_network"]
    Path("tiny_network.py").unlink()
    with pytest.raises(CheckpointError, match=r"imports\.0 = 'tiny_network': it needs this module"):
        load_model(Path("run/stage_all.pt"))


class WholeImages(DensePoseModel):
    """A network that takes pictures with any number of people, and has a loss of its own."""

    spec = ModelSpec(stride=4, size_multiple=4, input="image")

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 88, 4, stride=4)

    def forward(self, batch: PoseBatch, features: object = ()) -> ModelOutput:
        assert len(batch.box) == 3, "of the people"
        maps = DensePoseMaps(*self.layer(batch.images).split([25, 24, 24, 15], dim=1))
        return ModelOutput((maps,), ({},), {"boxes": batch.box.mean() * self.layer.weight.square().mean()})


def whole_images() -> PoseBatch:
    """Two pictures, of which the second shows two people, each with a point."""
    torch.manual_seed(0)
    coarse = torch.randint(0, 15, (3, 8, 12))
    return PoseBatch(
        images=torch.rand(2, 3, 32, 48),
        crop_from_image=torch.eye(2, 3).expand(2, 2, 3),
        image_index=torch.tensor([0, 1, 1]),
        annotation_id=torch.tensor([4, 5, 6]),
        box=torch.tensor([[2.0, 2, 20, 20], [1, 1, 10, 10], [20, 10, 8, 8]]),
        coarse=coarse,
        instance_index=torch.tensor([0, 1, 2]),
        points=torch.tensor([[9.0, 9], [5, 5], [24, 14]]),
        part=torch.tensor([1, 2, 3]),
        uv=torch.rand(3, 2),
    )


def gradient(batch: PoseBatch) -> tuple[dict[str, Tensor], Tensor]:
    torch.manual_seed(1)
    network = WholeImages()
    terms = loss_terms()
    part = MicroBatch(batch, count_labels(terms, batch))
    _, losses = add_gradients(network, [part], part.counts, terms, 1, bf16=False)
    assert network.layer.weight.grad is not None
    return losses, network.layer.weight.grad


def test_a_network_on_whole_pictures_trains_in_the_same_loop() -> None:
    """As one that sees each person's picture for itself, but for its own loss, which counts once."""
    batch = whole_images()
    terms, slope = gradient(batch)
    apart = dataclasses.replace(
        batch, images=batch.images[batch.image_index], image_index=torch.arange(3), one_each=True
    )
    wanted, other = gradient(apart)
    assert terms.keys() == wanted.keys()
    assert terms["network/boxes"] > 0
    for name, value in wanted.items():
        assert value.item() == pytest.approx(terms[name].item(), rel=1e-5), name
    torch.testing.assert_close(slope, other)
