"""Networks on a backbone in training: by the registry alone, from weights of others, to files and answers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import pytest
import torch

from slimdp import DensePose
from slimdp.__main__ import main
from slimdp.config import (
    ConfigError,
    DataSource,
    ModelSettings,
    OptimiserSettings,
    TrainConfig,
    config_to_dict,
)
from slimdp.losses import loss_terms
from slimdp.models import FcnSettings, FpnSettings, evaluating
from slimdp.models.backbones import BACKBONES
from slimdp.settings_file import dump_yaml
from slimdp.training import load_checkpoint, load_model, train
from slimdp.training.checkpoint import build_model
from slimdp.training.optimisation import freeze_backbone, set_training
from tests.narrow_backbone import Narrow, NarrowNormed
from tests.threads import one_thread_here
from tests.training.weights import same_weights

NETWORKS = {
    "fpn": FpnSettings(channels=8),
    "stacked fpn": FpnSettings(channels=8, stacks=1),
    "fcn": FcnSettings(channels=8),
}
#: A module that has a backbone.
OUTSIDE = """
from slimdp.models.backbones import BACKBONES
from tests.narrow_backbone import Narrow

BACKBONES["narrow"] = Narrow
"""
BOTH = pytest.mark.parametrize("name", list(NETWORKS))


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)
    monkeypatch.setitem(BACKBONES, "narrow_normed", NarrowNormed)


def two_steps(run: TrainConfig, model: ModelSettings) -> TrainConfig:
    """Two steps, with equivariance between a crop and its thin-plate warp at the network's first features."""
    values = {**run.replace(stages=run.stages[:1], checkpoint_every=1).plain(), "model": model.plain()}
    values["stages"][0]["steps"] = 2
    values["loss"] = {"equivariance": 0.1}
    values["motion"] = {"kind": "tps"}
    values["model"]["backbone"] = "narrow"
    return TrainConfig.parse(values)


@BOTH
def test_a_resumed_run_ends_with_the_same_bits(small_run: TrainConfig, tmp_path: Path, name: str) -> None:
    config = two_steps(small_run, NETWORKS[name])
    assert config.loss["equivariance"].features == ("features",)
    with one_thread_here():
        end = train(config, tmp_path / "whole", bar=False)
        (tmp_path / "stopped").mkdir()
        checkpoint = tmp_path / "whole" / "checkpoints" / "step_00000001.pt"
        shutil.copy(checkpoint, tmp_path / "stopped" / "last.pt")
        again = train(config, tmp_path / "stopped", resume=True, bar=False)
    assert same_weights(end, again)
    first, last = load_checkpoint(checkpoint).model, load_checkpoint(end).model
    moved = {key for key in last if not torch.equal(first[key], last[key])}
    parts = {"fcn": set(), "fpn": {"pyramid"}, "stacked fpn": {"pyramid", "refinement"}}
    assert {key.partition(".")[0] for key in moved} == {"backbone", "head"} | parts[name]


def stages_held_and_free(run: TrainConfig) -> TrainConfig:
    """Stages that train a backbone with batch norms, that keep it as it is, and that train it again."""
    stage = run.stages[0].replace(steps=2, batch=4, weight_decay=0.1, optimiser=OptimiserSettings(name="sgd"))
    rates = {"first": 1.0, "held": 0.0, "free": 0.1}
    stages = tuple(stage.replace(name=name, backbone_rate=rate) for name, rate in rates.items())
    model = FpnSettings(channels=8, backbone="narrow_normed")
    return run.replace(stages=stages, model=model, loss=loss_terms(), checkpoint_every=1)


def test_a_backbone_of_rate_0_stays_as_it_is_to_the_bit(small_run: TrainConfig, tmp_path: Path) -> None:
    """With its batch norms' statistics, while the rest learns; the next stage trains it again."""
    config = stages_held_and_free(small_run)
    with one_thread_here():
        train(config, tmp_path / "run", bar=False)
        (tmp_path / "stopped").mkdir()
        middle = tmp_path / "run" / "checkpoints" / "step_00000003.pt"
        shutil.copy(middle, tmp_path / "stopped" / "last.pt")
        train(config, tmp_path / "stopped", resume=True, bar=False)
    first, held, free = (
        load_checkpoint(tmp_path / "run" / f"stage_{stage.name}.pt").model for stage in config.stages
    )
    backbone = {name for name in first if name.startswith("backbone.")}
    assert {name for name in first if torch.equal(first[name], held[name])} == backbone
    assert {
        name for name in first if torch.equal(first[name], load_checkpoint(middle).model[name])
    } == backbone
    # The optimiser has seen no gradient of the backbone, and so has not the norm that is limited.
    taught, model = load_checkpoint(middle).optimizer, build_model(config)
    assert taught is not None
    others = [name for name, _ in model.named_parameters() if name not in backbone]
    assert len(taught["state"]) == len(others)
    # A bias before a batch norm does not learn.
    learning = [name for name in backbone if name.endswith((".weight", ".running_mean", ".running_var"))]
    assert len(learning) == 4 * 4
    assert not any(torch.equal(held[name], free[name]) for name in learning)
    assert same_weights(tmp_path / "run" / "stage_free.pt", tmp_path / "stopped" / "stage_free.pt")


def test_what_keeps_its_rate_of_0_has_no_gradient(small_run: TrainConfig) -> None:
    """So that it costs no backward pass, and takes nothing of what `clip_norm` leaves the others."""
    config = stages_held_and_free(small_run)
    for stage in config.stages:
        model = build_model(config)
        freeze_backbone(model, stage)
        set_training(model, stage)
        free = stage.backbone_rate > 0
        backbone = model.get_submodule("backbone")
        assert {weight.requires_grad for weight in backbone.parameters()} == {free}
        assert {module.training for module in backbone.modules()} == {free}
        others = [weight for name, weight in model.named_parameters() if not name.startswith("backbone.")]
        assert all(weight.requires_grad for weight in others)
        with evaluating(model):
            assert not any(module.training for module in model.modules())
        assert {module.training for module in backbone.modules()} == {free}
        assert all(module.training for module in (model, *model.get_submodule("head").modules()))


