"""The network of Direct Dense Pose through the commands: trained, resumed, learned by heart, in full size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from slimdp.__main__ import main
from slimdp.config import (
    AugmentSettings,
    CropSettings,
    DataSource,
    StageSettings,
    TrainConfig,
    ValidationSettings,
)
from slimdp.data import read_annotations, write_annotations
from slimdp.losses import loss_terms
from slimdp.models import DirectSettings
from slimdp.models.backbones import BACKBONES
from slimdp.synthetic.dataset import synthesize_preset
from slimdp.training import Checkpoint, train
from slimdp.training import checkpoint_writer as writer_module
from slimdp.training.checkpoint import save_checkpoint
from slimdp.training.run_folder import read_metrics
from tests.made_once import TEST_SEED
from tests.narrow_backbone import Narrow
from tests.threads import one_thread_here
from tests.training.weights import same_weights

AS_IT_IS = AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False, colour=0)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Four rendered stills with everybody in them."""
    folder = tmp_path_factory.mktemp("rendered") / "set"
    synthesize_preset(folder, "smoke", TEST_SEED, 1, overrides=["stills=6", "train_clips=0", "val_clips=0"])
    everyone = read_annotations(folder / "stills_train.json", folder, read_masks=True)
    images = everyone.images[:4]
    chosen = {image.id for image in images}
    people = [person for person in everyone.people if person.image.id in chosen]
    write_annotations(folder / "four.json", images, people)
    return DataSource(annotations=str(folder / "four.json"), images=str(folder))


def settings(
    data: DataSource, steps: int, size: int, model: DirectSettings, **changes: object
) -> TrainConfig:
    values = {
        "stages": (StageSettings(name="all", data=(data,), steps=steps, batch=4, learning_rate=1e-3),),
        "model": model, "loss": loss_terms(smoothness=1), "crop": CropSettings(size=size),
        "augment": AS_IT_IS, "ema_decay": 0.95, "log_every": max(steps // 4, 1), "images_every": 10 * steps,
        "checkpoint_every": steps,
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


class Stopped(RuntimeError):
    """Somebody pulled the plug."""


def test_it_resumes_with_the_same_bits_predicts_and_is_scored(
    ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)
    model, changing = DirectSettings(backbone="narrow", channels=32, tower=1), AugmentSettings(rotation_deg=0)
    config = settings(ellipses, 4, 64, model, augment=changing, checkpoint_every=2, seed=TEST_SEED)
    saved = []

    def save_and_stop(path: Path, checkpoint: Checkpoint) -> None:
        save_checkpoint(path, checkpoint)
        saved.append(path)
        raise Stopped

    with one_thread_here():
        end = train(config, tmp_path / "whole", bar=False)
        with monkeypatch.context() as patch:
            patch.setattr(writer_module, "save_checkpoint", save_and_stop)
            with pytest.raises(Stopped):
                train(config, tmp_path / "cut", bar=False)
        assert len(saved) == 1
        torch.manual_seed(99)  # what is drawn at random since must not matter
        again = train(config, tmp_path / "cut", resume=True, bar=False)
    assert same_weights(end, again)
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    for boxes in ([], ["--given-boxes"]):
        assert main(["predict", str(end), *labels, *boxes, "--out", "p.h5"]) == 0
    assert main(["evaluate", "--predictions", "p.h5", *labels, "--out", "scores.json"]) == 0
    scores = json.loads(Path("scores.json").read_text())
    assert 0 <= scores["points"]["localization"]["10cm"] <= 100


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_four_pictures_are_learned_by_heart(rendered: DataSource, tmp_path: Path) -> None:
    """Over 85 % of the points lie within 5 cm, of people in given boxes and of those whom it finds itself.

    92.7 and 93.1 % where it was first run. The losses count points that predicted masks leave out, which
    teach nothing: they have no bounds.
    """
    stage = StageSettings(name="all", data=(rendered,), steps=160, batch=4, learning_rate=2e-3)
    config = settings(
        rendered, 160, 128, DirectSettings(channels=64, tower=1), stages=(stage,), log_every=20,
        validation=ValidationSettings(data=(rendered,), every=80),
    )  # fmt: skip
    end = train(config, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    scores = [row["validation/localization 5cm"] for row in rows if "validation/localization 5cm" in row]
    assert scores[-1] > 85, scores
    labels = ["--annotations", rendered.annotations, "--images", rendered.images]
    found, told = tmp_path / "found.h5", tmp_path / "scores.json"
    assert main(["predict", str(end), *labels, "--out", str(found)]) == 0
    assert main(["evaluate", "--predictions", str(found), *labels, "--out", str(told)]) == 0
    points = json.loads(told.read_text())["points"]
    assert points["localization"]["5cm"] > 85, points["localization"]
    assert points["full"]["5cm"] > 70, points["full"]  # 80.2 where it was first run


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_paper_s_size_takes_two_steps(rendered: DataSource, tmp_path: Path) -> None:
    """ResNet-50, 256 channels and pictures of 800 px (experiments/direct/full_size.yaml)."""
    stage = StageSettings(name="all", data=(rendered,), steps=2, batch=1, learning_rate=1e-3)
    full = DirectSettings(backbone="resnet50", channels=256)
    config = settings(rendered, 2, 800, full, stages=(stage,))
    assert train(config, tmp_path / "run").is_file()