@BOTH
def test_it_predicts_scores_and_answers(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with one_thread_here():
        end = train(two_steps(small_run, NETWORKS[name]), tmp_path / "run", bar=False)
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    predict = ["predict", str(end), *labels, "--flip-test", "--scales", "0.5", "1", "1.5"]
    assert main([*predict, "--out", "p.h5"]) == 0
    assert main(["evaluate", "--predictions", "p.h5", *labels, "--out", "scores.json"]) == 0
    (tmp_path / "frames").mkdir()
    for number in (1, 2, 3):
        shutil.copy(Path(ellipses.images) / f"ellipse_{number}.png", tmp_path / "frames")
    video = ["video", "frames", "--weights", str(end), "--detector", "follow", "--smooth", "none"]
    assert main([*video, "--write", "iuv", "--out", "video"]) == 0
    assert len(list((tmp_path / "video" / "iuv").iterdir())) == 3
    image = cv2.imread(str(Path(ellipses.images) / "ellipse_1.png"))[..., ::-1]
    (person,) = DensePose.load(end, detector=None, device="cpu")(image)
    assert person.iuv.shape == (3, *image.shape[:2])


@pytest.mark.slow
def test_a_sweep_trains_and_scores_it(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of its own, which find a backbone from outside by `imports`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "narrow_one.py").write_text(OUTSIDE)
    monkeypatch.delitem(sys.modules, "narrow_one", raising=False)
    torch.save(Narrow(32).state_dict(), tmp_path / "theirs.pth")
    plain = two_steps(small_run, NETWORKS["fpn"])
    config = plain.replace(imports=("narrow_one",), model=plain.model.replace(weights="theirs.pth"))
    (tmp_path / "row.yaml").write_text(dump_yaml(config_to_dict(config)))
    evaluate = {"annotations": ellipses.annotations, "images": ellipses.images}
    study = {"title": "networks", "rows": {"one": "row.yaml"}, "seeds": [0], "evaluate": evaluate}
    (tmp_path / "study.yaml").write_text(dump_yaml(study))
    assert main(["sweep", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")]) == 0
    (result,) = (tmp_path / "out" / "scores.jsonl").read_text().splitlines()
    assert json.loads(result)["pretrained"].startswith("narrow, theirs.pth, sha256 ")
    assert "points.localization.10cm" in json.loads(result)["scores"][""]


@BOTH
def test_it_begins_with_weights_of_others_and_says_so(
    small_run: TrainConfig, tmp_path: Path, name: str
) -> None:
    plain = two_steps(small_run, NETWORKS[name])
    torch.manual_seed(5)
    theirs = BACKBONES["narrow"](plain.model.BACKBONE_STRIDE).state_dict()  # type: ignore[attr-defined]
    file = tmp_path / "theirs.pth"
    torch.save({f"theirs.{key}": weight for key, weight in theirs.items()}, file)
    config = plain.replace(
        model=plain.model.replace(weights=str(file)),
        stages=(plain.stages[0].replace(learning_rate=1e-12),),
    )
    with one_thread_here():
        end = train(config, tmp_path / "run", bar=False)
    found = load_checkpoint(end)
    for key, weight in theirs.items():
        torch.testing.assert_close(found.model[f"backbone.{key}"], weight)
    assert found.pretrained is not None
    assert found.pretrained.startswith(f"narrow, {file}, sha256 ")
    assert load_checkpoint(tmp_path / "run" / "last.pt").pretrained == found.pretrained
    assert f"beginning with weights of others: {found.pretrained}" in (tmp_path / "run/train.log").read_text()
    # Whoever predicts, goes on, or begins with these weights needs the file no more.
    file.unlink()
    load_model(end)
    checkpoint = tmp_path / "run" / "checkpoints" / "step_00000001.pt"
    (tmp_path / "stopped").mkdir()
    shutil.copy(checkpoint, tmp_path / "stopped" / "last.pt")
    with one_thread_here():
        again = train(config, tmp_path / "stopped", resume=True, bar=False)
        other = config.replace(stages=(config.stages[0].replace(name="next"),))
        further = train(other, tmp_path / "further", initial=end, bar=False)
    assert same_weights(end, again)
    assert load_checkpoint(again).pretrained == load_checkpoint(further).pretrained == found.pretrained
    with pytest.raises(
        ConfigError, match=r"model\.weights = '.*theirs\.pth': neither a file nor one of none"
    ):
        train(config, tmp_path / "gone", bar=False)
    assert not (tmp_path / "gone" / "config.yaml").exists()


def test_without_weights_of_others_none_are_named(small_run: TrainConfig, tmp_path: Path) -> None:
    with one_thread_here():
        end = train(two_steps(small_run, NETWORKS["fpn"]), tmp_path / "run", bar=False)
    assert load_checkpoint(end).pretrained is None


def test_checkpoints_of_before_begin_without_them(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    file = straight[1] / "stage_clips.pt"
    content = torch.load(file, weights_only=True)
    del content["pretrained"]
    torch.save(content, tmp_path / "old.pt")
    assert load_checkpoint(tmp_path / "old.pt").pretrained is None
    content["pretrained"] = 5
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"pretrained is int 5, but str or nothing is wanted"):
        load_checkpoint(tmp_path / "old.pt")
